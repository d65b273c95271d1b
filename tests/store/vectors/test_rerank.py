"""Exact top-k: equal to sorting everything with NumPy, wherever the vectors are kept."""

from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipsight.core.arrays import Ids
from clipsight.store.catalog import Catalog
from clipsight.store.records import Model, State
from clipsight.store.vectors import faiss as vectors_module
from clipsight.store.vectors.base import VectorIndex
from clipsight.store.vectors.faiss import FaissIndex
from clipsight.store.vectors.flat import FlatIndex
from clipsight.store.vectors.rerank import _MARGIN, rank
from tests.support.catalogs import Vectors, add_photos, some_model, unit_vectors
from tests.support.properties import examples

Query = npt.NDArray[np.float32]


def unit_query(dim: int, seed: int = 99) -> Query:
    wide = np.random.default_rng(seed).standard_normal(dim)
    return (wide / np.linalg.norm(wide)).astype(np.float32)


def paths_for(count: int, seed: int = 1) -> list[bytes]:
    """Paths in an order that has nothing to do with ids."""
    order = np.random.default_rng(seed).permutation(count)
    return [b"/photos/%d/%05d.jpg" % (number % 3, number) for number in order]


class Photos:
    """A catalog and its index, with what is in them known to the test."""

    def __init__(self, folder: Path, dim: int) -> None:
        self.catalog = Catalog(folder)
        self.folder = folder / "vectors"
        self.model: Model = some_model(self.catalog, dim)
        self.paths: list[bytes] = []
        self.photo_ids: list[int] = []
        self.vectors: Vectors = np.empty((0, dim), dtype="<f2")

    def add(self, vectors: Vectors, paths: list[bytes]) -> None:
        self.photo_ids += add_photos(self.catalog, self.model, vectors, paths)
        self.paths += paths
        self.vectors = np.concatenate([self.vectors, vectors])

    def index(self) -> FaissIndex:
        return FaissIndex(self.folder, self.catalog, self.model)

    def expected(self, query: Query, count: int, excluded: Collection[int] = ()) -> list[tuple[float, bytes]]:
        """Scores and paths by brute force, over the rows whose photo is not left out."""
        wide = query.astype(np.float64)
        rows = [
            (-float(vector.astype(np.float64) @ wide), path)
            for vector, path, photo_id in zip(self.vectors, self.paths, self.photo_ids, strict=True)
            if photo_id not in excluded
        ]
        return [(-negated, path) for negated, path in sorted(rows)[:count]]

    def ranked(
        self,
        index: VectorIndex,
        query: Query,
        count: int,
        allowed: Ids | None = None,
        excluded: Collection[int] = (),
    ) -> list[tuple[float, bytes]]:
        (found,) = rank(self.catalog, index, query[None], count, allowed=allowed, excluded=[excluded])
        return [(each.score, each.photo.path) for each in found]


@pytest.fixture
def photos(tmp_path: Path) -> Iterator[Callable[[int], Photos]]:
    made: list[Photos] = []

    def make(dim: int) -> Photos:
        made.append(Photos(tmp_path / f"library{len(made)}", dim))
        return made[-1]

    yield make
    for each in made:
        each.catalog.close()


def in_file(photos: Photos, vectors: Vectors, monkeypatch: pytest.MonkeyPatch) -> FaissIndex:
    photos.add(vectors, paths_for(len(vectors)))
    photos.index()
    index = photos.index()
    assert index._parts.tail.ntotal == 0 and index._parts.main.ntotal == len(vectors)
    return index


def in_tail(photos: Photos, vectors: Vectors, monkeypatch: pytest.MonkeyPatch) -> FaissIndex:
    photos.index()
    monkeypatch.setattr(vectors_module, "SMALL_INDEX", 0)
    monkeypatch.setattr(vectors_module, "TAIL_SHARE", 2.0)
    photos.add(vectors, paths_for(len(vectors)))
    index = photos.index()
    assert index._parts.tail.ntotal == len(vectors) and index._parts.main.ntotal == 0
    return index


def in_both(photos: Photos, vectors: Vectors, monkeypatch: pytest.MonkeyPatch) -> FaissIndex:
    half = len(vectors) // 2
    paths = paths_for(len(vectors))
    photos.add(vectors[:half], paths[:half])
    photos.index()
    monkeypatch.setattr(vectors_module, "SMALL_INDEX", 0)
    monkeypatch.setattr(vectors_module, "TAIL_SHARE", 2.0)
    photos.add(vectors[half:], paths[half:])
    index = photos.index()
    assert index._parts.tail.ntotal == len(vectors) - half and index._parts.main.ntotal == half
    return index


