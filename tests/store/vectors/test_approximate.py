"""The approximate index may miss a photo, but scores, filters and counts are right in any case."""

import os
from collections.abc import Iterator
from pathlib import Path

import faiss
import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from clipsight.core.arrays import Float32, Ids
from clipsight.store.catalog import Catalog
from clipsight.store.records import Model
from clipsight.store.vectors import approximate
from clipsight.store.vectors import faiss as vectors_module
from clipsight.store.vectors.approximate import list_count
from clipsight.store.vectors.faiss import FaissIndex
from clipsight.store.vectors.rerank import ScoredPhoto, rank
from tests.support.catalogs import Vectors, add_photos, finish, some_model, start_python

pytestmark = pytest.mark.slow

DIM, COUNT = 32, 3000


def no_bar(done: int, count: int) -> None:
    """Progress that nobody watches."""


@pytest.fixture(autouse=True)
def small_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand photos are worth lists, and a filter that leaves 30 leaves few."""
    monkeypatch.setattr(vectors_module, "MIN_VECTORS", 1000)
    monkeypatch.setattr(vectors_module, "SMALL", 100)
    monkeypatch.setattr(vectors_module, "FEW", 30)


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    made = Catalog(tmp_path / "library")
    yield made
    made.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "library" / "vectors"


@pytest.fixture
def model(catalog: Catalog) -> Model:
    made = some_model(catalog, DIM)
    add(catalog, made, clustered(COUNT), "first")
    return made


def clustered(count: int, seed: int = 0) -> Vectors:
    """Vectors around 50 centres, as photos lie around what they show."""
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(7).standard_normal((50, DIM))
    wide = centres[random.integers(0, 50, count)] + 0.6 * random.standard_normal((count, DIM))
    return (wide / np.linalg.norm(wide, axis=1, keepdims=True)).astype("<f2")


def add(catalog: Catalog, model: Model, vectors: Vectors, name: str) -> list[int]:
    return add_photos(catalog, model, vectors, [f"/{name}/{i:05}".encode() for i in range(len(vectors))])


def optimized(folder: Path, catalog: Catalog, model: Model) -> FaissIndex:
    index = FaissIndex(folder, catalog, model)
    assert index.should_optimize and not index.is_approximate
    assert index.build_approximate(no_bar)
    assert index.is_approximate and not index.should_optimize
    return index


def brute_force(
    catalog: Catalog, model: Model, query: Float32, allowed: Ids | None = None
) -> list[ScoredPhoto]:
    """All photos, best first."""
    admitted = None if allowed is None else set(allowed.tolist())
    wide = query.astype(np.float64)
    ranked = [
        ScoredPhoto(float(hit.vector.astype(np.float64) @ wide), hit)
        for hit in catalog.iter_embedded_photos(model)
        if admitted is None or hit.vector_id in admitted
    ]
    return sorted(ranked, key=lambda each: (-each.score, each.photo.path))


def keys(ranked: list[ScoredPhoto]) -> list[tuple[float, bytes]]:
    return [(each.score, each.photo.path) for each in ranked]


def recall(index: FaissIndex, catalog: Catalog, model: Model, allowed: Ids | None = None) -> float:
    """Share of the true ten best that are found, over 40 queries; what is found must be right."""
    queries = clustered(40, seed=5).astype(np.float32)
    shares = []
    for query, found in zip(queries, rank(catalog, index, queries, 10, allowed=allowed), strict=True):
        true = keys(brute_force(catalog, model, query, allowed))
        assert len(found) == min(10, len(true))
        assert set(keys(found)) <= set(true) and keys(found) == sorted(
            keys(found), key=lambda k: (-k[0], k[1])
        )
        shares.append(len({*keys(found)} & {*true[:10]}) / len(found) if found else 1.0)
    return float(np.mean(shares))


@pytest.mark.parametrize(("count", "lists"), [(1, 2), (1000, 64), (10**6, 2048), (10**7, 8192)])
def test_lists(count: int, lists: int) -> None:
    assert list_count(count) == lists


def test_it_finds_nearly_all_and_scores_exactly(catalog: Catalog, folder: Path, model: Model) -> None:
    index = optimized(folder, catalog, model)
    assert recall(index, catalog, model) > 0.9
    reopened = FaissIndex(folder, catalog, model)
    assert reopened.is_approximate and len(reopened) == COUNT
    assert recall(reopened, catalog, model) > 0.9


def test_asked_to_compare_all_it_is_exact(catalog: Catalog, folder: Path, model: Model) -> None:
    index = optimized(folder, catalog, model)
    queries = clustered(5, seed=9).astype(np.float32)
    for query, found in zip(queries, rank(catalog, index, queries, 40, exact=True), strict=True):
        assert keys(found) == keys(brute_force(catalog, model, query))[:40]


@pytest.mark.parametrize("share", [0.0, 0.001, 0.009, 0.02, 0.1, 0.5, 1.0])
def test_filters_come_before_the_search(catalog: Catalog, folder: Path, model: Model, share: float) -> None:
    index = optimized(folder, catalog, model)
    allowed = np.flatnonzero(np.random.default_rng(3).random(COUNT) < share) + 1
    assert recall(index, catalog, model, allowed) >= (1.0 if len(allowed) <= 30 else 0.9)
    assert index.is_exact_for(allowed) == (len(allowed) <= 30)


def test_the_first_of_fifteen_are_the_best_k(catalog: Catalog, folder: Path, model: Model) -> None:
    index = optimized(folder, catalog, model)
    for query in clustered(10, seed=11).astype(np.float32):
        (fifteen,) = rank(catalog, index, query[None], 15)
        for count in range(1, 15):
            assert keys(rank(catalog, index, query[None], count)[0]) == keys(fifteen)[:count]


def test_more_than_the_lists_read_at_first_hold(catalog: Catalog, folder: Path, model: Model) -> None:
    index = optimized(folder, catalog, model)
    query = clustered(1, seed=2).astype(np.float32)
    (found,) = rank(catalog, index, query, 2 * COUNT)
    assert keys(found) == keys(brute_force(catalog, model, query[0]))


def test_queries_together_are_answered_as_alone(catalog: Catalog, folder: Path, model: Model) -> None:
    index = optimized(folder, catalog, model)
    queries = clustered(30, seed=4).astype(np.float32)
    together = rank(catalog, index, queries, 10, excluded=[[row] for row in range(30)])
    alone = [rank(catalog, index, query[None], 10, excluded=[[row]])[0] for row, query in enumerate(queries)]
    assert list(map(keys, together)) == list(map(keys, alone))


def test_new_photos_are_appended_and_the_lists_stay(
    catalog: Catalog, folder: Path, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    optimized(folder, catalog, model)
    monkeypatch.setattr(FaissIndex, "build_approximate", None)
    file = next(folder.glob("*.faiss"))
    before = file.stat().st_ino
    few = int(COUNT * vectors_module.APPROXIMATE_TAIL_SHARE)
    add(catalog, model, clustered(few, seed=1), "tail")
    index = FaissIndex(folder, catalog, model)
    assert (len(index), file.stat().st_ino) == (COUNT + few, before)
    assert recall(index, catalog, model) > 0.9
    add(catalog, model, clustered(500, seed=2), "many")
    index = FaissIndex(folder, catalog, model)
    assert index.is_approximate and len(index) == COUNT + few + 500
    assert index._tail.ntotal == 0 and file.stat().st_ino != before
    new = next(hit for hit in catalog.iter_embedded_photos(model) if hit.path == b"/many/00007")
    (best,) = rank(catalog, index, new.vector.astype(np.float32)[None], 1)
    assert best[0].photo.path == new.path
    assert recall(FaissIndex(folder, catalog, model), catalog, model) > 0.9


def test_the_dead_are_dropped_and_the_lists_stay(catalog: Catalog, folder: Path, model: Model) -> None:
    add(catalog, model, clustered(600, seed=1), "gone")
    index = optimized(folder, catalog, model)
    catalog.forget(b"/gone")
    index.compact()
    assert index.is_approximate and len(index) == COUNT == len(FaissIndex(folder, catalog, model))
    assert recall(index, catalog, model) > 0.9


def test_a_library_that_shrinks_is_exact_again(catalog: Catalog, folder: Path, model: Model) -> None:
    index = optimized(folder, catalog, model)
    catalog.database.run("DELETE FROM photos WHERE id > 400")
    index.compact()
    assert not index.is_approximate and recall(index, catalog, model) == 1.0


def test_lists_that_were_outgrown_are_offered_anew(catalog: Catalog, folder: Path, model: Model) -> None:
    optimized(folder, catalog, model)
    add(catalog, model, clustered(3 * COUNT, seed=1), "more")
    assert FaissIndex(folder, catalog, model).should_optimize


@pytest.mark.parametrize("name", ["*.faiss", "*.json"])
def test_a_damaged_file_leaves_an_exact_index(
    catalog: Catalog, folder: Path, model: Model, name: str
) -> None:
    optimized(folder, catalog, model)
    file = next(folder.glob(name))
    file.write_bytes(file.read_bytes()[:-40])
    index = FaissIndex(folder, catalog, model)
    assert not index.is_approximate and index.should_optimize and recall(index, catalog, model) == 1.0


def test_a_disk_without_room_is_told(
    catalog: Catalog, folder: Path, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(index: object, name: str) -> None:
        raise RuntimeError("No space left on device")

    index = FaissIndex(folder, catalog, model)
    monkeypatch.setattr(faiss, "write_index", full)
    assert not index.build_approximate(no_bar)
    assert recall(index, catalog, model) > 0.9  # in memory
    monkeypatch.undo()
    assert not FaissIndex(folder, catalog, model).is_approximate


@pytest.mark.process
def test_a_reader_waits_for_the_second_of_two_renames(
    catalog: Catalog, folder: Path, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """File and stamp are replaced one after the other, which must not look like damage."""
    index = optimized(folder, catalog, model)
    opened = []
    original = Path.replace

    def between(self: Path, target: Path) -> Path:
        done = original(self, target)
        if self.suffix == ".tmp":
            monkeypatch.undo()
            opened.append(start_python(OPEN, catalog.database.path.parent))
            assert opened[0].stdout is not None and opened[0].stdout.readline() == "ready\n"
        return done

    monkeypatch.setattr(Path, "replace", between)
    index._file.write(faiss.clone_index(index._main), index._contents)
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
        for name, value in (("MIN_VECTORS", 200), ("SMALL", 20), ("FEW", 8)):
            self.patches.setattr(vectors_module, name, value)
        self.patches.setattr(approximate, "_SPREAD", 5)  # so that far from all lists are read
        self.home = Path(os.environ["CLIPSIGHT_HOME"]) / os.urandom(6).hex()
        self.catalog = Catalog(self.home)
        self.model = some_model(self.catalog, DIM)
        self.batches = 0
        self.random = np.random.default_rng(seed)
        self.index = self.opened()
        self.add(300)

    def opened(self) -> FaissIndex:
        return FaissIndex(self.home / "vectors", self.catalog, self.model)

    @rule(count=st.integers(1, 120))
    def add(self, count: int) -> None:
        self.batches += 1
        add(self.catalog, self.model, clustered(count, seed=self.batches), f"b{self.batches}")
        self.index = self.opened()

    @rule(data=st.data())
    def forget(self, data: st.DataObject) -> None:
        self.catalog.forget(b"/b%d" % data.draw(st.integers(1, self.batches)))

    @rule()
    def replace(self) -> None:
        for hit in list(self.catalog.iter_embedded_photos(self.model))[::9]:
            self.catalog.put_vector(hit.photo_id, self.model, -hit.vector)
        self.index = self.opened()

    @rule()
    def reopen(self) -> None:
        self.index = self.opened()

    @rule()
    def compact(self) -> None:
        self.index.compact()

    @rule()
    def optimize(self) -> None:
        if self.index.should_optimize:
            self.index.build_approximate(no_bar)

    @rule(share=st.sampled_from([0.01, 0.1, 0.6]), count=st.sampled_from([1, 10, 50]))
    def search_some(self, share: float, count: int) -> None:
        ids = self.catalog.vector_ids(self.model)
        self.check(ids[self.random.random(len(ids)) < share], count)

    @invariant()
    def search_all(self) -> None:
        self.check(None, 10)

    def check(self, allowed: Ids | None, count: int) -> None:
        query = clustered(1, seed=int(self.random.integers(10_000))).astype(np.float32)
        true = keys(brute_force(self.catalog, self.model, query[0], allowed))
        found = keys(rank(self.catalog, self.index, query, count, allowed=allowed)[0])
        if self.index.is_exact_for(allowed):
            assert found == true[:count]
        else:
            assert len(found) == min(count, len(true)) and set(found) <= set(true)
        assert (
            keys(rank(self.catalog, self.index, query, count, allowed=allowed, exact=True)[0]) == true[:count]
        )

    def teardown(self) -> None:
        self.catalog.close()
        self.patches.undo()


AgainstBruteForce.TestCase.settings = settings(
    max_examples=10, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck)
)
test_any_order_of_changes = AgainstBruteForce.TestCase
