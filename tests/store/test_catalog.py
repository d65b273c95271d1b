"""The catalog against a model of it made of plain dictionaries, and against names of any bytes."""

import os
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from clipsight.core.errors import LibraryError
from clipsight.store.catalog import Catalog
from clipsight.store.catalog import vectors as catalog_module
from clipsight.store.path_ranges import gaps, intervals_of, merged
from clipsight.store.records import (
    Counts,
    FileStat,
    IndexedFile,
    Model,
    PartialPhoto,
    PhotoInfo,
    Root,
    State,
)
from tests.support.catalogs import add_photos, some_model, stat_of, unit_vectors
from tests.support.properties import examples

DIM = 4

FOLDERS = [b"/", b"/a", b"/a b", b"/a0", b"/a/b", b"/a/\xff"]
NAMES = [b"a.jpg", b"\xff\xfe it's.jpg"]
"""Few, so that the random actions of the state machine often meet the same file."""

STRANGE_FOLDERS = [
    b"/",
    b"/a%",
    b"/a_",
    b"/a.b",
    b"/A",
    b"/\xff\xfe",
    b"/\xff\xfe/below",
    b"/quote'\"`;--",
    b"/\x01\x1f\x7f",
    b"/new\nline\\",
    b"/*?[x]",
    b"/ ",
    "/ä".encode(),
    "/ä/日本".encode(),
    b"/" + b"long" * 60,
]


def is_under(folder: bytes, root: bytes) -> bool:
    """Whether `folder` is `root` or lies below it; said without intervals of bytes."""
    below = root if root.endswith(b"/") else root + b"/"
    return folder == root or folder.startswith(below)


@dataclass
class Row:
    """What the model knows of a photo."""

    id: int
    file: FileStat
    hash: bytes | None
    info: PhotoInfo
    state: State
    vectors: dict[int, bytes] = field(default_factory=dict)
    """By model's id."""


folders = st.sampled_from(FOLDERS)
some_folders = st.lists(folders, max_size=4)
names = st.sampled_from(NAMES)
hashes = st.sampled_from([b"\0" * 16, b"\xff" * 16, b"0123456789abcdef"])
states = st.sampled_from(list(State))
files = st.builds(
    FileStat,
    folders,
    names,
    size=st.integers(0, 2**63 - 1),
    mtime_ns=st.integers(-(2**63), 2**63 - 1),
    device=st.integers(0, 2**64 - 1),
    sidecars=st.lists(names, max_size=2).map(tuple),
    sidecar_stamp=st.none() | st.integers(0, 2**32 - 1),
)
optional_text = st.none() | st.text(max_size=5)
infos = st.builds(
    PhotoInfo,
    width=st.none() | st.integers(1, 100_000),
    format=optional_text,
    taken=optional_text,
    taken_source=st.sampled_from([None, "exif", "mtime"]),
    camera=optional_text,
    latitude=st.none() | st.floats(-90, 90),
    partial=optional_text,
)
vectors = st.integers(0, 2**32 - 1).map(lambda seed: unit_vectors(1, DIM, seed)[0])
indexes = st.integers(0, 10**6)


