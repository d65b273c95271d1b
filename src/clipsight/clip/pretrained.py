"""Published PyTorch weights and the configs beside them: on disk, or from the Hugging Face hub.

Downloads go to huggingface_hub's cache, which transformers and OpenCLIP share, so files that one of them has
downloaded are used, even offline.
"""

import json
import os
import re
from pathlib import Path
from typing import Any

from clipsight.clip.architecture import Architecture
from clipsight.clip.huggingface_config import from_huggingface
from clipsight.core.errors import CheckpointError, ModelError
from clipsight.core.paths import expand
from clipsight.core.version import __version__
from clipsight.models import model_index
from clipsight.models.hub import (
    HubError,
    UnreachableError,
    as_hub_error,
    endpoint_for,
    network_errors,
    repo_url,
)
from clipsight.models.preprocess import PreprocessConfig

CONFIG_FILES = {
    "open_clip_model.safetensors": "open_clip_config.json",
    "open_clip_pytorch_model.bin": "open_clip_config.json",
    "model.safetensors": "config.json",
    "pytorch_model.bin": "config.json",
}
"""Weights files of a repository in order of preference, each with its config file."""

_PAIRS = ", or ".join(f"{weights} and {config}" for weights, config in CONFIG_FILES.items())
_PREPROCESSOR = "preprocessor_config.json"
_BEST = "best"
_REPO = re.compile(r"\w[\w.-]*/\w[\w.-]*", re.ASCII)
_SUFFIXES = (".pt", ".pth", ".bin", ".safetensors")
# Publishers of PyTorch weights of CLIP among the owners in a known model's aliases.
_OWNERS = ("openai/", "laion/", "timm/", "apple/")


def locate(pretrained: str | Path) -> Path:
    """Return the path of the weights or folder `pretrained`; download it from the hub if it is not on disk.

    Accepts a file or folder, a repository of the hub (`openai/clip-vit-base-patch32`, `hf-hub:owner/name`),
    or any other name of a known model (`ViT-B-32__openai`, `ViT-B-32/laion2b_s34b_b79k`). Raises
    CheckpointError.
    """
    name = str(pretrained)
    path = expand(pretrained)
    if os.path.exists(path):
        return path
    if isinstance(pretrained, Path) or name.startswith(("/", ".", "~")) or name.endswith(_SUFFIXES):
        raise CheckpointError(f"there are no weights at {path}; check the path")
    repo = repository(name)
    return _cached(repo) or _download(repo)


def repository(name: str) -> str:
    """Repository of the hub ("owner/name") with the PyTorch weights of the model `name`.

    Raises CheckpointError for an unknown name.
    """
    plain = name.removeprefix("hf-hub:")
    model = model_index.find(plain)
    if model is None and _REPO.fullmatch(plain):
        return plain
    aliases = model.aliases if model else ()
    published = [alias for alias in aliases if alias.startswith(_OWNERS)]
    if plain in published:
        return plain
    if published:
        return published[0]
    why = "is not published as PyTorch weights of CLIP" if model else "is not known"
    raise CheckpointError(
        f"the model {name!r} {why}; give a checkpoint's path or a repository of the hub as owner/name"
    )


def find_weights(path: Path) -> Path:
    """Weights file in the folder of a repository or training run; a file is returned as it is.

    Raises CheckpointError for a folder without weights.
    """
    if not os.path.isdir(path):
        return path
    for folder in (path / _BEST, path):
        for name in CONFIG_FILES:
            if os.path.isfile(folder / name):
                return folder / name
    raise CheckpointError(f"the folder {path} has no weights in it; they would be {', '.join(CONFIG_FILES)}")


def read_architecture(weights: Path) -> Architecture | None:
    """Architecture in the config file beside `weights`; None without such a file.

    Raises CheckpointError for a config that is invalid or not supported.
    """
    name = CONFIG_FILES.get(weights.name)
    file = weights.with_name(name) if name else weights
    if name is None or not os.path.isfile(file):
        return None
    try:
        if name == "config.json":
            return from_huggingface(_read_json(file), str(file))
        return Architecture.from_file(file)
    except ModelError as error:
        raise CheckpointError(str(error)) from error


def read_preprocess(weights: Path, size: int) -> PreprocessConfig:
    """Preprocessing in the config file beside `weights`, for images of `size` pixels; by default CLIP's.

    Some models differ from the default: LAION's ViT-L/14 has another mean, and Apple's ViT-H/14 at 378 pixels
    ignores the aspect ratio. Raises CheckpointError for an invalid config.
    """
    config: dict[str, Any] = {}
    if CONFIG_FILES.get(weights.name) == "config.json":
        processor = _read_json(weights.with_name(_PREPROCESSOR))
        config = {"mean": processor.get("image_mean"), "std": processor.get("image_std")}
    elif weights.name in CONFIG_FILES:
        config = _read_json(weights.with_name(CONFIG_FILES[weights.name])).get("preprocess_cfg") or {}
    try:
        return PreprocessConfig.from_dict({**config, "size": size})
    except ModelError as error:
        raise CheckpointError(f"{weights.parent}: {error}") from error


def _read_json(path: Path) -> dict[str, Any]:
    """Object in a JSON file; empty without a file."""
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} can't be read ({error})") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} is not a JSON object")
    return content


def _cached(repo: str) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    for weights, config in CONFIG_FILES.items():
        cached_weights, cached_config = (try_to_load_from_cache(repo, file) for file in (weights, config))
        if isinstance(cached_weights, str) and isinstance(cached_config, str):
            return Path(cached_weights)
    return None


def _download(repo: str) -> Path:
    try:
        endpoint = endpoint_for(repo)
        try:
            return _fetch(repo, endpoint)
        except network_errors() as error:
            raise as_hub_error(error, repo, endpoint) from error
    except UnreachableError as error:
        raise CheckpointError(
            f"{error.reason}; {error.remedy}; without internet, bring from {repo_url(repo)} {_PAIRS} "
            "into a folder, and give its path on disk in place of the name"
        ) from error
    except HubError as error:
        raise CheckpointError(f"{error.reason}; or give the path of a checkpoint on disk") from error


def _fetch(repo: str, endpoint: str) -> Path:
    from huggingface_hub import HfApi

    api = HfApi(endpoint=endpoint, library_name="clipsight", library_version=__version__)
    try:
        files = {file.rfilename for file in api.model_info(repo).siblings or ()}
    except (ValueError, TypeError, KeyError) as error:  # not a hub's response, but perhaps a login page
        if isinstance(error, network_errors()):
            raise
        raise CheckpointError(f"{endpoint} does not answer as a model hub; check HF_ENDPOINT") from error
    weights = next((file for file in CONFIG_FILES if file in files), None)
    if weights is None:
        raise CheckpointError(f"{repo} has no PyTorch weights in it; they would be {', '.join(CONFIG_FILES)}")
    if CONFIG_FILES[weights] in files:  # first: it is small, and the architecture may be unsupported
        config = Path(api.hf_hub_download(repo, CONFIG_FILES[weights]))
        read_architecture(config.with_name(weights))
    if _PREPROCESSOR in files:
        api.hf_hub_download(repo, _PREPROCESSOR)
    return Path(api.hf_hub_download(repo, weights))
