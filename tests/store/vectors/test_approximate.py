"""The approximate index may miss a photo, but scores, filters and counts are always right."""

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import faiss
import numpy as np
import pytest
from hypothesis import HealthCheck
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from clipsight.core.arrays import Ids
from clipsight.store.vectors import approximate
from clipsight.store.vectors import faiss as vectors_module
from clipsight.store.vectors.approximate import list_count
from clipsight.store.vectors.faiss import FaissIndex
from tests.support.arrays import unit
from tests.support.catalogs import IndexedPhotos, Vectors, finish, start_python
from tests.support.properties import examples

pytestmark = pytest.mark.slow

DIM, COUNT = 32, 3000


def no_bar(done: int, count: int) -> None:
    """Progress that nobody watches."""


@pytest.fixture(autouse=True)
def small_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand photos are worth lists, and a filter that leaves 30 leaves few."""
    monkeypatch.setattr(vectors_module, "MIN_VECTORS", 1000)
    monkeypatch.setattr(vectors_module, "SMALL_INDEX", 100)
    monkeypatch.setattr(vectors_module, "MAX_BRUTE_FORCE", 30)


@pytest.fixture
def photos(tmp_path: Path) -> Iterator[IndexedPhotos]:
    with closing(IndexedPhotos.create(tmp_path / "library", DIM)) as made:
        made.add_to("first", clustered(COUNT))
        yield made


def clustered(count: int, seed: int = 0) -> Vectors:
    """Vectors around 50 centres, as photos lie around what they show."""
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(7).standard_normal((50, DIM))
    wide = centres[random.integers(0, 50, count)] + 0.6 * random.standard_normal((count, DIM))
    return unit(wide).astype("<f2")


def optimized(photos: IndexedPhotos) -> FaissIndex:
    index = photos.open_index()
    assert index.should_optimize and not index.is_approximate
    assert index.build_approximate(no_bar)
    assert index.is_approximate and not index.should_optimize
    return index


def recall(index: FaissIndex, photos: IndexedPhotos, allowed: Ids | None = None) -> float:
    """Share of the true ten best that are found, over 40 queries; what is found must be right."""
    queries = clustered(40, seed=5).astype(np.float32)
    every = photos.brute_force(queries, allowed)
    shares = []
    for true, found in zip(every, photos.ranked(index, queries, 10, allowed), strict=True):
        assert len(found) == min(10, len(true)) and set(found) <= set(true)
        assert found == sorted(found, key=lambda scored: (-scored[0], scored[1]))
        shares.append(len({*found} & {*true[:10]}) / len(found) if found else 1.0)
    return float(np.mean(shares))


@pytest.mark.parametrize(("count", "lists"), [(1, 2), (1000, 64), (10**6, 2048), (10**7, 8192)])
def test_lists(count: int, lists: int) -> None:
    assert list_count(count) == lists


def test_an_approximate_index_finds_nearly_all_and_scores_exactly(photos: IndexedPhotos) -> None:
    index = optimized(photos)
    assert recall(index, photos) > 0.9
    reopened = photos.open_index()
    assert reopened.is_approximate and len(reopened) == COUNT
    assert recall(reopened, photos) > 0.9


def test_an_exact_search_compares_all(photos: IndexedPhotos) -> None:
    index = optimized(photos)
    queries = clustered(5, seed=9).astype(np.float32)
    best = [every[:40] for every in photos.brute_force(queries)]
    assert photos.ranked(index, queries, 40, exact=True) == best


@pytest.mark.parametrize("share", [0.0, 0.001, 0.009, 0.02, 0.1, 0.5, 1.0])
def test_filters_come_before_the_search(photos: IndexedPhotos, share: float) -> None:
    index = optimized(photos)
    allowed = np.flatnonzero(np.random.default_rng(3).random(COUNT) < share) + 1
    assert recall(index, photos, allowed) >= (1.0 if len(allowed) <= 30 else 0.9)
    assert index.is_exact_for(allowed) == (len(allowed) <= 30)


def test_a_shorter_result_is_the_start_of_a_longer_one(photos: IndexedPhotos) -> None:
    index = optimized(photos)
    for query in clustered(10, seed=11).astype(np.float32):
        (fifteen,) = photos.ranked(index, query[None], 15)
        for count in range(1, 15):
            assert photos.ranked(index, query[None], count) == [fifteen[:count]]


def test_more_photos_than_the_lists_read_first_hold_are_found(photos: IndexedPhotos) -> None:
    index = optimized(photos)
    query = clustered(1, seed=2).astype(np.float32)
    assert photos.ranked(index, query, 2 * COUNT) == photos.brute_force(query)


def test_several_queries_give_the_same_results_as_one_by_one(photos: IndexedPhotos) -> None:
    index = optimized(photos)
    queries = clustered(30, seed=4).astype(np.float32)
    together = photos.ranked(index, queries, 10, excluded=[[row] for row in range(30)])
    for row, query in enumerate(queries):
        assert photos.ranked(index, query[None], 10, excluded=[[row]]) == [together[row]]


def test_new_photos_are_appended_and_the_lists_stay(
    photos: IndexedPhotos, monkeypatch: pytest.MonkeyPatch
) -> None:
    optimized(photos)
    monkeypatch.setattr(FaissIndex, "build_approximate", None)
    file = photos.file
    before = file.stat().st_ino
    few = int(COUNT * vectors_module.APPROXIMATE_TAIL_SHARE)
    photos.add_to("tail", clustered(few, seed=1))
    index = photos.open_index()
    assert (len(index), file.stat().st_ino) == (COUNT + few, before)
    assert recall(index, photos) > 0.9
    photos.add_to("many", clustered(500, seed=2))
    index = photos.open_index()
    assert index.is_approximate and len(index) == COUNT + few + 500
    assert index._parts.tail.ntotal == 0 and file.stat().st_ino != before
    new = next(hit for hit in photos.embedded() if hit.path == b"/many/00007")
    [[(_, best)]] = photos.ranked(index, new.vector.astype(np.float32)[None], 1)
    assert best == new.path
    assert recall(photos.open_index(), photos) > 0.9


def test_deleted_vectors_are_removed_and_the_lists_stay(photos: IndexedPhotos) -> None:
    photos.add_to("gone", clustered(600, seed=1))
    index = optimized(photos)
    photos.catalog.forget(b"/gone")
    index.compact()
    assert index.is_approximate and len(index) == COUNT == len(photos.open_index())
    assert recall(index, photos) > 0.9


def test_a_library_that_shrinks_is_exact_again(photos: IndexedPhotos) -> None:
    index = optimized(photos)
    photos.catalog.database.run("DELETE FROM photos WHERE id > 400")
    index.compact()
    assert not index.is_approximate and recall(index, photos) == 1.0


def test_an_outgrown_index_should_be_optimized_again(photos: IndexedPhotos) -> None:
    optimized(photos)
    photos.add_to("more", clustered(3 * COUNT, seed=1))
    assert photos.open_index().should_optimize


@pytest.mark.parametrize("name", ["*.faiss", "*.json"])
def test_a_damaged_file_leaves_an_exact_index(photos: IndexedPhotos, name: str) -> None:
    optimized(photos)
    file = next(photos.folder.glob(name))
    file.write_bytes(file.read_bytes()[:-40])
    index = photos.open_index()
    assert not index.is_approximate and index.should_optimize and recall(index, photos) == 1.0


def test_a_full_disk_is_reported(photos: IndexedPhotos, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(index: object, name: str) -> None:
        raise RuntimeError("No space left on device")

    index = photos.open_index()
    monkeypatch.setattr(faiss, "write_index", full)
    assert not index.build_approximate(no_bar)
    assert recall(index, photos) > 0.9  # in memory
    monkeypatch.undo()
    assert not photos.open_index().is_approximate


@pytest.mark.process
def test_a_reader_waits_for_the_second_of_two_renames(
    photos: IndexedPhotos, monkeypatch: pytest.MonkeyPatch
) -> None:
    """File and stamp are replaced one after the other, which must not look like damage."""
    index = optimized(photos)
    opened = []
    original = Path.replace

    def between(self: Path, target: Path) -> Path:
        done = original(self, target)
        if self.suffix == ".tmp":
            monkeypatch.undo()
            opened.append(start_python(OPEN, photos.folder.parent))
            assert opened[0].stdout is not None and opened[0].stdout.readline() == "ready\n"
        return done

    monkeypatch.setattr(Path, "replace", between)
    index._file.write(faiss.clone_index(index._parts.main), index._parts.contents)
    assert finish(opened) == ["True\n"]


OPEN = """
import sys
from pathlib import Path
from clipsight.store.catalog import Catalog
from clipsight.store.vectors.faiss import FaissIndex