class CatalogMachine(RuleBasedStateMachine):
    """Does the same things to a catalog and to dictionaries, and compares what both say."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.catalog = Catalog(Path(self.folder.name))
        self.models = [self.catalog.add_model(letter * 64, letter, "builtin", DIM) for letter in "ab"]
        self.catalog.set_current_model(self.models[0])
        self.models[1] = self.catalog.add_model("b" * 64, "b", "builtin", DIM)
        self.photos: dict[tuple[bytes, bytes], Row] = {}
        self.failures: dict[tuple[bytes, bytes], tuple[int, int, str, int | None]] = {}
        self.roots: dict[bytes, Root] = {}
        self.queue: list[FileStat] = []
        self.last_photo_id = 0
        self.seen: dict[int, tuple[int, int, bytes]] = {}
        """Every vector id that ever was: photo, model and bytes."""
        self.catalog.clear_queue()

    def teardown(self) -> None:
        self.catalog.close()
        self.folder.cleanup()

    # -- what the model does --------------------------------------------------------------

    def row(self, index: int) -> Row:
        return list(self.photos.values())[index % len(self.photos)]

    def put(self, file: FileStat, hash_: bytes | None, info: PhotoInfo, state: State) -> Row:
        key = (file.folder, file.name)
        self.failures.pop(key, None)
        old = self.photos.get(key)
        if old is None:
            self.last_photo_id += 1
            self.photos[key] = Row(self.last_photo_id, file, hash_, info, state)
            return self.photos[key]
        if old.hash != hash_:
            old.vectors.clear()
        old.file, old.hash, old.info, old.state = file, hash_, info, state
        return old

    def vector_ids(self, model: Model) -> dict[int, int]:
        """The vectors' ids by photo id, as the table has them."""
        rows = self.catalog._db.rows("SELECT photo_id, id FROM vectors WHERE model_id = ?", (model.id,))
        return dict(rows)

    # -- what is done to both ---------------------------------------------------------------

    @rule(file=files, hash_=st.none() | hashes, info=infos, state=states)
    def put_photo(self, file: FileStat, hash_: bytes | None, info: PhotoInfo, state: State) -> None:
        found = self.catalog.put_photo(file, hash_, info, state)
        assert found == self.put(file, hash_, info, state).id

    @rule(file=files, hash_=hashes, vector=vectors, which=st.integers(0, 1))
    def put_embedded(self, file: FileStat, hash_: bytes, vector: np.ndarray, which: int) -> None:
        with self.catalog.transaction():
            photo_id = self.catalog.put_photo(file, hash_, PhotoInfo())
            self.catalog.put_vector(photo_id, self.models[which], vector)
        row = self.put(file, hash_, PhotoInfo(), State.PRESENT)
        row.vectors[self.models[which].id] = vector.tobytes()

    @precondition(lambda self: self.photos)
    @rule(index=indexes, vector=vectors, which=st.integers(0, 1))
    def put_vector(self, index: int, vector: np.ndarray, which: int) -> None:
        row = self.row(index)
        self.catalog.put_vector(row.id, self.models[which], vector)
        row.vectors[self.models[which].id] = vector.tobytes()

    @rule(file=files, state=states, vector=vectors, which=st.integers(0, 1))
    def add_imported(self, file: FileStat, state: State, vector: np.ndarray, which: int) -> None:
        model = self.models[which]
        old = self.photos.get((file.folder, file.name))
        added = self.catalog.import_vector(file, state, model, vector)
        assert added == (old is None or model.id not in old.vectors)
        if added:
            row = old or self.put(file, None, PhotoInfo(), state)
            row.vectors[model.id] = vector.tobytes()

    @precondition(lambda self: self.photos)
    @rule(index=indexes, file=files, info=infos)
    def copy_photo(self, index: int, file: FileStat, info: PhotoInfo) -> None:
        source = self.row(index)
        if source.hash is None:
            return
        self.catalog.copy_photo(source.id, file, source.hash, info)
        copy = self.put(file, source.hash, info, State.PRESENT)
        copy.vectors = {**source.vectors, **copy.vectors}

    @precondition(lambda self: self.photos)
    @rule(index=indexes, file=files)
    def move_photo(self, index: int, file: FileStat) -> None:
        row = self.row(index)
        self.catalog.move_photo(row.id, file)
        del self.photos[row.file.folder, row.file.name]
        self.failures.pop((file.folder, file.name), None)
        self.photos[file.folder, file.name] = row
        row.file, row.state = file, State.PRESENT

    @precondition(lambda self: self.photos)
    @rule(index=indexes, size=st.integers(0, 9), device=st.integers(0, 2**64 - 1))
    def touch(self, index: int, size: int, device: int) -> None:
        row = self.row(index)
        row.file, row.state = FileStat(row.file.folder, row.file.name, size, 5, device), State.PRESENT
        self.catalog.touch(row.id, row.file)

    @precondition(lambda self: self.photos)
    @rule(index=indexes, info=infos)
    def set_info(self, index: int, info: PhotoInfo) -> None:
        row = self.row(index)
        self.catalog.set_info(row.id, info)
        row.info = info
        assert self.catalog.photo_info(row.id) == info

    @precondition(lambda self: self.photos)
    @rule(chosen=st.lists(indexes, max_size=4), state=states)
    def mark(self, chosen: list[int], state: State) -> None:
        rows = [self.row(index) for index in chosen]
        self.catalog.set_state([row.id for row in rows], state)
        for row in rows:
            row.state = state

    @rule(folder=folders, state=states)
    def mark_under(self, folder: bytes, state: State) -> None:
        rows = [row for row in self.photos.values() if is_under(row.file.folder, folder)]
        changed = [row for row in rows if row.state not in (state, State.MISSING)]
        assert self.catalog.set_state_under(folder, state) == len(changed)
        for row in changed:
            row.state = state

    @rule(file=files, reason=st.text(max_size=5), of=st.sampled_from([None, 0, 1]))
    def put_failure(self, file: FileStat, reason: str, of: int | None) -> None:
        self.catalog.put_failure(file, reason, None if of is None else self.models[of])
        self.photos.pop((file.folder, file.name), None)
        self.failures[file.folder, file.name] = (file.size, file.mtime_ns, reason, of)

    @rule(file=files)
    def put_unreadable(self, file: FileStat) -> None:
        self.catalog.put_unreadable(file, "no rights")
        self.failures[file.folder, file.name] = (-1, -1, "no rights", None)

    @rule(folder=folders, some=st.lists(names, max_size=3))
    def drop_failures(self, folder: bytes, some: list[bytes]) -> None:
        self.catalog.drop_failures(folder, some)
        for name in some:
            self.failures.pop((folder, name), None)

    @rule(folder=folders, reachable=st.booleans(), indexed=st.none() | st.text(max_size=3))
    def set_root(self, folder: bytes, reachable: bool, indexed: str | None) -> None:
        self.catalog.set_root(folder, "{}", reachable=reachable, indexed=indexed)
        old = self.roots.get(folder)
        self.roots = {path: root for path, root in self.roots.items() if not is_under(path, folder)}
        kept = old.indexed if old is not None and indexed is None else indexed
        self.roots[folder] = Root(folder, "{}", reachable, kept)

    @rule(folder=folders)
    def forget(self, folder: bytes) -> None:
        gone = [key for key in self.photos if is_under(key[0], folder)]
        assert self.catalog.forget(folder) == len(gone)
        for key in gone:
            del self.photos[key]
        self.failures = {key: kept for key, kept in self.failures.items() if not is_under(key[0], folder)}
        self.roots = {path: root for path, root in self.roots.items() if not is_under(path, folder)}

    @rule(which=st.integers(0, 1))
    def switch_model(self, which: int) -> None:
        model = self.models[which]
        self.catalog.begin_switch(model)
        assert self.catalog.next_model() == model
        self.catalog.set_current_model(model)
        assert self.catalog.current_model() == model and self.catalog.next_model() is None
        for row in self.photos.values():
            row.vectors = {id_: vector for id_, vector in row.vectors.items() if id_ == model.id}
        self.failures = {key: kept for key, kept in self.failures.items() if kept[3] in (None, which)}
        other = "ab"[1 - which]
        self.models[1 - which] = self.catalog.add_model(other * 64, other, "builtin", DIM)

    @rule(new=st.lists(files, max_size=5))
    def enqueue(self, new: list[FileStat]) -> None:
        self.catalog.enqueue(new)
        self.queue += new

    @rule(count=st.integers(1, 4))
    def take(self, count: int) -> None:
        assert self.catalog.dequeue(count) == self.queue[:count]
        self.queue = self.queue[count:]

    @rule()
    def clear_queue(self) -> None:
        self.catalog.clear_queue()
        self.queue = []

    @rule()
    def a_failed_transaction(self) -> None:
        with pytest.raises(ZeroDivisionError), self.catalog.transaction():
            self.catalog.forget(b"/")
            self.catalog.put_failure(stat_of(b"/a/lost.jpg"), "lost")
            raise ZeroDivisionError

    # -- what both say ------------------------------------------------------------------------

    @rule(folder=folders, which=st.integers(0, 1))
    def compare_folder(self, folder: bytes, which: int) -> None:
        model = self.models[which]
        within = [row for row in self.photos.values() if is_under(row.file.folder, folder)]
        assert self.catalog.indexed_files(folder, model) == {
            row.file.name: IndexedFile(
                row.id,
                row.file.size,
                row.file.mtime_ns,
                row.file.device,
                row.state,
                model.id in row.vectors,
                row.info.partial is not None,
                row.file.sidecar_stamp,
            )
            for row in within
            if row.file.folder == folder
        }
        assert self.catalog.failed_files(folder, model) == {
            name: kept[:2] if kept[3] in (None, which) else None
            for (where, name), kept in self.failures.items()
            if where == folder
        }
        assert self.catalog.counts(folder) == count(within)
        assert self.catalog.folders_under(folder) == sorted(
            {where for where, _ in [*self.photos, *self.failures] if is_under(where, folder)}
        )
        assert self.catalog.has_folder(folder) == (
            bool(within) or any(is_under(folder, root) for root in self.roots)
        )

    @rule(some=some_folders, which=st.integers(0, 1))
    def compare_ids_under(self, some: list[bytes], which: int) -> None:
        model = self.models[which]
        inside = [
            row for row in self.photos.values() if any(is_under(row.file.folder, root) for root in some)
        ]
        ids = self.catalog.vector_ids_under(some, model)
        if len(inside) == len(self.photos):
            assert ids is None
        else:
            assert ids is not None and ids.dtype == np.int64
            id_of = self.vector_ids(model)
            expected = {id_of[row.id] for row in inside if model.id in row.vectors}
            assert set(ids.tolist()) & set(id_of.values()) == expected

    @rule(hash_=hashes, which=st.integers(0, 1))
    def compare_content(self, hash_: bytes, which: int) -> None:
        model = self.models[which]
        same = {
            (row.id, os.path.join(*key))
            for key, row in self.photos.items()
            if row.hash == hash_ and model.id in row.vectors
        }
        found = self.catalog.find_content(hash_, model)
        assert found in same if same else found is None

    @rule(which=st.integers(0, 1), count=st.integers(1, 30))
    def compare_vectors(self, which: int, count: int) -> None:
        model = self.models[which]
        id_of = self.vector_ids(model)
        kept = sorted(
            (id_of[row.id], row.vectors[model.id]) for row in self.photos.values() if model.id in row.vectors
        )
        read = [
            (int(id_), vector.tobytes())
            for ids, chunk in self.catalog.vectors_after(0, model)
            for id_, vector in zip(ids, chunk, strict=True)
        ]
        assert read == kept and self.catalog.count_vectors(model) == len(kept)
        sample = [vector.tobytes() for vector in self.catalog.sample_vectors(model, count)]
        data = [vector for _, vector in kept]
        if kept and kept[-1][0] - kept[0][0] < count:
            assert sample == data
        else:
            assert len(sample) <= count and bool(sample) == bool(data)
            assert set(sample) <= set(data)

    @invariant()
    def same_photos(self) -> None:
        for model in self.models:
            shown = {
                row.id: (os.path.join(*key), row.file.size, row.state, row.info, row.vectors[model.id])
                for key, row in self.photos.items()
                if model.id in row.vectors and row.state is not State.MISSING
            }
            hits = list(self.catalog.iter_embedded_photos(model))
            ids = [hit.vector_id for hit in hits]
            assert ids == sorted(set(ids)) and len(hits) == len(shown)
            assert shown == {
                hit.photo_id: (hit.path, hit.size, hit.state, hit.info, hit.vector.tobytes()) for hit in hits
            }
            assert {hit.vector_id: hit for hit in self.catalog.embedded_photos(ids)}.keys() == set(ids)
            lacking = [
                row
                for row in self.photos.values()
                if row.state is not State.MISSING and model.id not in row.vectors
            ]
            assert self.catalog.count_unembedded(model) == len(lacking)
        assert self.catalog.counts() == count(list(self.photos.values()))
        ids_at = {row.id: self.catalog.photo_id_at(os.path.join(*key)) for key, row in self.photos.items()}
        assert all(asked == found for asked, found in ids_at.items())

    @invariant()
    def an_id_never_comes_to_mean_another_vector(self) -> None:
        rows = self.catalog._db.rows("SELECT id, photo_id, model_id, vector FROM vectors")
        assert len(rows) == sum(len(row.vectors) for row in self.photos.values())
        last = max(self.seen, default=0)
        for id_, *content in rows:
            assert id_ > last or id_ in self.seen
            assert self.seen.setdefault(id_, tuple(content)) == tuple(content)
        assert self.catalog.last_vector_id() >= max(self.seen, default=0)

    @invariant()
    def same_partial_photos(self) -> None:
        assert self.catalog.partial_photos() == [
            PartialPhoto(os.path.join(*key), row.info.partial)
            for key, row in sorted(self.photos.items())
            if row.info.partial is not None and row.state is not State.MISSING
        ]

    @invariant()
    def same_failures_and_roots(self) -> None:
        assert [(failure.path, failure.reason) for failure in self.catalog.failures()] == [
            (os.path.join(*key), self.failures[key][2]) for key in sorted(self.failures)
        ]
        assert self.catalog.roots() == [self.roots[path] for path in sorted(self.roots)]


