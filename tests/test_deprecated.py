"""Deprecated names remain importable for one release."""

import importlib

import pytest


@pytest.mark.parametrize(
    ("old", "new", "name"),
    [
        ("clipsight.query", "clipsight.search.query", "Query"),
        ("clipsight.results", "clipsight.search.results", "Matches"),
        ("clipsight.indexing.decode", "clipsight.indexing.media.photo", "decode"),
        pytest.param("clipsight.training.clip", "clipsight.clip.model", "CLIP", marks=pytest.mark.torch),
    ],
)
def test_an_old_module_gives_the_new_names_with_a_warning(old: str, new: str, name: str) -> None:
    with pytest.warns(DeprecationWarning, match=f"{old} is now {new}"):
        value = getattr(importlib.import_module(old), name)
    assert value is getattr(importlib.import_module(new), name)
    with pytest.raises(AttributeError):
        getattr(importlib.import_module(old), "nothing_of_this_name")  # noqa: B009


def test_filters_stay_in_their_place() -> None:
    from clipsight import Query
    from clipsight.store.filters import Filters

    assert Filters() == Filters() and Query.parse("a cat")