catalog = Catalog(Path(sys.argv[1]))
print("ready", flush=True)
print(FaissIndex(Path(sys.argv[1]) / "vectors", catalog, catalog.current_model()).is_approximate)
"""


class AgainstBruteForce(RuleBasedStateMachine):
    """Adds, deletes, replacements, filters, reopening and making the index, in any order."""

    @initialize(seed=st.integers(0, 1000))
    def start(self, seed: int) -> None:
        self.patches = pytest.MonkeyPatch()
        for name, value in (("MIN_VECTORS", 200), ("SMALL_INDEX", 20), ("MAX_BRUTE_FORCE", 8)):
            self.patches.setattr(vectors_module, name, value)
        self.patches.setattr(approximate, "_EXHAUSTIVE", 5)  # so that far from all lists are read
        self.photos = IndexedPhotos.create(Path(os.environ["CLIPSIGHT_HOME"]) / os.urandom(6).hex(), DIM)
        self.batches = 0
        self.random = np.random.default_rng(seed)
        self.index = self.photos.open_index()
        self.add(300)

    @rule(count=st.integers(1, 120))
    def add(self, count: int) -> None:
        self.batches += 1
        self.photos.add_to(f"b{self.batches}", clustered(count, seed=self.batches))
        self.index = self.photos.open_index()

    @rule(data=st.data())
    def forget(self, data: st.DataObject) -> None:
        self.photos.catalog.forget(b"/b%d" % data.draw(st.integers(1, self.batches)))

    @rule()
    def replace(self) -> None:
        for hit in self.photos.embedded()[::9]:
            self.photos.catalog.put_vector(hit.photo_id, self.photos.model, -hit.vector)
        self.index = self.photos.open_index()

    @rule()
    def reopen(self) -> None:
        self.index = self.photos.open_index()

    @rule()
    def compact(self) -> None:
        self.index.compact()

    @rule()
    def optimize(self) -> None:
        if self.index.should_optimize:
            self.index.build_approximate(no_bar)

    @rule(share=st.sampled_from([0.01, 0.1, 0.6]), count=st.sampled_from([1, 10, 50]))
    def search_some(self, share: float, count: int) -> None:
        ids = self.photos.catalog.vector_ids(self.photos.model)
        self.check(ids[self.random.random(len(ids)) < share], count)

    @invariant()
    def search_all(self) -> None:
        self.check(None, 10)

    def check(self, allowed: Ids | None, count: int) -> None:
        query = clustered(1, seed=int(self.random.integers(10_000))).astype(np.float32)
        (true,) = self.photos.brute_force(query, allowed)
        (found,) = self.photos.ranked(self.index, query, count, allowed)
        if self.index.is_exact_for(allowed):
            assert found == true[:count]
        else:
            assert len(found) == min(count, len(true)) and set(found) <= set(true)
        assert self.photos.ranked(self.index, query, count, allowed, exact=True) == [true[:count]]

    def teardown(self) -> None:
        self.photos.close()
        self.patches.undo()


AgainstBruteForce.TestCase.settings = examples(10, *HealthCheck, stateful_step_count=12)
test_any_order_of_changes = AgainstBruteForce.TestCase