def count(rows: list[Row]) -> Counts:
    return Counts(*(sum(row.state is state for row in rows) for state in State))


CatalogMachine.TestCase.settings = examples(40, *HealthCheck, stateful_step_count=30)
TestCatalog = pytest.mark.slow(CatalogMachine.TestCase)


# -- by hand -----------------------------------------------------------------------------------------


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    made = Catalog(tmp_path / "library")
    yield made
    made.close()


any_folder = st.sampled_from(FOLDERS + STRANGE_FOLDERS) | st.lists(
    st.binary(min_size=1, max_size=3).filter(lambda part: not set(b"\0/") & set(part)), max_size=3
).map(lambda parts: b"/" + b"/".join(parts))


@examples(60)
@given(where=st.lists(any_folder, min_size=1, max_size=12, unique=True), data=st.data())
@pytest.mark.slow
def test_folders_of_any_bytes(
    tmp_path_factory: pytest.TempPathFactory, where: list[bytes], data: st.DataObject
) -> None:
    catalog = Catalog(tmp_path_factory.mktemp("library"))
    model = some_model(catalog, DIM)
    ids = add_photos(
        catalog, model, unit_vectors(len(where), DIM), [os.path.join(folder, b"x") for folder in where]
    )
    asked = data.draw(st.lists(st.sampled_from(where) | any_folder, min_size=1, max_size=4))
    inside = [id_ for id_, folder in zip(ids, where, strict=True) if any(is_under(folder, a) for a in asked)]
    found = catalog.vector_ids_under(asked, model)
    if len(inside) == len(where):
        assert found is None
    else:
        assert found is not None and set(found.tolist()) & set(ids) == set(inside)
    for folder in asked:
        within = [other for other in where if is_under(other, folder)]
        assert catalog.folders_under(folder) == sorted(within)
        assert catalog.counts(folder) == Counts(len(within), 0, 0)
        assert catalog.has_folder(folder) == bool(within)
    assert catalog.forget(asked[0]) == len([other for other in where if is_under(other, asked[0])])
    assert catalog.folders_under(b"/") == sorted(other for other in where if not is_under(other, asked[0]))
    catalog.close()


