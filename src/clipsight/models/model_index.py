"""Data of the published models and their names: `model_index.json`, whose sources are in `docs/models.md`."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cache
from importlib import resources
from typing import Any

_OWNER = "immich-app"
_MAX_NAMES = 3
# Minimum similarity of a misspelt name, and the bonus for the same architecture or owner.
_MIN_SIMILARITY = 0.6
_FAMILY_BONUS = 0.25


@dataclass(frozen=True)
class PublishedModel:
    """A published model: `repo` ("owner/name") on the hub, and published measurements.

    `size_bytes` is the size of the weights (4 bytes a parameter). `imagenet_top1` is zero-shot accuracy in
    percent, from `source`. `retrieval` is the mean of text-to-image recall@1, @5 and @10 in percent over the
    English captions of Crossmodal-3600, from `retrieval_source`. `image_ms` (one photo) and `memory_mib` are
    immich's measurements on a desktop CPU. Unpublished figures are None. `aliases` are the names of the
    same weights in other projects.
    """

    name: str
    repo: str
    size_bytes: int | None
    license: str
    commercial: bool
    embed_dim: int
    context_length: int
    image_size: int
    imagenet_top1: float | None
    source: str | None
    retrieval: float | None
    retrieval_source: str | None
    image_ms: float | None
    memory_mib: int | None
    multilingual: bool
    aliases: tuple[str, ...]


@cache
def published_models() -> tuple[PublishedModel, ...]:
    """Return the models published in the layout that clipsight reads, best retrieval first."""
    sources = _data()["sources"]
    return tuple(_model(row, sources) for row in _data()["models"])


def find(name: str) -> PublishedModel | None:
    """Return the published model called `name`, in any of its spellings, if there is one."""
    return _names().get(_key(name.removeprefix(f"{_OWNER}/")))


def lacks_onnx_export(name: str) -> bool:
    """True for an OpenCLIP model that is not published as ONNX in this layout."""
    return _key(name) in _not_in_onnx()


def nearest_names(name: str, *, aliases: bool = True) -> list[str]:
    """Return up to three names similar to `name`, each of a different model.

    Without `aliases`, only clipsight's own names.
    """
    spellings = {_key(model.name): model.name for model in published_models()}
    if aliases:
        spellings |= {_key(alias): alias for model in published_models() for alias in model.aliases}
        spellings["builtin"] = "builtin"
    one_per_model: dict[str, str] = {}
    for each in _by_similarity(_key(name), spellings):
        model = _names().get(each)
        one_per_model.setdefault(model.name if model else each, spellings[each])
    return list(one_per_model.values())[:_MAX_NAMES]


def _by_similarity(key: str, candidates: Iterable[str]) -> list[str]:
    """Candidates of the architecture `key` or with `key` in their name; without any, similar spellings."""
    names = list(candidates)
    of_architecture = [each for each in names if each.startswith(f"{key}--")]
    with_word = [each for each in names if len(key) > 2 and key in each]
    if of_architecture or with_word:
        return of_architecture + with_word
    family = f"{key.partition('--')[0]}--"
    similarity = {
        each: SequenceMatcher(None, key, each).ratio() + _FAMILY_BONUS * each.startswith(family)
        for each in names
    }
    similar = (each for each in names if similarity[each] >= _MIN_SIMILARITY)
    return sorted(similar, key=lambda each: -similarity[each])


def _model(row: Mapping[str, Any], sources: Mapping[str, str]) -> PublishedModel:
    expanded = {
        "repo": f"{_OWNER}/{row['name']}",
        "source": sources.get(row["source"]),
        "retrieval_source": sources.get(row["retrieval_source"]),
        "aliases": tuple(row["aliases"]),
    }
    return PublishedModel(**{**row, **expanded})


@cache
def _data() -> dict[str, Any]:
    text = (resources.files(__package__) / "model_index.json").read_text(encoding="utf-8")
    data: dict[str, Any] = json.loads(text)
    return data


@cache
def _names() -> dict[str, PublishedModel]:
    return {_key(name): model for model in published_models() for name in (model.name, *model.aliases)}


@cache
def _not_in_onnx() -> frozenset[str]:
    return frozenset(_key(name) for names in _data()["not_in_onnx"] for name in names)


def _key(name: str) -> str:
    """Normalised spelling: ViT-B-32__openai and vit-b-32/openai are equal."""
    return name.lower().replace("_", "-").replace("/", "--")
