"""Resolves model names to model folders: the builtin model, a folder on disk, or a download from the hub.

`model_index` holds the data of the published models; this module parses names and lists available models.
"""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from clipsight.core import paths
from clipsight.core.errors import ModelError
from clipsight.core.files import total_size
from clipsight.models import hub, model_index
from clipsight.models.download import install, partial_bytes
from clipsight.models.folder import REQUIRED_FILES, ModelFolder
from clipsight.models.model_index import PublishedModel

RECOMMENDED = "ViT-B-32__laion2b-s34b-b79k"
"""The model with the best retrieval among those that are fast and licensed for all uses: docs/models.md."""

MULTILINGUAL = "ViT-B-32-SigLIP2-256__webli"
"""The recommended model if the user's language is not English; see `recommended_model`."""

BUILTIN = "builtin"

# `auto` is decided within 3 s: 2 s of waiting for the hub, and the rest on a busy machine.
_DECISION_SECONDS = 2.0
_REPO = re.compile(r"\w[\w.-]*/\w[\w.-]*", re.ASCII)


@dataclass(frozen=True)
class ModelName:
    """A parsed model name; the builtin model has neither `repo` nor `folder`."""

    name: str
    """clipsight's name of the model"""
    repo: str | None = None
    """"owner/name" on the hub"""
    folder: Path | None = None
    """model folder on disk"""