def in_memory(photos: Photos, vectors: Vectors, monkeypatch: pytest.MonkeyPatch) -> FaissIndex:
    photos.folder.write_bytes(b"a file where the folder should be")
    photos.add(vectors, paths_for(len(vectors)))
    return photos.index()


def in_flat(photos: Photos, vectors: Vectors, monkeypatch: pytest.MonkeyPatch) -> FlatIndex:
    photos.add(vectors, paths_for(len(vectors)))
    return FlatIndex(photos.catalog, photos.model)


Place = Callable[[Photos, Vectors, pytest.MonkeyPatch], VectorIndex]
PLACES: list[Place] = [in_file, in_tail, in_both, in_memory, in_flat]
places = pytest.mark.parametrize("place", PLACES)


@places
@pytest.mark.parametrize("dim", [1, 8, 512])
@pytest.mark.parametrize("size", [1, 2, 17, pytest.param(3000, marks=pytest.mark.slow)])
def test_equal_to_numpy(
    photos: Callable[[int], Photos], monkeypatch: pytest.MonkeyPatch, place: Place, dim: int, size: int
) -> None:
    made = photos(dim)
    index = place(made, unit_vectors(size, dim), monkeypatch)
    query = unit_query(dim)
    expected = made.expected(query, size)
    assert len(index) == len(expected) == size
    for count in (1, 2, 10, 100, size, 5 * size):
        assert made.ranked(index, query, count) == expected[:count]


@places
@pytest.mark.parametrize("distinct", [1, 3, 40])
@pytest.mark.slow
def test_ties_at_the_end_of_the_result_are_broken_by_path(
    photos: Callable[[int], Photos], monkeypatch: pytest.MonkeyPatch, place: Place, distinct: int
) -> None:
    made = photos(16)
    which = np.random.default_rng(5).integers(0, distinct, 600)
    index = place(made, unit_vectors(distinct, 16)[which], monkeypatch)
    query = unit_query(16)
    expected = made.expected(query, 600)
    assert len({score for score, _ in expected}) == distinct
    for count in (1, 15, 64, 200, 600):
        assert made.ranked(index, query, count) == expected[:count]


@places
@pytest.mark.slow
def test_scores_closer_than_the_precision_of_float32(
    photos: Callable[[int], Photos], monkeypatch: pytest.MonkeyPatch, place: Place
) -> None:
    made = photos(512)
    vectors = np.repeat(unit_vectors(1, 512), 500, axis=0)
    bits = vectors.view(np.uint16)
    bits[np.arange(500), np.random.default_rng(3).integers(0, 512, 500)] ^= 1  # one last bit of each
    index = place(made, vectors, monkeypatch)
    query = unit_vectors(1, 512)[0].astype(np.float32)
    for count in (1, 10, 100):
        assert made.ranked(index, query, count) == made.expected(query, count)


@places
@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 1.0])
@pytest.mark.slow
def test_only_allowed_ids(
    photos: Callable[[int], Photos], monkeypatch: pytest.MonkeyPatch, place: Place, share: float
) -> None:
    made = photos(32)
    vectors = unit_vectors(600, 32)
    vectors[::7] = vectors[0]
    index = place(made, vectors, monkeypatch)
    ids = np.array([hit.vector_id for hit in made.catalog.iter_embedded_photos(made.model)], dtype=np.int64)
    allowed = ids[np.random.default_rng(2).random(600) < share]
    hits = {hit.vector_id: hit.photo_id for hit in made.catalog.iter_embedded_photos(made.model)}
    others = {hits[int(id_)] for id_ in ids} - {hits[int(id_)] for id_ in allowed}
    query = unit_query(32)
    for count in (1, 10, 150):
        assert made.ranked(index, query, count, allowed) == made.expected(query, count, others)


@places
def test_excluded_photos_do_not_count(
    photos: Callable[[int], Photos], monkeypatch: pytest.MonkeyPatch, place: Place
) -> None:
    made = photos(32)
    index = place(made, unit_vectors(500, 32), monkeypatch)
    query = unit_query(32)
    best = [path for _, path in made.expected(query, 100)]
    ids = dict(zip(made.paths, made.photo_ids, strict=True))
    for excluded in (best[:1], best[::2], best):
        dropped = {ids[path] for path in excluded}
        assert made.ranked(index, query, 20, excluded=dropped) == made.expected(query, 20, dropped)


