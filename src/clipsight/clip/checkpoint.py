"""Checkpoints of OpenAI, OpenCLIP and Hugging Face: loaded into our modules, and saved.

The format is detected from the tensors' names (`layouts`), never from the file name; no code in a file is run
(`tensors`).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from clipsight.clip import layouts
from clipsight.clip.architecture import Architecture
from clipsight.clip.architecture_inference import infer_architecture
from clipsight.clip.huggingface_config import to_huggingface
from clipsight.clip.layouts import Layout, State
from clipsight.clip.model import CLIP
from clipsight.clip.pretrained import find_weights, read_architecture
from clipsight.clip.tensors import read_tensors
from clipsight.core.errors import CheckpointError
from clipsight.core.files import atomic_write
from clipsight.models.preprocess import PreprocessConfig

Format = Literal["openai", "openclip", "huggingface"]

# Entries that are not weights: sizes in OpenAI's files, and buffers that older library versions saved.
_OPENAI_SIZES = frozenset({"input_resolution", "context_length", "vocab_size"})
_BUFFERS = ("attn_mask", "position_ids")
_PREPROCESS_FIELDS = ("mean", "std", "interpolation", "resize_mode")
_MAX_LISTED = 3


@dataclass(frozen=True)
class Checkpoint:
    """Tensors of a file under the file's own names, and what is known of their architecture."""

    path: Path
    tensors: Mapping[str, Tensor]
    layout: Layout
    config: Architecture | None
    """Architecture in the config file beside the weights, if there is one."""
    quick_gelu: bool | None
    """None if the activation is not known."""

    @classmethod
    def read(cls, path: Path) -> "Checkpoint":
        """Read a weights file, or the folder of a repository or training run. Raises CheckpointError."""
        path = find_weights(path)
        found = read_tensors(path)
        layout = layouts.detect_layout(found)
        if layout is None:
            example = next(iter(found), "nothing")
            raise CheckpointError(
                f"{path} is no CLIP checkpoint of OpenAI, OpenCLIP or Hugging Face (it holds {example}, ...)"
            )
        tensors = {name: _as_scalar(name, tensor) for name, tensor in found.items() if _is_weight(name)}
        config = read_architecture(path)
        quick_gelu = config.quick_gelu if config else None
        if found.keys() >= _OPENAI_SIZES:  # all of OpenAI's models use QuickGELU
            quick_gelu = True
        return cls(path, tensors, layout, config, quick_gelu)

    def architecture(self) -> Architecture:
        """Architecture in the config, or inferred from the tensors' shapes.

        Raises CheckpointError if it can't be inferred, or the activation is not known.
        """
        if self.config is not None:
            return self.config
        inferred = infer_architecture(self.layout.to_ours(self.tensors), self.path)
        if self.quick_gelu is None:
            raise CheckpointError(
                f"{self.path} does not say whether it was trained with GELU or QuickGELU; name the "
                f"architecture, such as ViT-B-32 or ViT-B-32-quickgelu"
            )
        return replace(inferred, quick_gelu=self.quick_gelu)

    def state_for(self, model: CLIP) -> State:
        """State dict for `model`, float32, with position embeddings interpolated to the model's grid.

        Raises CheckpointError with the names of tensors that are missing, unexpected or of another shape.
        """
        self._check_architecture(model.architecture)
        meta = {name: torch.empty_like(tensor, device="meta") for name, tensor in model.state_dict().items()}
        name, grid = _position_name(model.architecture), model.architecture.vision_cfg.grid
        (positions,) = self.layout.from_ours({name: meta[name]})
        tensors = dict(self.tensors)
        if positions in tensors:
            tensors[positions] = resize_positions(tensors[positions], grid)
        self._check_tensors(tensors, self.layout.from_ours(meta))
        ours = self.layout.to_ours(tensors)
        return {name: tensor.to(meta[name].dtype).contiguous() for name, tensor in ours.items()}

    def _check_architecture(self, wanted: Architecture) -> None:
        """Check what shapes don't show: the activation, the number of heads, the end-of-text token."""
        if self.quick_gelu not in (None, wanted.quick_gelu):
            trained, given = ("QuickGELU", "GELU") if self.quick_gelu else ("GELU", "QuickGELU")
            advice = "add -quickgelu to its name" if self.quick_gelu else "leave out -quickgelu"
            raise CheckpointError(
                f"{self.path} was trained with {trained}, the given architecture has {given}; {advice}"
            )
        if self.config is None:
            return
        heads = [(each.vision_cfg.heads, each.text_cfg.heads) for each in (self.config, wanted)]
        if heads[0] != heads[1]:
            raise CheckpointError(
                f"{self.path} is of another architecture: {heads[0][0]} attention heads for images and "
                f"{heads[0][1]} for texts, not {heads[1][0]} and {heads[1][1]}"
            )
        eos_ids = [each.text_cfg.eos_id for each in (self.config, wanted)]
        if eos_ids[0] != eos_ids[1]:
            ends = ["the highest id" if eos_id is None else f"id {eos_id}" for eos_id in eos_ids]
            raise CheckpointError(
                f"{self.path} is of another architecture: a text ends at {ends[0]}, not {ends[1]}"
            )

    def _check_tensors(self, tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
        missing = [name for name in expected if name not in tensors]
        unexpected = [name for name in tensors if name not in expected]
        reshaped = [
            f"{name} is {_shape(tensors[name])}, not {_shape(tensor)}"
            for name, tensor in expected.items()
            if name in tensors and tensors[name].shape != tensor.shape
        ]
        found = {"missing": missing, "extra": unexpected, "of another shape": reshaped}
        problems = [_listed(names, what) for what, names in found.items() if names]
        if problems:
            raise CheckpointError(
                f"{self.path} is of another architecture, or not whole: {'; '.join(problems)}"
            )


def save(model: CLIP, path: Path, format: Format, preprocess: PreprocessConfig | None = None) -> None:
    """Save the weights of `model` in the format of another library; each file is written atomically.

    "openai": the state dict `path`, for `clip.load`. "openclip": `open_clip_model.safetensors` and its config
    in the folder `path`, for `open_clip.create_model("local-dir:PATH")`. "huggingface": `model.safetensors`
    and `config.json` in the folder `path`, for `transformers.CLIPModel.from_pretrained`. Only OpenCLIP's
    format stores `preprocess` (default: CLIP's). Raises CheckpointError if the format can't express the
    architecture, or the disk can't be written.
    """
    architecture = model.architecture
    state = {name: tensor.detach().cpu() for name, tensor in model.state_dict().items()}
    if problem := _unsupported(architecture, format):
        raise CheckpointError(f"{format}'s format can't hold this model: {problem}; save it as openclip")
    try:
        if format == "openai":
            _write_openai(state, architecture, path)
            return
        path.mkdir(parents=True, exist_ok=True)
        if format == "openclip":
            preprocess = preprocess or PreprocessConfig()
            preprocess_cfg = {name: getattr(preprocess, name) for name in _PREPROCESS_FIELDS}
            config = {"model_cfg": architecture.to_dict(), "preprocess_cfg": preprocess_cfg}
            _write_json(config, path / "open_clip_config.json")
            _write_safetensors(layouts.OPENAI.from_ours(state), path / "open_clip_model.safetensors")
        else:
            _write_json(to_huggingface(architecture), path / "config.json")
            _write_safetensors(layouts.HUGGING_FACE.from_ours(state), path / "model.safetensors")
    except (OSError, RuntimeError, SafetensorError) as error:  # the latter two for a full disk
        detail = str(error).partition("\n")[0]
        raise CheckpointError(f"{path} can't be written ({detail}); make room or choose another") from error


def resize_positions(embedding: Tensor, grid: int) -> Tensor:
    """Interpolate position embeddings float[1+old*old,width] -> float[1+grid*grid,width].

    Bicubic, antialiased. The first row, of the class token, is kept; a tensor of any other shape is returned
    as it is. As OpenCLIP's `resize_pos_embed`, after section 3.2 of Dosovitskiy et al. 2021.
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
    return name not in _OPENAI_SIZES and not name.endswith(_BUFFERS)


def _as_scalar(name: str, tensor: Tensor) -> Tensor:
    """Reshape a logit scale of float[1], as in some files, to a scalar; other tensors are unchanged."""
    return tensor.reshape(()) if name == "logit_scale" and tensor.numel() == 1 else tensor


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "a number"


def _listed(names: list[str], what: str) -> str:
    more = f" and {len(names) - _MAX_LISTED} more" if len(names) > _MAX_LISTED else ""
    return f"{len(names)} {what} ({', '.join(names[:_MAX_LISTED])}{more})"


def _unsupported(architecture: Architecture, format: Format) -> str | None:
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
    with atomic_write(path, error=CheckpointError) as temporary:
        torch.save(content, temporary)


def _write_safetensors(state: State, path: Path) -> None:
    contiguous = {name: tensor.clone(memory_format=torch.contiguous_format) for name, tensor in state.items()}
    with atomic_write(path, error=CheckpointError) as temporary:
        save_file(contiguous, temporary, metadata={"format": "pt"})


def _write_json(content: dict[str, Any], path: Path) -> None:
    with atomic_write(path, error=CheckpointError) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