@dataclass(frozen=True)
class ModelStatus:
    """A model on disk or available for download: a row of `clipsight models`.

    `size_bytes` is its size on disk (or after a download), `partial_bytes` the size of an unfinished
    download. The other fields are those of `PublishedModel`, or for an unpublished model those of its
    folder. `problem` is the reason if a folder on disk can't be used.
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


def parse_name(name: str | os.PathLike[str]) -> ModelName:
    """Parse any of the names of a model, without network access.

    `builtin`; a folder's path; `ViT-B-32__openai` (immich); `ViT-B/32` (OpenAI); `ViT-B-32/openai` and
    `hf-hub:owner/name` (OpenCLIP); `openai/clip-vit-base-patch32` (Hugging Face). Letter case, and `-` for
    `_`, don't matter. A published name takes precedence over a folder of that name, unless it is given as
    `./NAME` or a path object. Raises ModelError, which suggests similar names.
    """
    if isinstance(name, os.PathLike):
        return _folder_name(os.fspath(name))
    if not isinstance(name, str):
        raise ModelError(f"`model` takes a name or the path of a model folder, not {name!r}")
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
    if model_index.lacks_onnx_export(plain):
        raise _not_onnx(f"{plain} is not published in the ONNX form that clipsight reads", plain)
    if plain != wanted and _REPO.fullmatch(plain):
        return ModelName(plain.replace("/", "__"), repo=plain)
    raise _unknown(wanted)


def locate(
    name: str | os.PathLike[str],
    *,
    download: bool = True,
    progress: bool = True,
    note: Callable[[str], None] = lambda line: None,
) -> Path:
    """Return the folder of the model `name` (see `parse_name`), downloading it if it is not on disk.

    Before a download, `note` is called with a line that gives its size, source and target; `progress` shows a
    bar on stderr if that is a terminal. Raises ModelError for an unknown name or a missing folder, and
    `hub.HubError` for a failed download.
    """
    found = parse_name(name)
    if found.folder is not None:
        return found.folder
    if found.repo is None:
        return builtin_folder()
    folder = paths.models_folder() / found.name
    if os.path.isdir(folder):
        return folder
    if not download:
        raise ModelError(f"the model {found.name} is not on disk; `clipsight models` lists those that are")
    try:
        listing = hub.list_repo(found.repo)
        note(f"downloading {found.name} ({listing.size / 1e6:,.0f} MB) from {listing.endpoint} to {folder}")
        return install(listing, folder, progress=progress)
    except hub.NotOnnxError as error:
        raise _not_onnx(error.reason, found.repo) from error
    except hub.UnreachableError as error:
        raise hub.HubError(
            error.reason,
            f"{error.remedy}; without internet, bring from {hub.repo_url(found.repo)} "
            f"{', '.join(REQUIRED_FILES)} and what else is in visual/ and textual/ into {folder} "
            f"(on a machine with internet, `clipsight models download {found.name}` fetches that folder)",
        ) from error


def choose_auto(*, note: Callable[[str], None]) -> tuple[str, Path]:
    """Choose a new library's model: the recommended one if on disk or downloadable, else the builtin one.

    The multilingual one is recommended if the locale is not English. Takes at most 3 s if the hub does not
    respond. `note` is called with one line: the model, the reason, and how to change it later. Returns the
    name and the folder. Raises ModelError if there is no model at all.
    """
    name = recommended_model()
    folder = paths.models_folder() / name
    why = "which is on disk"
    if not os.path.isdir(folder):
        model = model_index.find(name)
        assert model is not None
        try:
            listing = hub.list_repo_within(model.repo, _DECISION_SECONDS)
            install(listing, folder, progress=True)
        except hub.HubError as error:
            return BUILTIN, _fall_back_to_builtin(error, name, note)
        why = f"downloaded from {listing.endpoint}"
    note(f"using the recommended model {name}, {why}; for another: clipsight index --model NAME")
    return name, folder


def recommended_model(environment: Mapping[str, str] = os.environ) -> str:
    """Name of the recommended model for the locale of messages (POSIX: LC_ALL, LC_MESSAGES, LANG)."""
    chosen = (environment.get(variable) for variable in ("LC_ALL", "LC_MESSAGES", "LANG"))
    language = re.split(r"[_.@]", next(filter(None, chosen), ""))[0].lower()
    return RECOMMENDED if language in ("", "c", "posix", "en") else MULTILINGUAL


def languages_of(folder: ModelFolder) -> frozenset[str]:
    """Codes of the languages that the model reads, such as "en"; empty if they are not known."""
    model = model_index.find(folder.name)
    if not folder.languages and model is not None and not model.multilingual:
        return frozenset(("en",))
    return frozenset(folder.languages)


def list_models() -> list[ModelStatus]:
    """List all models: the builtin one, those on disk, then those to download, best retrieval first."""
    on_disk = _folders_on_disk()
    published = {model.name: model for model in model_index.published_models()}
    return [
        _folder_status(BUILTIN, _builtin_path()),
        *(
            _published_status(published[name], folder) if name in published else _folder_status(name, folder)
            for name, folder in on_disk.items()
        ),
        *(_published_status(model, None) for name, model in published.items() if name not in on_disk),
    ]


def builtin_folder() -> Path:
    """Return the folder of the small model that ships with clipsight. Raises ModelError if it is missing."""
    folder = _builtin_path()
    if not os.path.isfile(folder / "config.json"):
        raise ModelError(
            f"this installation of clipsight lacks the builtin model ({folder}); install clipsight again, "
            f"or choose another with `model={recommended_model()}`"
        )
    return folder


def _builtin_path() -> Path:
    return Path(str(resources.files(__package__) / BUILTIN))


def _folder_name(path: str) -> ModelName:
    folder = paths.expand(path)
    if not os.path.isdir(folder):
        raise ModelError(f"no model folder at {path}; `clipsight models` lists the models that have names")
    return ModelName(str(folder), folder=folder)


def _folders_on_disk() -> dict[str, Path]:
    try:
        found = sorted(paths.models_folder().iterdir())
    except FileNotFoundError:  # nothing downloaded yet
        return {}
    return {
        folder.name: folder for folder in found if os.path.isdir(folder) and not folder.name.startswith(".")
    }


def _unknown(name: str) -> ModelError:
    shown = name if len(name) <= 80 else f"{name[:80]}..."
    near = model_index.nearest_names(shown)
    guess = f"did you mean {' or '.join(near)}? " if near else ""
    other = f"; for another repository of the hub, write hf-hub:{shown}" if _REPO.fullmatch(shown) else ""
    return ModelError(f"no model is called {shown!r}; {guess}`clipsight models` lists them all{other}")


def _not_onnx(reason: str, name: str) -> ModelError:
    near = model_index.nearest_names(name, aliases=False) or [recommended_model()]
    return ModelError(f"{reason}; the nearest that are: {', '.join(near)}")


def _fall_back_to_builtin(error: hub.HubError, name: str, note: Callable[[str], None]) -> Path:
    try:
        folder = builtin_folder()
    except ModelError as missing:
        raise ModelError(f"{error.reason}, and {missing}") from error
    note(f"using builtin, the small model: {error.reason}; later: clipsight index --model {name}")
    return folder


def _published_status(model: PublishedModel, folder: Path | None) -> ModelStatus:
    return ModelStatus(
        name=model.name,
        on_disk=folder is not None,
        recommended=model.name == recommended_model(),
        size_bytes=total_size(folder) if folder else model.size_bytes,
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


def _folder_status(name: str, path: Path) -> ModelStatus:
    try:
        folder = ModelFolder.read(path)
    except ModelError as error:
        return ModelStatus(name, on_disk=os.path.isdir(path), problem=str(error))
    return ModelStatus(
        name=name,
        on_disk=True,
        size_bytes=total_size(path),
        license=folder.license,
        multilingual=len(folder.languages) > 1 if folder.languages else None,
        embed_dim=folder.embed_dim,
        image_size=folder.preprocess.size[0],
    )


def _problem(path: Path) -> str | None:
    try:
        ModelFolder.read(path)
    except ModelError as error:
        return str(error)
    return None
