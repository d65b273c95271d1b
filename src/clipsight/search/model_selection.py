"""A library's model: chosen once, checked at each use, replaced when another has embedded all photos."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from clipsight.core.errors import ModelError
from clipsight.core.paths import expand
from clipsight.store.catalog import Catalog
from clipsight.store.records import Model

if TYPE_CHECKING:
    from clipsight.models.folder import ModelFolder


def choose_model(catalog: Catalog, wanted: "str | os.PathLike[str]", note: Callable[[str], None]) -> Model:
    """Return the catalog's record of the model `wanted`, added if it is new.

    "auto" is the catalog's current model, or for a new one that of `registry.choose_auto`. The first model
    of a library becomes its current one. Raises `ModelError`.
    """
    from clipsight.models import registry

    current = catalog.current_model()
    if wanted != "auto":
        return _adopt(catalog, wanted, note)
    if current is not None:
        return current
    name, _ = registry.choose_auto(note=note)
    return _adopt(catalog, name, note)


def model_folder(model: Model) -> "ModelFolder":
    """Folder of the model. Raises `ModelError` if its files have changed since photos were embedded."""
    from clipsight.models import registry
    from clipsight.models.folder import ModelFolder

    folder = ModelFolder.read(registry.locate(model.source))
    if folder.fingerprint() != model.fingerprint:
        if model.source == registry.BUILTIN:
            raise ModelError(
                "the photos were embedded with an earlier edition of the builtin model, which this clipsight "
                "no longer has: embed them again with: clipsight index"
            )
        raise ModelError(
            f"the model {model.source} has changed since photos were indexed with it: "
            "put the old files back, or embed the photos anew with: "
            f"clipsight index --model {model.source}"
        )
    return folder


def is_outdated(model: Model) -> bool:
    """True for an earlier edition of the builtin model, whose files this version of clipsight lacks."""
    from clipsight.models import registry
    from clipsight.models.folder import ModelFolder

    if model.source != registry.BUILTIN:
        return False
    return ModelFolder.read(registry.locate(registry.BUILTIN)).fingerprint() != model.fingerprint


def finish_switch(catalog: Catalog, model: Model, vectors: Path, note: Callable[[str], None]) -> None:
    """Make `model` the current one if all photos have a vector of it; else `note` how many have none.

    Vectors of other models are deleted, and their index files in the folder `vectors`.
    """
    from clipsight.store.vectors.faiss import remove_files_of_other_models

    if model == catalog.current_model():
        return
    lacking = catalog.count_unembedded(model)
    if lacking and (current := catalog.current_model()) and is_outdated(current):
        note(f"{lacking:,} photos are not found until they are embedded again too: clipsight index")
    elif lacking:
        note(
            f"{lacking:,} photos still have vectors of the old model only, which answers until they are "
            f"embedded: clipsight index --model {model.source}"
        )
    else:
        catalog.set_current_model(model)
        remove_files_of_other_models(vectors, model)


def _adopt(catalog: Catalog, name: "str | os.PathLike[str]", note: Callable[[str], None]) -> Model:
    """Add the model to the catalog, as the current one if it is the library's first."""
    from clipsight.models import registry
    from clipsight.models.folder import ModelFolder

    path = registry.locate(name, note=note)
    folder = ModelFolder.read(path)
    source = str(path.resolve()) if os.path.isdir(expand(name)) else os.fspath(name)
    model = catalog.add_model(folder.fingerprint(), folder.name, source, folder.embed_dim)
    if catalog.current_model() is None:
        catalog.set_current_model(model)
    return model
