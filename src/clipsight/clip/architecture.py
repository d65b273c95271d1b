"""Architectures as data: JSON files with OpenCLIP's field names, read into dataclasses.

`architectures/` holds the published ones.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from difflib import get_close_matches
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from clipsight.core.errors import ModelError

_QUICK_GELU = "-quickgelu"


@dataclass(frozen=True)
class VisionConfig:
    """Image tower: a ModifiedResNet if `patch_size` is None and `layers` has four counts, else a ViT.

    `image_size` and `patch_size` are in pixels; an MLP is `mlp_ratio` times as wide as its layer.
    """

    image_size: int
    layers: int | tuple[int, int, int, int]
    width: int
    patch_size: int | None
    head_width: int = 64
    mlp_ratio: float = 4.0

    @property
    def heads(self) -> int:
        """Attention heads of a layer, or of the ResNet's attention pool, which is 32 times as wide."""
        return self.width * (1 if self.patch_size else 32) // self.head_width

    @property
    def grid(self) -> int:
        """Rows (and columns) of the grid of positions that attention is computed over."""
        return self.image_size // (self.patch_size or 32)


@dataclass(frozen=True)
class TextConfig:
    """Text tower.

    `pool_type` selects the token whose output is the embedding: `argmax`, the first one with the highest id
    (CLIP's end-of-text token is the last of its vocabulary), or `eos`, the first one equal to `eos_id`.
    """

    context_length: int = 77
    vocab_size: int = 49408
    width: int = 512
    heads: int = 8
    layers: int = 12
    mlp_ratio: float = 4.0
    pool_type: str = "argmax"
    eos_id: int | None = None


@dataclass(frozen=True)
class Architecture:
    """A CLIP model without its weights."""

    embed_dim: int
    vision_cfg: VisionConfig
    text_cfg: TextConfig
    quick_gelu: bool = False

    @classmethod
    def named(cls, name: str | Path) -> "Architecture":
        """Architecture by name: one of `list_architectures()`, OpenAI's spelling, or a JSON file.

        OpenAI's names with a slash ("ViT-L/14@336px") imply QuickGELU, with which OpenAI trained all models.
        Raises ModelError for an invalid file and for an unknown name, with similar names.
        """
        if str(name).endswith(".json"):
            return cls.from_file(Path(name))
        plain = _openclip_name(str(name))
        known = _published()
        if plain in known:
            return known[plain]
        base = plain.removesuffix(_QUICK_GELU)
        if base in known and plain != base:
            return replace(known[base], quick_gelu=True)
        near = get_close_matches(plain, list_architectures(), n=3)
        guess = f"did you mean {' or '.join(near)}? " if near else ""
        raise ModelError(
            f"no architecture is called {str(name)!r}; {guess}they are {', '.join(known)} (each also with "
            f"{_QUICK_GELU}), or give a JSON file"
        )

    @classmethod
    def from_file(cls, path: Path) -> "Architecture":
        """Read a JSON file: an architecture, or an `open_clip_config.json` that contains one.

        Raises ModelError.
        """
        try:
            content = json.loads(path.read_bytes())
        except OSError as error:
            raise ModelError(f"the architecture {path} can't be read ({error.strerror})") from error
        except (ValueError, RecursionError) as error:
            raise ModelError(f"the architecture {path} is not JSON ({error})") from error
        if isinstance(content, dict):
            content = content.get("model_cfg", content)
        return cls.from_dict(content, str(path))

    @classmethod
    def from_dict(cls, content: Any, source: str) -> "Architecture":
        """Validate an OpenCLIP model config, named `source` in errors. Raises ModelError."""
        top = _fields(cls, content, source)
        vision = _fields(VisionConfig, top.pop("vision_cfg", {}), f"{source}: vision_cfg")
        text = _fields(TextConfig, top.pop("text_cfg", {}), f"{source}: text_cfg")
        if isinstance(layers := vision.get("layers"), list):
            vision["layers"] = tuple(layers)
        vision.setdefault("patch_size", None)
        try:
            found = cls(**top, vision_cfg=VisionConfig(**vision), text_cfg=TextConfig(**text))
        except TypeError as error:
            raise ModelError(f"the architecture {source} is incomplete ({error})") from error
        if problem := found.problem():
            raise ModelError(f"the architecture {source} can't be built: {problem}")
        return found

    def to_dict(self) -> dict[str, Any]:
        """OpenCLIP's model config; `eos_id` is left out if it is None."""
        content = asdict(self)
        if self.text_cfg.eos_id is None:
            del content["text_cfg"]["eos_id"]
        return content

    def problem(self) -> str | None:
        """Reason why this architecture can't be built; None if it can."""
        vision, text = self.vision_cfg, self.text_cfg
        depth = vision.layers if isinstance(vision.layers, tuple) else (vision.layers,)
        patch = () if vision.patch_size is None else (vision.patch_size,)
        counts = (self.embed_dim, vision.image_size, vision.width, vision.head_width, *depth, *patch)
        counts += (text.context_length, text.vocab_size, text.width, text.heads, text.layers)
        if any(type(count) is not int or count < 1 for count in counts):
            return "a size is not a whole number above 0"
        if any(
            type(tower.mlp_ratio) not in (int, float) or not 0 < tower.mlp_ratio < 99
            for tower in (vision, text)
        ):
            return "mlp_ratio is not a number above 0"
        if len(depth) != (4 if vision.patch_size is None else 1):
            return "vision_cfg needs a patch_size (ViT), or a list of four layers and none (ResNet)"
        if not vision.grid:
            return "vision_cfg image_size is smaller than a patch"
        attention_width = vision.width * (1 if vision.patch_size else 32)
        if attention_width % vision.head_width:
            return f"its attention width {attention_width} is no multiple of head_width {vision.head_width}"
        if text.width % text.heads:
            return f"text_cfg width {text.width} is no multiple of heads {text.heads}"
        if text.pool_type not in ("argmax", "eos") or (text.pool_type == "eos") != (type(text.eos_id) is int):
            return "text_cfg pool_type must be argmax, or eos with an eos_id"
        return None


