"""Names people already use -> a model folder: the builtin one, one on disk, or one from the hub."""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from clipsight.core import paths
from clipsight.core.errors import ModelError
from clipsight.models import hub, model_index
from clipsight.models.download import install, partial_bytes
from clipsight.models.folder import ModelFolder
from clipsight.models.model_index import KnownModel as KnownModel

RECOMMENDED = "ViT-B-32__laion2b-s34b-b79k"
"""Of the models quick and free enough, the one with the best published retrieval: docs/models.md."""

BUILTIN = "builtin"

# `--model auto` is decided within 3 s; the last one is for all but the waiting, on a busy machine.
_DECISION_SECONDS = 2.0
_REPO = re.compile(r"\w[\w.-]*/\w[\w.-]*", re.ASCII)


@dataclass(frozen=True)
class ModelName:
    """A name understood: the one clipsight uses, and the `repo` or the `folder` the model comes from.

    The builtin model has neither.
    """

    name: str
    repo: str | None = None
    folder: Path | None = None


@dataclass(frozen=True)
class ModelStatus:
    """A model that is on disk, or that can be had: a line of `clipsight models`.

    `size_bytes` is what it takes (or would take) on disk, `partial_bytes` what an unfinished download has
    brought. The figures mean what they mean in `KnownModel`; of a model that is not a known one, there is
    what its folder states. `problem` says why a folder that is there can't be used.
    """

    name: str
    on_disk: bool
    recommended: bool = False
    size_bytes: int | None = None
    partial_bytes: int = 0
    license: str | None = None
    commercial: bool | None = None
    multilingual: bool | None = None
    embed_dim: int | None = None
    image_size: int | None = None
    imagenet_top1: float | None = None
    source: str | None = None
    retrieval: float | None = None
    retrieval_source: str | None = None
    problem: str | None = None


def parse_name(name: str) -> ModelName:
    """Understand any of the names a model goes by, without asking the hub.

    `builtin`; a folder's path; `ViT-B-32__openai` (immich); `ViT-B/32` (OpenAI); `ViT-B-32/openai` and
    `hf-hub:owner/name` (OpenCLIP); `openai/clip-vit-base-patch32` (Hugging Face). Letter case, and `-` for
    `_`, don't matter. A known name goes before a folder of that name; `./NAME` is always the folder.
    Raises ModelError that gives the nearest right names.
    """
    wanted = name.strip()
    if wanted.startswith(("/", "./", "../", "~")) or wanted in (".", ".."):
        return _folder_name(wanted)
    if wanted.lower() == BUILTIN:
        return ModelName(BUILTIN)
    plain = wanted.removeprefix("hf-hub:")
    model = model_index.find(plain)
    if model is not None:
        return ModelName(model.name, repo=model.repo)
    if wanted in _folders_on_disk():
        return ModelName(wanted, folder=paths.models_folder() / wanted)
    if wanted and os.path.isdir(wanted):
        return _folder_name(wanted)
    if model_index.is_elsewhere(plain):
        raise _not_onnx(f"{plain} is not published in the ONNX form that clipsight reads", plain)
    if plain != wanted and _REPO.fullmatch(plain):
        return ModelName(plain.replace("/", "__"), repo=plain)
    raise _unknown(wanted)


def locate(name: str, *, download: bool = True, progress: bool = True) -> Path:
    """The folder of the model called `name` (see `parse_name`), downloaded now if it is not on disk.

    With `progress`, a download shows a bar on stderr if that is a terminal. Raises ModelError: an unknown
    name, a folder that is not there, or (`hub.HubError`) a model that can't be had now.
    """
    found = parse_name(name)
    if found.folder is not None:
        return found.folder
    if found.repo is None:
        return builtin_folder()
    folder = paths.models_folder() / found.name
    if folder.is_dir():
        return folder
    if not download:
        raise ModelError(f"the model {found.name} is not on disk; `clipsight models` lists those that are")
    try:
        return install(hub.listing(found.repo), folder, progress=progress)
    except hub.NotOnnxError as error:
        raise _not_onnx(error.reason, found.repo) from error


