"""Import of a model folder, such as one from another machine, into the folder of downloaded models."""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from clipsight.core import paths
from clipsight.core.errors import ModelError
from clipsight.core.files import sync, total_size
from clipsight.models import model_index
from clipsight.models.download import new_folder
from clipsight.models.encoder import Encoder
from clipsight.models.folder import ModelFolder, model_files
from clipsight.models.registry import BUILTIN

_NAME = re.compile(r"\w[\w.-]*")
_HUB_CACHE = re.compile(r"models--([^/]+)--([^/]+)/snapshots/[^/]+/?$")
"""The path of a repository in huggingface_hub's cache ends like this."""


def import_folder(source: str | os.PathLike[str], name: str | None = None, *, symlink: bool = False) -> Path:
    """Copy the model folder `source` into the folder of models, or link to it; return the new path.

    Both towers are run once before. `name` is by default that of the published model, if the folder's config
    or path identifies one, otherwise the name in the config or of the folder. The copy is complete or does
    not exist. Raises ModelError for a folder that is not a model or can't be run, and for a name already in
    use.
    """
    folder = ModelFolder.read(paths.expand(source))
    target = paths.models_folder() / _model_name(folder, name)
    if os.path.exists(target) and target.samefile(folder.path):
        return target
    _check_runs(folder)
    with new_folder(target, 0 if symlink else total_size(folder.path)) as new:
        if symlink:
            new.symlink_to(folder.path.resolve())
        else:
            _copy(folder.path, new)
    return target


def _copy(source: Path, target: Path) -> None:
    """Copy the files of a model, and flush them to disk."""
    names = (file.relative_to(source).as_posix() for file in source.rglob("*") if os.path.isfile(file))
    for name in model_files(names):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, target / name)
        sync(target / name)


def _check_runs(folder: ModelFolder) -> None:
    """Embed random noise and a text. Raises ModelError unless both vectors have the model's length."""
    encoder = Encoder(folder)
    height, width = encoder.input_size
    noise = np.random.default_rng(0).integers(0, 256, (1, height, width, 3), dtype=np.uint8)
    sizes = (encoder.encode_pixels(noise).shape[1], encoder.encode_texts(["a photo"]).shape[1])
    if sizes != (folder.embed_dim, folder.embed_dim):
        raise ModelError(
            f"model folder {folder.path}: vectors of photos have {sizes[0]} numbers and of texts {sizes[1]}; "
            f"config.json says {folder.embed_dim}"
        )


def _model_name(folder: ModelFolder, name: str | None) -> str:
    """The name of the new folder, by which `registry.parse_name` finds it."""
    if name is None:
        published = map(model_index.find, _names(folder))
        return next((model.name for model in published if model), None) or _checked(folder.name)
    known = model_index.find(name)
    return known.name if known else _checked(name)


def _names(folder: ModelFolder) -> Iterator[str]:
    yield folder.name
    path = folder.path.resolve()
    yield path.name
    if cached := _HUB_CACHE.search(path.as_posix()):
        yield f"{cached[1]}/{cached[2]}"


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name) or name.lower() == BUILTIN:
        raise ModelError(
            f"{name!r} can't be a model's name: choose a `name` of letters, digits, '-', '_' and '.'"
        )
    return name
