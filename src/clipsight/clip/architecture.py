"""An architecture is data: a JSON file in OpenCLIP's field names, read into plain dataclasses.

`architectures/` holds the published ones; `clip.create` builds them, `checkpoint` recognises them.
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

_QUICK = "-quickgelu"


@dataclass(frozen=True)
class VisionConfig:
    """The image tower: a ModifiedResNet where `patch_size` is None and `layers` has four counts, else a ViT.

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
        """Rows (and columns) of positions that attention sees."""
        return self.image_size // (self.patch_size or 32)


@dataclass(frozen=True)
class TextConfig:
    """The text tower. `pool_type` says which token stands for the text: `argmax`, the first of the highest id
    (CLIP's end-of-text is the last of its vocabulary), or `eos`, the first that is `eos_id`.
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
    """Everything about a CLIP model but its weights."""

    embed_dim: int
    vision_cfg: VisionConfig
    text_cfg: TextConfig
    quick_gelu: bool = False

    @classmethod
    def named(cls, name: str | Path) -> "Architecture":
        """The architecture called `name`: of `list_architectures()`, in OpenAI's spelling, or a JSON file.

        OpenAI's names with a slash ("ViT-L/14@336px") mean QuickGELU, with which OpenAI trained them all.
        Raises ModelError with the nearest right names, or saying what is wrong in the file.
        """
        if str(name).endswith(".json"):
            return cls.from_file(Path(name))
        plain = _openclip_name(str(name))
        known = _published()
        if plain in known:
            return known[plain]
        base = plain.removesuffix(_QUICK)
        if base in known and plain != base:
            return replace(known[base], quick_gelu=True)
        near = get_close_matches(plain, list_architectures(), n=3)
        guess = f"did you mean {' or '.join(near)}? " if near else ""
        raise ModelError(
            f"no architecture is called {str(name)!r}; {guess}they are {', '.join(known)} (each also with "
            f"{_QUICK}), or give a JSON file"
        )

    @classmethod
    def from_file(cls, path: Path) -> "Architecture":
        """Read a JSON file: an architecture, or a repository's `open_clip_config.json` around one.

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
        """Check the fields of an OpenCLIP model config; errors call it `source`. Raises ModelError."""
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
        """The model config as OpenCLIP writes it: fields that are None and not needed are left out."""
        content = asdict(self)
        if self.text_cfg.eos_id is None:
            del content["text_cfg"]["eos_id"]
        return content

    def problem(self) -> str | None:
        """What keeps this architecture from being built, if anything."""
        vision, text = self.vision_cfg, self.text_cfg
        depth = vision.layers if isinstance(vision.layers, tuple) else (vision.layers,)
        patch = () if vision.patch_size is None else (vision.patch_size,)
        counts = (self.embed_dim, vision.image_size, vision.width, vision.head_width, *depth, *patch)
        counts += (text.context_length, text.vocab_size, text.width, text.heads, text.layers)
        if any(type(count) is not int or count < 1 for count in counts):
            return "a size is not a whole number above 0"
        if any(
            type(part.mlp_ratio) not in (int, float) or not 0 < part.mlp_ratio < 99 for part in (vision, text)
        ):
            return "mlp_ratio is not a number above 0"
        if len(depth) != (4 if vision.patch_size is None else 1):
            return "vision_cfg needs a patch_size (ViT), or a list of four layers and none (ResNet)"
        if not vision.grid:
            return "vision_cfg image_size is smaller than a patch"
        attended = vision.width * (1 if vision.patch_size else 32)
        if attended % vision.head_width:
            return f"the width of its attention, {attended}, is no multiple of head_width {vision.head_width}"
        if text.width % text.heads:
            return f"text_cfg width {text.width} is no multiple of heads {text.heads}"
        if text.pool_type not in ("argmax", "eos") or (text.pool_type == "eos") != (type(text.eos_id) is int):
            return "text_cfg pool_type must be argmax, or eos with an eos_id"
        return None


def list_architectures() -> list[str]:
    """The names that `Architecture.named` knows, each with GELU and, as `NAME-quickgelu`, with QuickGELU."""
    return [each for name in _published() for each in (name, name + _QUICK)]


def mlp_ratio(hidden: int, width: int) -> float:
    """The ratio of which `int(width * ratio)` is `hidden`."""
    ratio = hidden / width
    return ratio if int(width * ratio) == hidden else math.nextafter(ratio, math.inf)


def completed(guess: Architecture) -> Architecture:
    """`guess` with the head width of the published architecture that has its sizes, if there is one."""

    def sizes(one: Architecture) -> tuple[object, ...]:
        vision, text = one.vision_cfg, one.text_cfg
        hidden = int(vision.width * vision.mlp_ratio) if vision.patch_size else 0
        return one.embed_dim, vision.layers, vision.width, vision.patch_size, hidden, text.width, text.layers

    for known in _published().values():
        if sizes(known) == sizes(guess):
            head_width, heads = known.vision_cfg.head_width, known.text_cfg.heads
            vision = replace(guess.vision_cfg, head_width=head_width)
            return replace(guess, vision_cfg=vision, text_cfg=replace(guess.text_cfg, heads=heads))
    return guess


@cache
def _published() -> dict[str, Architecture]:
    files = sorted(Path(str(resources.files(__package__) / "architectures")).glob("*.json"))
    return {file.stem: Architecture.from_file(file) for file in files}


def _openclip_name(name: str) -> str:
    if "/" not in name:
        return name
    return name.replace("/", "-").replace("@336px", "-336") + _QUICK


def _fields(cls: type, content: Any, source: str) -> dict[str, Any]:
    """The fields of `content` that `cls` has; those it lacks may only be switched off."""
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
