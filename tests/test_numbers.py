"""Every number that a Python caller gives is checked: a new one is covered here by itself."""

import inspect
import math
from collections.abc import Callable, Iterator
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from clipsight import Library
from clipsight.core.errors import ClipsightError
from clipsight.explain.base import Settings
from clipsight.indexing.indexer import IndexOptions
from clipsight.organize import OrganizeOptions
from clipsight.search.options import SearchOptions
from clipsight.search.query import Kind, Part, Query
from clipsight.store.filters import Filters
from clipsight.training.config import TrainConfig
from tests.cli.test_python_calls import CALLS, IN_TORCH, resolve

BAD = (2**63, -(2**70), 10**5000, math.nan, math.inf, -math.inf, "5", "", True, b"5", [5], 1j)
"""Values that no number of any call may have."""

NOT_WHOLE = (1.5, 0.0)

CLASSES: dict[type, Callable[..., Any]] = {
    SearchOptions: SearchOptions,
    Filters: Filters,
    IndexOptions: lambda **changes: IndexOptions().updated(changes),  # type: ignore[arg-type]  # as is tested
    OrganizeOptions: OrganizeOptions,
    Settings: Settings,
    TrainConfig: TrainConfig,
    Part: partial(Part, Kind.TEXT, "cat"),
}
"""Frozen dataclasses of arguments, and how a caller makes one."""

EXAMPLES: dict[str, dict[str, Any]] = {
    "match": {"photo": "cat.png", "texts": "texts.txt"},
    "search": {"query": "cat"},
    "probe fit": {"source": "classes"},
    "serve": {
        "library": None,
        "roots": (),
        "host": "127.0.0.1",
        "port": 0,
        "token": None,
        "allowed_hosts": (),
        "device": "cpu",
        "threads": None,
        "page": False,
        "on_ready": print,
    },
    "train": {"data": "data.csv", "folder": Path("run"), "arch": "ViT-B-32"},
    "evaluate": {"retrieval": "captions.csv"},
    "compare-models": {"models": ["builtin"], "photos": []},
    "check": {},
    "watch": {},
}
"""Other arguments for the calls that take numbers themselves, not only in a dataclass."""


def numbers_of(annotations: dict[str, Any]) -> Iterator[tuple[str, bool]]:
    """Names of the parameters that are numbers, and True for whole ones."""
    for name, annotation in annotations.items():
        kinds = set(str(getattr(annotation, "__name__", annotation)).split(" | ")) - {"None"}
        if kinds in ({"int"}, {"float"}, {"int", "float"}):
            yield name, kinds == {"int"}


def refused(call: Callable[..., Any], name: str, value: object) -> None:
    with pytest.raises(ClipsightError, match=f"`{name}`") as raised:
        call(**{name: value})
    message = str(raised.value)
    assert "\n" not in message and len(message) < 300, f"{name}={value!r}"


FIELDS = [
    (kind, name, is_whole)
    for kind in CLASSES
    for name, is_whole in numbers_of({field.name: field.type for field in fields(kind)})
]


@pytest.mark.parametrize(
    ("kind", "name", "is_whole"), FIELDS, ids=lambda each: getattr(each, "__name__", each)
)
def test_numbers_of_options(kind: type, name: str, is_whole: bool) -> None:
    for value in (*BAD, *(NOT_WHOLE if is_whole else ())):
        if type(value) is int and not is_whole and abs(value) < 10**300:
            continue  # finite as a float: for a score or a weight, no size is wrong
        refused(CLASSES[kind], name, value)


SLOW = {"probe fit", "serve"}
"""Commands whose calls import scikit-learn or the server."""


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(command, marks=[pytest.mark.slow] if command in SLOW else [])
        for command in sorted(set(CALLS) - IN_TORCH)
    ],
)
def test_numbers_of_calls(command: str, library: Library) -> None:
    call = resolve(CALLS[command])
    arguments = inspect.signature(call).parameters
    for name, is_whole in numbers_of({each.name: each.annotation for each in arguments.values()}):
        given = {**EXAMPLES[command]}
        opened = {"self", "library"} & set(arguments) - set(given)
        given |= dict.fromkeys(opened, library)
        given.pop(name, None)
        for value in (*BAD, *(NOT_WHOLE if is_whole else ())):
            refused(partial(call, **given), name, value)


@pytest.mark.torch
@pytest.mark.parametrize("name", ["warmup", "hold_out", "save_every", "workers"])
def test_numbers_of_a_training_run(name: str) -> None:
    call = resolve(CALLS["train"])
    assert dict(
        numbers_of({n: each.annotation for n, each in inspect.signature(call).parameters.items()})
    ).keys() == {
        "warmup",
        "hold_out",
        "save_every",
        "workers",
    }
    for value in (*BAD, *NOT_WHOLE):
        refused(partial(call, **EXAMPLES["train"]), name, value)


def test_all_options_of_calls_are_looked_at() -> None:
    found = {kind for kind, _, _ in FIELDS}
    assert found == set(CLASSES), "a dataclass without any number"


@pytest.mark.parametrize("weight", ["1e999", "-1e999", "nan", "inf", "9" * 400, "１e999"])
def test_weights_of_a_query_are_finite(weight: str) -> None:
    with pytest.raises(ClipsightError, match="is not a number"):
        Query.parse(f"{weight}:cat")


@pytest.mark.parametrize("value", [0, 1025, 2**31])
def test_threads(value: int, tmp_path: Path) -> None:
    with pytest.raises(ClipsightError, match="`threads` must"):
        Library.open(tmp_path / "library", threads=value)
