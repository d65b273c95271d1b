"""What the files beside published weights say of them: the architecture, and how photos are prepared.

Called by `checkpoint`, `export`, `published` and `run`.
"""

import json
from pathlib import Path
from typing import Any

from clipsight.clip.architecture import Architecture
from clipsight.clip.configs import from_hugging_face
from clipsight.core.errors import CheckpointError, ModelError
from clipsight.models.preprocess import PreprocessConfig

FILES = {
    "open_clip_model.safetensors": "open_clip_config.json",
    "open_clip_pytorch_model.bin": "open_clip_config.json",
    "model.safetensors": "config.json",
    "pytorch_model.bin": "config.json",
}
"""The weights that a hub's repository may have, best first, and the file beside each that describes them."""

PREPROCESSOR = "preprocessor_config.json"
"""Beside Hugging Face's weights: how photos are prepared."""

_BEST = "best"


def weights_in(path: Path) -> Path:
    """The weights file itself, of a repository's folder or of a training run's. Raises CheckpointError."""
    if not path.is_dir():
        return path
    for folder in (path / _BEST, path):
        for name in FILES:
            if (folder / name).is_file():
                return folder / name
    raise CheckpointError(f"the folder {path} has no weights in it; they would be {', '.join(FILES)}")


def declared_architecture(weights: Path) -> Architecture | None:
    """What the config beside a repository's weights says of their architecture, if there is one.

    Raises CheckpointError where that is nothing clipsight builds.
    """
    name = FILES.get(weights.name)
    file = weights.with_name(name) if name else weights
    if name is None or not file.is_file():
        return None
    try:
        if name == "config.json":
            return from_hugging_face(_read_json(file), str(file))
        return Architecture.from_file(file)
    except ModelError as error:
        raise CheckpointError(str(error)) from error


def declared_preprocess(weights: Path, size: int) -> PreprocessConfig:
    """How photos of this side in pixels are prepared: as a file beside the weights says, else as CLIP's are.

    LAION's ViT-L/14 has another mean, Apple's ViT-H/14 at 378 pixels squashes the photo. Raises
    CheckpointError where the file can't be read.
    """
    given: dict[str, Any] = {}
    if FILES.get(weights.name) == "config.json":
        theirs = _read_json(weights.with_name(PREPROCESSOR))
        given = {"mean": theirs.get("image_mean"), "std": theirs.get("image_std")}
    elif weights.name in FILES:
        given = _read_json(weights.with_name(FILES[weights.name])).get("preprocess_cfg") or {}
    try:
        return PreprocessConfig.from_dict({**given, "size": size})
    except ModelError as error:
        raise CheckpointError(f"{weights.parent}: {error}") from error


def _read_json(path: Path) -> dict[str, Any]:
    """Empty where there is no such file."""
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} can't be read ({error})") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} is not a JSON object")
    return content