@pytest.mark.slow
@given(st.lists(any_folder, max_size=6), st.lists(any_folder, max_size=6))
def test_intervals(folders: list[bytes], others: list[bytes]) -> None:
    inside = merged([interval for folder in folders for interval in intervals_of(folder)])
    outside = gaps(inside)
    everything = sorted(inside + outside)  # side by side, without holes
    assert everything[0][0] == b"/" and everything[-1][1] == b"0"
    assert all(first[1] == second[0] for first, second in pairwise(everything))
    for name in folders + others:
        expected = any(is_under(name, folder) for folder in folders)
        assert any(low <= name < high for low, high in inside) == expected
        assert any(low <= name < high for low, high in outside) != expected


@pytest.mark.parametrize("count", [1, 4, 5, 6, 9])
def test_ids_below_folders_with_few_and_with_most_photos(catalog: Catalog, count: int) -> None:
    """Few are listed; most are all but the few others: what a search may find is the same."""
    model = some_model(catalog, DIM)
    ids = add_photos(catalog, model, unit_vectors(10, DIM), [b"/p/%d/x" % row for row in range(10)])
    other = catalog.add_model("b" * 64, "other", "builtin", DIM)
    for photo_id in ids:
        catalog.put_vector(photo_id, other, unit_vectors(1, DIM)[0])
    catalog.forget(b"/p/9")
    found = catalog.vector_ids_under([b"/p/%d" % row for row in range(count)], other)
    if count == 9:
        assert found is None
    else:
        assert found is not None and {id_ for id_ in found.tolist() if id_ > 10} - {20} == {
            11 + row for row in range(count)
        }
        assert len(found) == count or count > 4


