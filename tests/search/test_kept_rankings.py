"""Rankings that are kept: pages of a long result equal one long page, whatever is asked in between."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipsight.core.arrays import Float32
from clipsight.search import kept_rankings
from clipsight.search.kept_rankings import GROWTH, KeptRankings
from clipsight.search.options import SearchOptions
from clipsight.search.query import Kind, Part, Query, combine
from clipsight.search.results import Match
from clipsight.search.session import Snapshot
from clipsight.store.filters import Filters
from clipsight.store.labels import PhotoLabel, store_labels
from clipsight.store.records import State
from clipsight.store.vectors.rerank import Ranking
from tests.support.catalogs import IndexedPhotos, unit_vectors

SIZE, DIM = 400, 8
PICTURE = Query((Part(Kind.PICTURE, "a picture", 1.0),))


def ranking(count: int, *, of: int) -> Ranking:
    size = min(count, of)
    return Ranking(np.arange(size), np.linspace(1, 0, size), {}, complete=count > of)


@given(
    total=st.integers(0, 500),
    asked=st.lists(st.tuples(st.integers(0, 2), st.integers(1, 600)), max_size=30),
)
def test_what_is_kept_is_enough_and_is_made_seldom(total: int, asked: list[tuple[int, int]]) -> None:
    kept = KeptRankings()
    ranked: dict[int, int] = {}

    def rank(key: int, count: int) -> Ranking:
        ranked[key] = ranked.get(key, 0) + count
        return ranking(count, of=total)

    for key, count in asked:
        found = kept.best(key, count, lambda enough, key=key: rank(key, enough))  # type: ignore[misc]
        assert len(found) >= min(count, total)
    for key, work in ranked.items():
        most = max(count for each, count in asked if each == key)
        assert work <= 2 * GROWTH * most, "each page ranked all before it again"


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_rankings, "MAX_RANKINGS", 3)
    monkeypatch.setattr(kept_rankings, "MAX_PHOTOS", 100)
    kept = KeptRankings()
    made: list[int] = []

    def ask(key: int, count: int) -> None:
        def rank(enough: int) -> Ranking:
            made.append(key)
            return ranking(enough, of=1000)

        kept.best(key, count, rank)

    for key in (1, 2, 3, 1, 4, 1, 2):  # 4 takes the place of 2, which was used longest ago, then 2 that of 3
        ask(key, 10)
    assert made == [1, 2, 3, 4, 2]
    ask(5, 101)  # is kept, alone, although it is longer than all together may be
    ask(5, 101)
    ask(1, 10)
    ask(5, 101)
    assert made == [1, 2, 3, 4, 2, 5, 1, 5]


@pytest.fixture
def photos(tmp_path: Path) -> Iterator[IndexedPhotos]:
    made = IndexedPhotos.create(tmp_path, DIM)
    made.add_to("photos", unit_vectors(SIZE, DIM))
    yield made
    made.close()


def snapshot_of(photos: IndexedPhotos) -> Snapshot:
    return Snapshot(photos.folder.parent, photos.catalog, photos.model, Mock)


def matches(snapshot: Snapshot, query: Float32, first: int, count: int, **options: Any) -> list[Match]:
    asked = SearchOptions(top=count, offset=first, **options)
    return list(snapshot.match([PICTURE], [query[None]], asked, exclude=[{3, 5}])[0])


@pytest.mark.parametrize("duplicates", [False, True])
@pytest.mark.parametrize("jump", [0, 7, 390])
def test_pages_are_parts_of_one_long_page(photos: IndexedPhotos, duplicates: bool, jump: int) -> None:
    snapshot, query = snapshot_of(photos), unit_vectors(1, DIM, seed=1)[0].astype(np.float32)
    searched = combine(PICTURE, query[None], None)
    (expected,) = photos.brute_force(searched[None], excluded={3, 5})
    for first in [jump, *range(0, SIZE + 20, 10), jump]:
        found = matches(snapshot, query, first, 10, duplicates=duplicates)
        assert [(each.score, bytes(each.path)) for each in found] == expected[first : first + 10]


def test_what_is_kept_is_of_one_query_and_of_the_library_as_it_is(photos: IndexedPhotos) -> None:
    snapshot = snapshot_of(photos)
    one, other = unit_vectors(2, DIM, seed=1).astype(np.float32)
    first = matches(snapshot, one, 0, SIZE)
    assert matches(snapshot, other, 0, SIZE) != first
    low = min(each.score for each in first[:20])
    assert matches(snapshot, one, 0, SIZE, min_score=low) == first[:20]
    photos.catalog.set_state([first[0].id], State.MISSING)
    assert matches(snapshot, one, 0, SIZE) == first[1:]
    labels = [PhotoLabel(each.id, "best", 1.0) for each in first[5:8]]
    store_labels(photos.catalog.database, photos.model, ["best"], labels)
    assert matches(snapshot, one, 0, SIZE, filters=Filters(labels=("best",))) == first[5:8]
    assert matches(snapshot, one, 1, SIZE, filters=Filters(labels=("best",))) == first[6:8]
    label = Filters(labels=("best",))
    store_labels(photos.catalog.database, photos.model, ["best"], [PhotoLabel(first[9].id, "best", 1.0)])
    assert first[9] in matches(snapshot, one, 0, SIZE, filters=label)
