"""Published weights into our modules and back: OpenAI's, OpenCLIP's and Hugging Face's checkpoints.

A format is told by its tensors' names (`layouts`), never by the file's; nothing in a file is run (`tensors`).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from clipsight.clip import layouts
from clipsight.clip.architecture import Architecture
from clipsight.clip.configs import to_hugging_face
from clipsight.clip.declared import declared_architecture, weights_in
from clipsight.clip.layouts import Layout, State
from clipsight.clip.shapes import architecture_of
from clipsight.clip.tensors import read_tensors
from clipsight.core.errors import CheckpointError
from clipsight.core.files import atomic_write
from clipsight.models.preprocess import PreprocessConfig

if TYPE_CHECKING:
    from clipsight.clip.model import CLIP

Format = Literal["openai", "openclip", "huggingface"]

# Beside the weights in OpenAI's files, and constants that older versions of the libraries saved.
_OPENAI_SIZES = frozenset({"input_resolution", "context_length", "vocab_size"})
_CONSTANTS = ("attn_mask", "position_ids")
_PREPARED = ("mean", "std", "interpolation", "resize_mode")
_SHOWN = 3


@dataclass(frozen=True)
class Checkpoint:
    """A file's tensors under the file's own names, and what is said of their architecture.

    `declared` is what a config beside the file says; `quick_gelu` is None where nothing tells the activation.
    """

    path: Path
    tensors: Mapping[str, Tensor]
    layout: Layout
    declared: Architecture | None
    quick_gelu: bool | None

    @classmethod
    def read(cls, path: Path) -> "Checkpoint":
        """Read a weights file, or the folder of a repository with one. Raises CheckpointError."""
        path = weights_in(path)
        found = read_tensors(path)
        layout = layouts.recognise(found)
        if layout is None:
            example = next(iter(found), "nothing")
            raise CheckpointError(
                f"{path} is no CLIP checkpoint of OpenAI, OpenCLIP or Hugging Face (it holds {example}, ...)"
            )
        tensors = {name: _plain(name, tensor) for name, tensor in found.items() if _is_weight(name)}
        declared = declared_architecture(path)
        quick_gelu = declared.quick_gelu if declared else None
        if found.keys() >= _OPENAI_SIZES:  # OpenAI trained no other
            quick_gelu = True
        return cls(path, tensors, layout, declared, quick_gelu)

    def architecture(self) -> Architecture:
        """The architecture of these weights, as declared or told by the tensors' shapes.

        Raises CheckpointError where they don't tell it, or nothing tells the activation.
        """
        if self.declared is not None:
            return self.declared
        told = architecture_of(self.layout.to_ours(self.tensors), self.path)
        if self.quick_gelu is None:
            raise CheckpointError(
                f"{self.path} does not say whether it was trained with GELU or QuickGELU; name the "
                f"architecture, such as ViT-B-32 or ViT-B-32-quickgelu"
            )
        return replace(told, quick_gelu=self.quick_gelu)

    def state_for(self, model: "CLIP") -> State:
        """The state dict for `model`, in float32, its position embeddings interpolated to the model's grid.

        Raises CheckpointError that names the tensors that are missing, extra or of another shape.
        """
        self._check_same_kind(model.architecture)
        meta = {name: torch.empty_like(tensor, device="meta") for name, tensor in model.state_dict().items()}
        name, grid = _position_name(model.architecture), model.architecture.vision_cfg.grid
        (positions,) = self.layout.from_ours({name: meta[name]})
        tensors = dict(self.tensors)
        if positions in tensors:
            tensors[positions] = resize_positions(tensors[positions], grid)
        self._check_tensors(tensors, self.layout.from_ours(meta))
        ours = self.layout.to_ours(tensors)
        return {name: tensor.to(meta[name].dtype).contiguous() for name, tensor in ours.items()}

    def _check_same_kind(self, wanted: Architecture) -> None:
        """What the shapes of tensors don't show: the activation and the number of heads."""
        if self.quick_gelu not in (None, wanted.quick_gelu):
            has, asked = ("QuickGELU", "GELU") if self.quick_gelu else ("GELU", "QuickGELU")
            advice = "add -quickgelu to its name" if self.quick_gelu else "leave out -quickgelu"
            raise CheckpointError(
                f"{self.path} was trained with {has}, the architecture asked for has {asked}; {advice}"
            )
        if self.declared is None:
            return
        heads = [(one.vision_cfg.heads, one.text_cfg.heads) for one in (self.declared, wanted)]
        if heads[0] != heads[1]:
            raise CheckpointError(
                f"{self.path} is of another architecture: {heads[0][0]} attention heads for images and "
                f"{heads[0][1]} for texts, not {heads[1][0]} and {heads[1][1]}"
            )
        ends = [one.text_cfg.eos_id for one in (self.declared, wanted)]
        if ends[0] != ends[1]:
            told = ["the highest id" if end is None else f"id {end}" for end in ends]
            raise CheckpointError(
                f"{self.path} is of another architecture: a text ends at {told[0]}, not {told[1]}"
            )

    def _check_tensors(self, tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
        missing = [name for name in expected if name not in tensors]
        extra = [name for name in tensors if name not in expected]
        other = [
            f"{name} is {_shape(tensors[name])}, not {_shape(tensor)}"
            for name, tensor in expected.items()
            if name in tensors and tensors[name].shape != tensor.shape
        ]
        found = {"missing": missing, "extra": extra, "of another shape": other}
        problems = [_some(names, what) for what, names in found.items() if names]
        if problems:
            raise CheckpointError(
                f"{self.path} is of another architecture, or not whole: {'; '.join(problems)}"
            )


def save(model: "CLIP", path: Path, format: Format, preprocess: PreprocessConfig | None = None) -> None:
    """Write the weights of `model` as another library reads them; files appear whole or not at all.

    "openai": the state dict `path`, for `clip.load`. "openclip": `open_clip_model.safetensors` and its config
    in the folder `path`, for `open_clip.create_model("local-dir:PATH")`. "huggingface": `model.safetensors`
    and `config.json` in the folder `path`, for `transformers.CLIPModel.from_pretrained`. `preprocess` (CLIP's
    own) is told by OpenCLIP's form alone. Raises CheckpointError where the format can't express the
    architecture, or the disk can't be written.
    """
    architecture = model.architecture
    state = {name: tensor.detach().cpu() for name, tensor in model.state_dict().items()}
    if problem := _inexpressible(architecture, format):
        raise CheckpointError(f"{format}'s format can't hold this model: {problem}; save it as openclip")
    try:
        if format == "openai":
            _write_openai(state, architecture, path)
            return
        path.mkdir(parents=True, exist_ok=True)
        if format == "openclip":
            prepared = preprocess or PreprocessConfig()
            told = {name: getattr(prepared, name) for name in _PREPARED}
            config = {"model_cfg": architecture.to_dict(), "preprocess_cfg": told}
            _write_json(config, path / "open_clip_config.json")
            _write_safetensors(layouts.OPENAI.from_ours(state), path / "open_clip_model.safetensors")
        else:
            _write_json(to_hugging_face(architecture), path / "config.json")
            _write_safetensors(layouts.HUGGING_FACE.from_ours(state), path / "model.safetensors")
    except (OSError, RuntimeError, SafetensorError) as error:  # the latter two where the disk is full
        detail = str(error).partition("\n")[0]
        raise CheckpointError(f"{path} can't be written ({detail}); make room or choose another") from error


def resize_positions(embedding: Tensor, grid: int) -> Tensor:
    """Position embeddings float[1+old*old,width] -> float[1+grid*grid,width], bicubic and antialiased.

    The first, of the class token, stays as it is; a tensor that is no square and one more is left alone. As
    OpenCLIP's `resize_pos_embed`, after section 3.2 of Dosovitskiy et al. 2021.
    """
    old = round(max(0, len(embedding) - 1) ** 0.5) if embedding.ndim == 2 else 0
    if old in (0, grid) or old**2 + 1 != len(embedding):
        return embedding
    square = embedding[1:].float().reshape(old, old, -1).permute(2, 0, 1)[None]
    resized = F.interpolate(square, size=(grid, grid), mode="bicubic", antialias=True)
    return torch.cat([embedding[:1].float(), resized[0].flatten(1).T])


def _position_name(architecture: Architecture) -> str:
    pool = "" if architecture.vision_cfg.patch_size else "attnpool."
    return f"visual.{pool}positional_embedding"


def _is_weight(name: str) -> bool:
    return name not in _OPENAI_SIZES and not name.endswith(_CONSTANTS)


def _plain(name: str, tensor: Tensor) -> Tensor:
    # Some save the one temperature as a vector.
    return tensor.reshape(()) if name == "logit_scale" and tensor.numel() == 1 else tensor


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "a number"


def _some(names: list[str], what: str) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{len(names)} {what} ({', '.join(names[:_SHOWN])}{more})"


def _inexpressible(architecture: Architecture, format: Format) -> str | None:
    vision, text = architecture.vision_cfg, architecture.text_cfg
    if format == "huggingface" and vision.patch_size is None:
        return "its image tower is a ResNet"
    if format == "openai":
        if not architecture.quick_gelu:
            return "it was trained with GELU, where OpenAI's code computes QuickGELU"
        if vision.head_width != 64 or text.width != 64 * text.heads:
            return "its attention heads are not 64 wide"
        if vision.mlp_ratio != 4 or text.mlp_ratio != 4:
            return "its MLPs are not four times as wide as its layers"
        if text.pool_type != "argmax":
            return "its end of text is not the highest token id"
    return None


def _write_openai(state: State, architecture: Architecture, path: Path) -> None:
    vision, text = architecture.vision_cfg, architecture.text_cfg
    sizes = zip(
        ("input_resolution", "context_length", "vocab_size"),
        (vision.image_size, text.context_length, text.vocab_size),
        strict=True,
    )
    content = {name: torch.tensor(size) for name, size in sizes} | layouts.OPENAI.from_ours(state)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path, error=CheckpointError) as waiting:
        torch.save(content, waiting)


def _write_safetensors(state: State, path: Path) -> None:
    plain = {name: tensor.clone(memory_format=torch.contiguous_format) for name, tensor in state.items()}
    with atomic_write(path, error=CheckpointError) as waiting:
        save_file(plain, waiting, metadata={"format": "pt"})


def _write_json(content: dict[str, Any], path: Path) -> None:
    with atomic_write(path, error=CheckpointError) as waiting:
        waiting.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