def test_no_folders_are_no_photos(catalog: Catalog) -> None:
    model = some_model(catalog, DIM)
    assert catalog.vector_ids_under([b"/p"], model) is None  # which is all there are
    add_photos(catalog, model, unit_vectors(2, DIM), [b"/p/1", b"/p/2"])
    found = catalog.vector_ids_under([], model)
    assert found is not None and found.tolist() == []


def test_an_empty_catalog(catalog: Catalog) -> None:
    assert catalog.current_model() is None and catalog.next_model() is None
    model = some_model(catalog, DIM)
    assert catalog.counts() == catalog.counts(b"/") == Counts(0, 0, 0)
    assert catalog.last_vector_id() == catalog.count_vectors(model) == catalog.count_unembedded(model) == 0
    assert not list(catalog.iter_embedded_photos(model)) and not list(catalog.vectors_after(0, model))
    assert catalog.sample_vectors(model, 10).shape == (0, DIM)
    assert catalog.embedded_photos([1, 2, -3, 2**62]) == [] and catalog.photo_id_at(b"/p") is None
    assert not catalog.has_folder(b"/") and catalog.folders_under(b"/") == [] and catalog.forget(b"/") == 0


def test_a_library_has_one_uuid(tmp_path: Path) -> None:
    first, second, other = Catalog(tmp_path / "a"), Catalog(tmp_path / "a"), Catalog(tmp_path / "b")
    assert first.uuid == second.uuid != other.uuid
    for each in (first, second, other):
        each.close()


