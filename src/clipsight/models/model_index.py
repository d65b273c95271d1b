"""What is known of the published models, and the names they go by.

The facts are data, `model_index.json`; `docs/models.md` tells where they come from.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cache
from importlib import resources
from typing import Any

_OWNER = "immich-app"
_NEAREST = 3
# From this likeness on a name may be a slip of another; the bonus is for the same architecture or owner.
_ALIKE = 0.6
_SAME_FAMILY = 0.25


@dataclass(frozen=True)
class KnownModel:
    """A published model: `repo` ("owner/name") on the hub, and what others measured of it.

    `size_bytes` are the weights' (4 bytes a parameter). `imagenet_top1` is zero-shot accuracy in percent,
    from `source`. `retrieval` is the mean of text-to-image recall@1, @5 and @10 in percent over the English
    captions of Crossmodal-3600, from `retrieval_source`. `image_ms` (one photo) and `memory_mib` are
    immich's own, on a desktop CPU. None is what nobody has published. `aliases` are the names of the same
    weights elsewhere.
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
def known_models() -> tuple[KnownModel, ...]:
    """The models that are published in the layout clipsight reads, best retrieval first."""
    sources = _data()["sources"]
    return tuple(_model(row, sources) for row in _data()["models"])


def find(name: str) -> KnownModel | None:
    """The known model that `name` means, in any of its spellings."""
    return _names().get(_key(name.removeprefix(f"{_OWNER}/")))


def is_elsewhere(name: str) -> bool:
    """Whether `name` is a model that OpenCLIP offers, but nobody has published as ONNX in this layout."""
    return _key(name) in _elsewhere()


def nearest(name: str, *, aliases: bool = True) -> list[str]:
    """Up to three names most like `name`, each of another model; none if nothing is near.

    Without `aliases`, only the names that clipsight itself uses.
    """
    spelled = {_key(model.name): model.name for model in known_models()}
    if aliases:
        spelled |= {_key(alias): alias for model in known_models() for alias in model.aliases}
        spelled["builtin"] = "builtin"
    one_each: dict[str, str] = {}
    for each in _by_likeness(_key(name), spelled):
        model = _names().get(each)
        one_each.setdefault(model.name if model else each, spelled[each])
    return list(one_each.values())[:_NEAREST]


def _by_likeness(key: str, candidates: Iterable[str]) -> list[str]:
    """Those like `key`: the models of an architecture, those with that word in their name, or a slip's."""
    names = list(candidates)
    of_architecture = [each for each in names if each.startswith(f"{key}--")]
    with_word = [each for each in names if len(key) > 2 and key in each]
    if of_architecture or with_word:
        return of_architecture + with_word
    family = f"{key.partition('--')[0]}--"
    likeness = {
        each: SequenceMatcher(None, key, each).ratio() + _SAME_FAMILY * each.startswith(family)
        for each in names
    }
    return sorted((each for each in names if likeness[each] >= _ALIKE), key=lambda each: -likeness[each])


def _model(row: Mapping[str, Any], sources: Mapping[str, str]) -> KnownModel:
    expanded = {
        "repo": f"{_OWNER}/{row['name']}",
        "source": sources.get(row["source"]),
        "retrieval_source": sources.get(row["retrieval_source"]),
        "aliases": tuple(row["aliases"]),
    }
    return KnownModel(**{**row, **expanded})


@cache
def _data() -> dict[str, Any]:
    text = (resources.files(__package__) / "model_index.json").read_text(encoding="utf-8")
    data: dict[str, Any] = json.loads(text)
    return data


@cache
def _names() -> dict[str, KnownModel]:
    return {_key(name): model for model in known_models() for name in (model.name, *model.aliases)}


@cache
def _elsewhere() -> frozenset[str]:
    return frozenset(_key(name) for names in _data()["not_in_onnx"] for name in names)


def _key(name: str) -> str:
    """What the spellings of one name have in common: ViT-B-32__openai is vit-b-32/openai too."""
    return name.lower().replace("_", "-").replace("/", "--")