def choose_auto(*, note: Callable[[str], None]) -> tuple[str, Path]:
    """A new library's model: the recommended one if it is on disk or the hub answers, else the builtin one.

    Decided within 3 s when the hub does not answer, whatever hangs. `note` gets one line: which model, why,
    and how to change it later. Returns its name and folder. Raises ModelError if there is none at all.
    """
    folder = paths.models_folder() / RECOMMENDED
    why = "which is on disk"
    if not folder.is_dir():
        try:
            listing = hub.listing_within(_recommended().repo, _DECISION_SECONDS)
            install(listing, folder, progress=True)
        except hub.HubError as error:
            return BUILTIN, _fall_back(error, note)
        why = f"downloaded from {listing.endpoint}"
    note(f"using the recommended model {RECOMMENDED}, {why}; for another: clipsight index --model NAME")
    return RECOMMENDED, folder


def list_models() -> list[ModelStatus]:
    """Every model: the builtin one, those on disk, then those that can be had, best retrieval first."""
    here = _folders_on_disk()
    published = {model.name: model for model in model_index.known_models()}
    return [
        _own_status(BUILTIN, _builtin_path()),
        *(
            _known_status(published[name], folder) if name in published else _own_status(name, folder)
            for name, folder in here.items()
        ),
        *(_known_status(model, None) for name, model in published.items() if name not in here),
    ]


def builtin_folder() -> Path:
    """The folder of the small model that ships with clipsight. Raises ModelError if it is not installed."""
    folder = _builtin_path()
    if not (folder / "config.json").is_file():
        raise ModelError(
            f"this installation of clipsight lacks the builtin model ({folder}); install clipsight again, "
            f"or choose another with `model={RECOMMENDED}`"
        )
    return folder


def _builtin_path() -> Path:
    return Path(str(resources.files(__package__) / BUILTIN))


def _recommended() -> KnownModel:
    model = model_index.find(RECOMMENDED)
    assert model is not None
    return model


def _folder_name(path: str) -> ModelName:
    folder = Path(os.path.expanduser(path))
    if not os.path.isdir(folder):
        raise ModelError(f"no model folder at {path}; `clipsight models` lists the models that have names")
    return ModelName(str(folder), folder=folder)


def _folders_on_disk() -> dict[str, Path]:
    try:
        found = sorted(paths.models_folder().iterdir())
    except FileNotFoundError:  # nothing downloaded yet
        return {}
    return {folder.name: folder for folder in found if folder.is_dir() and not folder.name.startswith(".")}


def _unknown(name: str) -> ModelError:
    shown = name if len(name) <= 80 else f"{name[:80]}..."
    near = model_index.nearest(shown)
    guess = f"did you mean {' or '.join(near)}? " if near else ""
    other = f"; for another repository of the hub, write hf-hub:{shown}" if _REPO.fullmatch(shown) else ""
    return ModelError(f"no model is called {shown!r}; {guess}`clipsight models` lists them all{other}")


def _not_onnx(reason: str, name: str) -> ModelError:
    near = model_index.nearest(name, aliases=False) or [RECOMMENDED]
    return ModelError(f"{reason}; the nearest that are: {', '.join(near)}")


def _fall_back(error: hub.HubError, note: Callable[[str], None]) -> Path:
    try:
        folder = builtin_folder()
    except ModelError as missing:
        raise ModelError(f"{error.reason}, and {missing}") from error
    note(f"using builtin, the small model: {error.reason}; later: clipsight index --model {RECOMMENDED}")
    return folder


def _known_status(model: KnownModel, folder: Path | None) -> ModelStatus:
    return ModelStatus(
        name=model.name,
        on_disk=folder is not None,
        recommended=model.name == RECOMMENDED,
        size_bytes=_bytes_in(folder) if folder else model.size_bytes,
        partial_bytes=partial_bytes(paths.models_folder() / model.name),
        license=model.license,
        commercial=model.commercial,
        multilingual=model.multilingual,
        embed_dim=model.embed_dim,
        image_size=model.image_size,
        imagenet_top1=model.imagenet_top1,
        source=model.source,
        retrieval=model.retrieval,
        retrieval_source=model.retrieval_source,
        problem=_problem(folder) if folder else None,
    )


def _own_status(name: str, path: Path) -> ModelStatus:
    try:
        folder = ModelFolder.read(path)
    except ModelError as error:
        return ModelStatus(name, on_disk=path.is_dir(), problem=str(error))
    return ModelStatus(
        name=name,
        on_disk=True,
        size_bytes=_bytes_in(path),
        license=folder.license,
        embed_dim=folder.embed_dim,
        image_size=folder.preprocess.size[0],
    )


def _problem(path: Path) -> str | None:
    try:
        ModelFolder.read(path)
    except ModelError as error:
        return str(error)
    return None


def _bytes_in(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