def test_models_are_known_by_fingerprint(catalog: Catalog) -> None:
    first = catalog.add_model("a" * 64, "one", "source", 4)
    assert catalog.add_model("a" * 64, "renamed", "elsewhere", 4) == Model(
        first.id, "a" * 64, "renamed", "elsewhere", 4
    )
    second = catalog.add_model("b" * 64, "one", "source", 4)
    assert second.id != first.id
    catalog.set_current_model(first)
    assert catalog.add_model("c" * 64, "three", "source", 4).id != second.id  # which may still be in use
    (photo_id,) = add_photos(catalog, first, unit_vectors(1, DIM), [b"/p/1"])
    with pytest.raises(LibraryError):
        catalog.put_vector(photo_id, second, unit_vectors(1, DIM)[0])


def test_ids_of_deleted_vectors_are_never_used_again(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path)
    model = some_model(catalog, DIM)
    add_photos(catalog, model, unit_vectors(3, DIM), [b"/p/1", b"/p/2", b"/p/3"])
    assert catalog.forget(b"/") == 3
    assert catalog.count_vectors(model) == 0  # the vectors went with their photos
    catalog.close()
    catalog = Catalog(tmp_path)
    assert add_photos(catalog, model, unit_vectors(1, DIM), [b"/p/1"]) == [4]
    assert [hit.vector_id for hit in catalog.iter_embedded_photos(model)] == [4]
    catalog.set_current_model(catalog.add_model("b" * 64, "other", "builtin", DIM))
    assert catalog._db.value("SELECT count(*) FROM vectors") == 0  # and with their model
    catalog.close()


def ids_of(catalog: Catalog, *models: Model) -> list[list[int]]:
    return [[hit.vector_id for hit in catalog.iter_embedded_photos(model)] for model in models]


def test_changed_content_drops_the_vectors_of_all_models(catalog: Catalog) -> None:
    first = some_model(catalog, DIM)
    second = catalog.add_model("b" * 64, "second", "builtin", DIM)
    photo_id = catalog.put_photo(stat_of(b"/p/1"), b"hash", PhotoInfo())
    for model in (first, second):
        catalog.put_vector(photo_id, model, unit_vectors(1, DIM)[0])
    catalog.put_photo(stat_of(b"/p/1", size=2), b"hash", PhotoInfo(width=3))  # the same content
    assert ids_of(catalog, first, second) == [[1], [2]]
    assert catalog.put_photo(stat_of(b"/p/1", size=3), b"other", PhotoInfo()) == photo_id
    assert ids_of(catalog, first, second) == [[], []]


def test_a_copied_photo_keeps_its_own_vectors(catalog: Catalog) -> None:
    first = some_model(catalog, DIM)
    second = catalog.add_model("b" * 64, "second", "builtin", DIM)
    source = catalog.put_photo(stat_of(b"/p/source"), b"hash", PhotoInfo(camera="c"))
    copy = catalog.put_photo(stat_of(b"/p/copy"), b"hash", PhotoInfo())
    catalog.put_vector(source, first, unit_vectors(1, DIM)[0])
    catalog.put_vector(source, second, unit_vectors(1, DIM, 1)[0])
    catalog.put_vector(copy, first, unit_vectors(1, DIM, 2)[0])
    catalog.copy_photo(source, stat_of(b"/p/copy"), b"hash", PhotoInfo(camera="c"))
    assert ids_of(catalog, first)[0] == [1, 3]
    (_, taken_over) = catalog.iter_embedded_photos(second)
    assert taken_over.photo_id == copy and taken_over.info.camera == "c"
    assert np.array_equal(taken_over.vector, unit_vectors(1, DIM, 1)[0])


def test_a_moved_photo_takes_the_place_of_what_was_there(catalog: Catalog) -> None:
    model = some_model(catalog, DIM)
    ids = add_photos(catalog, model, unit_vectors(3, DIM), [b"/p/1", b"/p/2", b"/p/3"])
    for moved, to in ((ids[1], b"/p/1"), (ids[1], b"/p/3"), (ids[1], b"/p/3")):
        catalog.move_photo(moved, stat_of(to))
    assert [(hit.photo_id, hit.path) for hit in catalog.iter_embedded_photos(model)] == [(ids[1], b"/p/3")]