def list_architectures() -> list[str]:
    """Names for `Architecture.named`, each with GELU and, as `NAME-quickgelu`, with QuickGELU."""
    return [each for name in _published() for each in (name, name + _QUICK_GELU)]


def mlp_ratio(hidden: int, width: int) -> float:
    """Ratio for which `int(width * ratio)` is exactly `hidden`."""
    ratio = hidden / width
    return ratio if int(width * ratio) == hidden else math.nextafter(ratio, math.inf)


def with_published_head_width(inferred: Architecture) -> Architecture:
    """`inferred` with the attention heads of the published architecture of the same sizes, if any."""

    def sizes(architecture: Architecture) -> tuple[object, ...]:
        vision, text = architecture.vision_cfg, architecture.text_cfg
        hidden = int(vision.width * vision.mlp_ratio) if vision.patch_size else 0
        return (
            architecture.embed_dim,
            vision.layers,
            vision.width,
            vision.patch_size,
            hidden,
            text.width,
            text.layers,
        )

    for known in _published().values():
        if sizes(known) == sizes(inferred):
            head_width, heads = known.vision_cfg.head_width, known.text_cfg.heads
            vision = replace(inferred.vision_cfg, head_width=head_width)
            return replace(inferred, vision_cfg=vision, text_cfg=replace(inferred.text_cfg, heads=heads))
    return inferred


@cache
def _published() -> dict[str, Architecture]:
    files = sorted(Path(str(resources.files(__package__) / "architectures")).glob("*.json"))
    return {file.stem: Architecture.from_file(file) for file in files}


def _openclip_name(name: str) -> str:
    if "/" not in name:
        return name
    return name.replace("/", "-").replace("@336px", "-336") + _QUICK_GELU


def _fields(cls: type, content: Any, source: str) -> dict[str, Any]:
    """Fields of `content` that `cls` has; any other must be false, zero or empty. Raises ModelError."""
    if not isinstance(content, Mapping):
        raise ModelError(f"the architecture {source} is not a JSON object")
    names = {field.name for field in fields(cls)}
    for name, value in content.items():
        if name not in names and value:
            raise ModelError(
                f"the architecture {source} has {name} = {value!r}, which clipsight does not build; "
                f"it builds CLIP's own towers, from {', '.join(sorted(names))}"
            )
    return {name: value for name, value in content.items() if name in names}