@pytest.mark.slow
@places
def test_photos_with_the_same_content_are_one_result(
    photos: Callable[[int], Photos], monkeypatch: pytest.MonkeyPatch, place: Place
) -> None:
    made = photos(16)
    random = np.random.default_rng(8)
    content = np.where(random.random(500) < 0.5, random.integers(0, 40, 500), np.arange(100, 600))
    index = place(made, unit_vectors(600, 16)[content], monkeypatch)
    hashes = [(b"%016d" % each, photo_id) for each, photo_id in zip(content, made.photo_ids, strict=True)]
    made.catalog._db.run_many("UPDATE photos SET hash = ? WHERE id = ?", hashes)
    away = random.choice(made.photo_ids, 130, replace=False).tolist()
    made.catalog.set_state(away, State.UNREACHABLE)
    query = unit_query(16)
    hash_of = {path: hash_ for path, (hash_, _) in zip(made.paths, hashes, strict=True)}
    ids = dict(zip(made.paths, made.photo_ids, strict=True))
    groups: dict[bytes, list[tuple[float, bytes]]] = {}
    for score, path in made.expected(query, 500):
        groups.setdefault(hash_of[path], []).append((score, path))
    expected = []
    for same in groups.values():
        reachable = [path for _, path in same if ids[path] not in away]
        first = (reachable or [same[0][1]])[0]
        expected.append((same[0][0], first, tuple(sorted(path for _, path in same if path != first))))
    for count in (1, 7, 100, len(expected), 500):
        (found,) = rank(made.catalog, index, query[None], count, duplicates=False)
        assert [(each.score, each.photo.path, each.copies) for each in found] == expected[:count]
    only = np.array([int(each) for each in made.photo_ids[:50]], np.int64)
    assert made.catalog.with_copies(only[:1].tolist()) == {
        photo_id for hash_, photo_id in hashes if hash_ == hashes[0][0]
    }


@places
@pytest.mark.slow
def test_deleted_and_missing_photos_do_not_count(
    photos: Callable[[int], Photos], monkeypatch: pytest.MonkeyPatch, place: Place
) -> None:
    made = photos(32)
    index = place(made, unit_vectors(600, 32), monkeypatch)
    query = unit_query(32)
    ids = dict(zip(made.paths, made.photo_ids, strict=True))
    best = [ids[path] for _, path in made.expected(query, 360)]
    made.catalog.set_state(best[::3], State.MISSING)
    made.catalog.set_state(best[1::3], State.UNREACHABLE)  # these are still found
    made.catalog._db.run_many("DELETE FROM photos WHERE id = ?", [(photo_id,) for photo_id in best[2::3]])
    gone = {*best[::3], *best[2::3]}
    for count in (1, 50, 600):
        assert made.ranked(index, query, count) == made.expected(query, count, gone)


def test_no_allowed_ids_and_an_empty_library(
    photos: Callable[[int], Photos], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = photos(4)
    assert made.ranked(made.index(), unit_query(4), 5) == []
    index = in_file(made, unit_vectors(3, 4), monkeypatch)
    assert made.ranked(index, unit_query(4), 5, allowed=np.empty(0, dtype=np.int64)) == []
    assert made.ranked(index, unit_query(4), 5, excluded=set(made.photo_ids)) == []


@pytest.mark.parametrize("dim", [8, 512, 4096])
def test_the_error_of_faiss_is_smaller_than_the_margin(photos: Callable[[int], Photos], dim: int) -> None:
    made = photos(dim)
    made.add(unit_vectors(300, dim), paths_for(300))
    (found,) = made.index().search(unit_query(dim)[None], 300)
    exact = {
        hit.vector_id: float(hit.vector.astype(np.float64) @ unit_query(dim).astype(np.float64))
        for hit in made.catalog.iter_embedded_photos(made.model)
    }
    errors = [abs(exact[int(id_)] - score) for id_, score in zip(found.ids, found.scores, strict=True)]
    assert max(errors) < _MARGIN / 10


@examples(15)
@given(
    size=st.integers(1, 60),
    dim=st.sampled_from([1, 2, 3, 16]),
    distinct=st.integers(1, 60),
    seed=st.integers(0, 2**32 - 1),
    excluded=st.integers(0, 5),
)
@pytest.mark.slow
def test_a_shorter_result_is_the_start_of_a_longer_one(
    tmp_path_factory: pytest.TempPathFactory, size: int, dim: int, distinct: int, seed: int, excluded: int
) -> None:
    made = Photos(tmp_path_factory.mktemp("library"), dim)
    try:
        which = np.random.default_rng(seed).integers(0, distinct, size)
        made.add(unit_vectors(distinct, dim, seed)[which], paths_for(size, seed))
        index, query, dropped = made.index(), unit_query(dim, seed), set(made.photo_ids[:excluded])
        fifteen = made.ranked(index, query, 15, excluded=dropped)
        assert fifteen == made.expected(query, 15, dropped)
        for count in range(1, 16):
            assert made.ranked(index, query, count, excluded=dropped) == fifteen[:count]
    finally:
        made.catalog.close()