def test_a_root_absorbs_those_below_it(catalog: Catalog) -> None:
    for path in (b"/a/b", b"/a0", b"/a b", b"/ab/c"):
        catalog.set_root(path, "{}", reachable=True, indexed="then")
    catalog.set_root(b"/a", "{}", reachable=True, indexed="now")
    assert [root.path for root in catalog.roots()] == [b"/a", b"/a b", b"/a0", b"/ab/c"]
    catalog.set_root(b"/", "{}", reachable=True, indexed="now")
    catalog.set_root(b"/", "{1}", reachable=False, indexed=None)
    assert catalog.roots() == [Root(b"/", "{1}", False, "now")]


def test_vectors_are_kept_bit_for_bit(catalog: Catalog) -> None:
    model = some_model(catalog, DIM)
    odd = np.array([1e-8, -0.0, 65504.0, 6.1e-5], dtype=np.float64)
    photo_id = catalog.put_photo(stat_of(b"/p/1"), None, PhotoInfo())
    for kept in (odd, odd.astype(np.float32), odd.astype(np.float16), np.repeat(odd, 2)[::2]):
        catalog.put_vector(photo_id, model, kept)
        (hit,) = catalog.iter_embedded_photos(model)
        assert hit.vector.tobytes() == odd.astype("<f2").tobytes()


@pytest.mark.slow
def test_vectors_and_photos_are_read_in_chunks(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog_module, "_CHUNK", 100)
    model = some_model(catalog, DIM)
    vectors = unit_vectors(2345, DIM)
    add_photos(catalog, model, vectors, [b"/p/%04d" % row for row in range(2345)])
    chunks = list(catalog.vectors_after(345, model))
    assert [len(ids) for ids, _ in chunks] == [100] * 20
    assert np.concatenate([ids for ids, _ in chunks]).tolist() == list(range(346, 2346))
    assert np.array_equal(np.concatenate([chunk for _, chunk in chunks]), vectors[345:])
    assert [hit.vector_id for hit in catalog.iter_embedded_photos(model)] == list(range(1, 2346))
    asked = list(range(1, 2346)) * 3  # more than SQLite takes in one statement's list
    assert {hit.vector_id for hit in catalog.embedded_photos(asked)} == set(asked)


@pytest.mark.parametrize("count", [1, 2, 10, 99, 500, 501, 10_000])
@pytest.mark.slow
def test_a_sample_is_spread_evenly_over_the_ids(catalog: Catalog, count: int) -> None:
    model = some_model(catalog, DIM)
    add_photos(catalog, model, unit_vectors(1000, DIM), [b"/p/%04d" % row for row in range(1000)])
    catalog._db.run("DELETE FROM vectors WHERE id <= 300 OR (id > 500 AND id <= 700)")
    number = {hit.vector.tobytes(): hit.vector_id for hit in catalog.iter_embedded_photos(model)}
    sample = [number[vector.tobytes()] for vector in catalog.sample_vectors(model, count)]
    stride = 699 // count + 1  # from the first id, 301, to the last, 1000
    assert sample[0] == 301 and sample == sorted(set(sample)) and len(sample) <= count
    assert all(
        later - earlier == stride or (earlier + stride <= 700 and later == 701)
        for earlier, later in pairwise(sample)
    )
    assert sample[-1] + stride > 1000


def test_a_sample_of_a_model_with_high_ids_only(catalog: Catalog) -> None:
    first = some_model(catalog, DIM)
    add_photos(catalog, first, unit_vectors(500, DIM), [b"/p/%04d" % row for row in range(500)])
    second = catalog.add_model("b" * 64, "second", "builtin", DIM)
    vectors = unit_vectors(20, DIM, seed=1)
    for photo_id, vector in enumerate(vectors, start=1):
        catalog.put_vector(photo_id, second, vector)
    assert np.array_equal(catalog.sample_vectors(second, 20), vectors)
    assert len(catalog.sample_vectors(second, 10)) == 10


def test_missing_photos_are_purged_in_time(catalog: Catalog) -> None:
    model = some_model(catalog, DIM)
    ids = add_photos(catalog, model, unit_vectors(4, DIM), [b"/p/%d" % row for row in range(4)])
    catalog.set_state(ids[:2], State.MISSING)
    catalog.set_state(ids[2:3], State.UNREACHABLE)
    catalog._db.run("UPDATE photos SET state_since = datetime('now', 'localtime', '-31 days') WHERE id != 2")
    catalog.purge_missing()
    assert [catalog.photo_id_at(b"/p/%d" % row) for row in range(4)] == [None, 2, 3, 4]
    assert catalog.count_vectors(model) == 3


def test_the_date_of_a_state_is_that_of_its_change(catalog: Catalog) -> None:
    (photo_id,) = add_photos(catalog, some_model(catalog, DIM), unit_vectors(1, DIM), [b"/p/1"])

    def since() -> object:
        return catalog._db.value("SELECT state_since FROM photos")

    assert since() is None
    catalog.set_state([photo_id], State.MISSING)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", str(since()))
    catalog._db.run("UPDATE photos SET state_since = 'long ago'")
    catalog.set_state([photo_id], State.MISSING)
    assert since() == "long ago"
    catalog.touch(photo_id, stat_of(b"/p/1"))
    assert since() is None


@pytest.mark.slow
def test_count_in_state(catalog: Catalog) -> None:
    ids = add_photos(
        catalog, some_model(catalog, DIM), unit_vectors(6000, DIM), [b"/p/%d" % row for row in range(6000)]
    )
    catalog.set_state(ids[::2], State.UNREACHABLE)
    assert catalog.count_in_state(ids, State.UNREACHABLE) == 3000
    assert catalog.count_in_state(ids[:3], State.PRESENT) == 1
    assert catalog.count_in_state([], State.PRESENT) == 0


def test_the_queue_is_private_to_the_connection(tmp_path: Path) -> None:
    first, second = Catalog(tmp_path), Catalog(tmp_path)
    for catalog in (first, second):
        catalog.clear_queue()
    first.enqueue(stat_of(b"/p/%d" % row) for row in range(5))
    assert second.dequeue(5) == []
    assert [file.name for file in first.dequeue(3)] == [b"0", b"1", b"2"]
    first.enqueue([stat_of(b"/p/late", device=2**64 - 1)])
    assert first.dequeue(9)[-1] == stat_of(b"/p/late", device=2**64 - 1)
    assert first.dequeue(1) == []
    first.enqueue([stat_of(b"/p/1")])
    first.clear_queue()
    assert first.dequeue(1) == []
    first.close()
    second.close()


def test_no_statement_reads_all_vectors(catalog: Catalog) -> None:
    """At a million photos the table of vectors is gigabytes: only its indexes may be scanned."""
    model = some_model(catalog, DIM)
    add_photos(catalog, model, unit_vectors(50, DIM), [b"/p/%d/%d" % (row % 3, row) for row in range(50)])
    add_photos(catalog, catalog.add_model("b" * 64, "b", "", DIM), unit_vectors(1, DIM), [b"/q/1"])
    connection = catalog._db._connection
    statements: list[str] = []
    connection.set_trace_callback(statements.append)
    catalog.indexed_files(b"/p/1", model)
    catalog.find_content(b"hash", model)
    catalog.put_vector(1, model, unit_vectors(1, DIM)[0])
    catalog.put_photo(stat_of(b"/p/1/1"), b"other", PhotoInfo())
    catalog.import_vector(stat_of(b"/p/9/9"), State.PRESENT, model, unit_vectors(1, DIM)[0])
    catalog.copy_photo(1, stat_of(b"/p/7"), b"hash", PhotoInfo())
    catalog.set_info(1, PhotoInfo())
    catalog.move_photo(1, stat_of(b"/p/8"))
    catalog.put_failure(stat_of(b"/p/8"), "reason")
    catalog.purge_missing()
    catalog.embedded_photos([1, 2, 3])
    next(catalog.iter_embedded_photos(model))
    next(catalog.vectors_after(3, model))
    catalog.count_vectors(model)
    catalog.last_vector_id()
    catalog.sample_vectors(model, 5)
    catalog.vector_ids_under([b"/p/1", b"/p/2"], model)
    catalog.counts()
    catalog.counts(b"/p/1")
    catalog.count_unembedded(model)
    catalog.has_folder(b"/z")
    catalog.forget(b"/p/1")
    catalog.set_current_model(model)
    connection.set_trace_callback(None)
    scans, of_one_model = set(), set()
    for statement in statements:
        if statement.startswith(("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")):
            plan = [detail for *_, detail in connection.execute(f"EXPLAIN QUERY PLAN {statement}")]
            scans |= {detail for detail in plan if re.search(r"SCAN (v|vectors|p|photos)\b", detail)}
            if any("vectors_by_model (model_id=?)" in detail for detail in plan):  # all ids of a model
                of_one_model.add(statement.partition(" WHERE")[0])
    assert of_one_model == {
        "SELECT count(*) FROM vectors",
        "SELECT min(id) FROM vectors",  # which stops at the first
        "SELECT max(id) FROM vectors",
        "DELETE FROM models",
    }
    assert scans == {
        "SCAN p",  # photos that lack vectors, while a model is switched
        "SCAN photos USING COVERING INDEX photos_away",
        "SCAN photos USING INDEX photos_away",
        "SCAN photos USING COVERING INDEX photos_by_height",
    }
