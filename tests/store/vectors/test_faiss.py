"""The FAISS file may be missing, damaged, stale or of another library: the results are the same."""

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import faiss
import numpy as np
import pytest

from clipsight.core.arrays import Ids
from clipsight.store.catalog import Catalog
from clipsight.store.records import Model
from clipsight.store.vectors import faiss as vectors_module
from clipsight.store.vectors.faiss import FaissIndex, remove_files_of_other_models
from clipsight.store.vectors.index_file import Contents, IndexFile
from tests.support.catalogs import IndexedPhotos, Vectors, finish, start_python, unit_vectors

DIM, COUNT = 16, 400


@pytest.fixture
def photos(tmp_path: Path) -> Iterator[IndexedPhotos]:
    """Photos of which the catalog has `COUNT` vectors."""
    with closing(IndexedPhotos.create(tmp_path / "library", DIM)) as made:
        made.add_to("first", unit_vectors(COUNT, DIM))
        yield made


def is_right(index: FaissIndex, photos: IndexedPhotos) -> bool:
    """True if there are vectors, and the ten best for 25 of them are right."""
    vectors = [photo.vector.astype(np.float32) for photo in photos.embedded()]
    queries = np.stack(vectors[:: max(1, len(vectors) // 25)])
    best = [scored[:10] for scored in photos.brute_force(queries)]
    return photos.ranked(index, queries, 10) == best


def is_mapped(file: Path) -> bool:
    """Whether this process has `file` as it is now mapped into memory."""
    wanted = str(file.stat().st_ino)
    maps = [line.split() for line in Path("/proc/self/maps").read_text().splitlines()]
    return any(len(line) == 6 and line[4] == wanted and line[5] == str(file) for line in maps)


def spoil(file: Path, offset: int, data: bytes) -> None:
    with file.open("r+b") as opened:
        opened.seek(offset)
        opened.write(data)


def truncate(file: Path, size: int) -> None:
    with file.open("r+b") as opened:
        opened.truncate(size)


def replace_by_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def stamp(file: Path) -> Path:
    return file.with_suffix(".json")


def change_stamp(file: Path, **changes: object) -> None:
    stamp(file).write_text(json.dumps({**json.loads(stamp(file).read_text()), **changes}))


DAMAGES: dict[str, Callable[[Path], object]] = {
    "file missing": lambda file: file.unlink(),
    "stamp missing": lambda file: stamp(file).unlink(),
    "both missing": lambda file: shutil.rmtree(file.parent),
    "file empty": lambda file: truncate(file, 0),
    "file cut short": lambda file: truncate(file, file.stat().st_size // 2),
    "last byte gone": lambda file: truncate(file, file.stat().st_size - 1),
    "garbage at its head": lambda file: spoil(file, 0, os.urandom(64)),
    "garbage in its middle": lambda file: spoil(file, file.stat().st_size // 2, os.urandom(500)),
    "garbage at its end": lambda file: spoil(file, file.stat().st_size - 300, os.urandom(300)),
    "garbage added": lambda file: spoil(file, file.stat().st_size, b"more"),
    "another file": lambda file: file.write_bytes(b"not FAISS's at all"),
    "another dimension": lambda file: faiss.write_index(faiss.IndexFlatIP(3), str(file)),
    "stamp cut short": lambda file: stamp(file).write_text(stamp(file).read_text()[:50]),
    "stamp not JSON": lambda file: stamp(file).write_bytes(b"\xff\xfe\0garbage"),
    "stamp empty": lambda file: stamp(file).write_text(""),
    "stamp a list": lambda file: stamp(file).write_text("[1, 2]"),
    "stamp null": lambda file: stamp(file).write_text("null"),
    "stamp nested": lambda file: stamp(file).write_text("[" * 100_000),
    "stamp with other fields": lambda file: stamp(file).write_text('{"version": 7}'),
    "stamp of an older format": lambda file: change_stamp(file, format=0),
    "stamp with another count": lambda file: change_stamp(file, count=COUNT - 1),
    "stamp with a higher id": lambda file: change_stamp(file, last_id=COUNT + 1),
    "stamp with a lower id": lambda file: change_stamp(file, last_id=COUNT - 1),
    "stamp with text for a number": lambda file: change_stamp(file, last_id=str(COUNT)),
    "stamp of another library": lambda file: change_stamp(file, library="0" * 32),
    "stamp of another model": lambda file: change_stamp(file, fingerprint="b" * 64),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
@pytest.mark.slow
def test_a_damaged_file_is_rebuilt(photos: IndexedPhotos, damage: Callable[[Path], object]) -> None:
    file = photos.file
    photos.open_index()
    damage(file)
    index = photos.open_index()
    assert is_right(index, photos)
    assert len(index) == COUNT and is_mapped(file)
    assert sorted(os.listdir(photos.folder)) == sorted([file.name, stamp(file).name])


@pytest.mark.parametrize("which", ["file", "stamp", "folder"])
@pytest.mark.slow
def test_where_no_file_can_be_written_the_index_is_in_memory(photos: IndexedPhotos, which: str) -> None:
    photos.open_index()
    file = photos.file
    if which == "folder":
        shutil.rmtree(photos.folder)
        photos.folder.write_bytes(b"")
    else:
        replace_by_folder(file if which == "file" else stamp(file))
    for _ in range(2):
        assert is_right(photos.open_index(), photos)
    photos.add_to("more", unit_vectors(50, DIM, seed=1))
    index = photos.open_index()
    assert len(index) == COUNT + 50 and is_right(index, photos)


@pytest.mark.slow
def test_a_full_disk_leaves_the_index_in_memory(
    photos: IndexedPhotos, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(index: object, name: str) -> None:
        Path(name).write_bytes(b"half of")
        raise RuntimeError("Error: 'ret == (size)' failed: No space left on device")

    monkeypatch.setattr(faiss, "write_index", full)
    assert is_right(photos.open_index(), photos)
    assert os.listdir(photos.folder) == []


def test_temporary_files_of_a_killed_process_are_removed(photos: IndexedPhotos) -> None:
    photos.folder.mkdir()
    for name, age in (("old.tmp", 7200), ("young.tmp", 10)):
        (photos.folder / name).write_bytes(b"half of")
        os.utime(photos.folder / name, (time.time() - age,) * 2)
    photos.open_index()
    assert {file.name for file in photos.folder.glob("*.tmp")} == {"young.tmp"}


@pytest.mark.slow
def test_an_up_to_date_file_is_mapped_and_not_rewritten(photos: IndexedPhotos) -> None:
    first = photos.open_index()
    file = photos.file
    assert is_mapped(file)  # by the process that has made it, too
    before = {each: (each.stat().st_ino, each.stat().st_mtime_ns) for each in photos.folder.iterdir()}
    del first
    assert not is_mapped(file)
    second = photos.open_index()
    second.compact()
    assert is_mapped(file) and is_right(second, photos)
    assert before == {each: (each.stat().st_ino, each.stat().st_mtime_ns) for each in photos.folder.iterdir()}


@pytest.mark.slow
def test_the_file_is_rewritten_only_for_a_large_tail(
    photos: IndexedPhotos, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos.open_index()
    file = photos.file

    def remade(vectors: int, name: str) -> bool:
        before = file.stat().st_ino, file.stat().st_mtime_ns
        photos.add_to(name, unit_vectors(vectors, DIM, seed=vectors))
        index = photos.open_index()
        assert len(index) == photos.catalog.count_vectors(photos.model) and is_right(index, photos)
        return before != (file.stat().st_ino, file.stat().st_mtime_ns)

    assert remade(1, "small libraries leave no tail")
    monkeypatch.setattr(vectors_module, "SMALL_INDEX", 100)
    assert not remade(int(COUNT * vectors_module.TAIL_SHARE), "tail")
    assert remade(1, "a little more")


@pytest.mark.slow
def test_deleted_vectors_are_removed_when_there_are_many(
    photos: IndexedPhotos, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vectors_module, "SMALL_INDEX", 100)
    photos.add_to("few", unit_vectors(4, DIM, seed=1))
    photos.add_to("many", unit_vectors(40, DIM, seed=2))
    index = photos.open_index()
    inode = photos.file.stat().st_ino
    photos.catalog.forget(b"/few")
    index.compact()
    assert (len(index), photos.file.stat().st_ino) == (COUNT + 44, inode)
    assert is_right(index, photos)
    photos.catalog.forget(b"/many")
    index.compact()
    assert len(index) == COUNT and photos.file.stat().st_ino != inode
    assert is_right(index, photos) and is_mapped(photos.file)


def test_all_vectors_deleted(photos: IndexedPhotos) -> None:
    index = photos.open_index()
    photos.catalog.forget(b"/")
    assert photos.ranked(index, unit_vectors(1, DIM).astype(np.float32), 5) == [[]]
    index.compact()
    assert len(index) == len(photos.open_index()) == 0


@pytest.mark.slow
def test_a_changed_photo_has_its_new_vector_only(photos: IndexedPhotos) -> None:
    photos.open_index()
    photo = photos.embedded()[0]
    photos.catalog.put_vector(photo.photo_id, photos.model, -photo.vector)
    index = photos.open_index()
    (best,) = photos.ranked(index, photo.vector.astype(np.float32)[None], COUNT + 1)
    assert len(best) == COUNT and best[-1][1] == photo.path and is_right(index, photos)


@pytest.mark.slow
def test_the_file_of_another_library(photos: IndexedPhotos, tmp_path: Path) -> None:
    with closing(IndexedPhotos.create(tmp_path / "other", DIM)) as other:
        other.add_to("first", unit_vectors(COUNT, DIM, seed=7))
        other.open_index()
    shutil.copytree(other.folder, photos.folder, copy_function=shutil.copy2)
    assert is_right(photos.open_index(), photos)


@pytest.mark.slow
def test_each_model_has_its_file(photos: IndexedPhotos) -> None:
    other = replace(photos, model=photos.catalog.add_model("b" * 64, "other", "builtin", 3))
    for photo_id, vector in enumerate(unit_vectors(COUNT, 3, seed=3), start=1):
        other.catalog.put_vector(photo_id, other.model, vector)
    indexes = {each: each.open_index() for each in (photos, other)}
    assert all(is_right(index, each) for each, index in indexes.items())
    remove_files_of_other_models(photos.folder, photos.model)
    assert sorted(os.listdir(photos.folder)) == sorted(["a" * 16 + ".faiss", "a" * 16 + ".json"])
    assert is_right(indexes[other], other)  # its mapping outlives the file


# -- an older copy of the catalog put back: ids are given out a second time ------------------------


@pytest.fixture
def restored(tmp_path: Path) -> Iterator[IndexedPhotos]:
    """A library whose FAISS file knows 100 vectors more than its catalog does."""
    home = tmp_path / "restored"
    with closing(IndexedPhotos.create(home, DIM)) as photos:
        photos.add_to("first", unit_vectors(COUNT, DIM))
    shutil.copyfile(home / "catalog.sqlite3", tmp_path / "copy")
    with closing(IndexedPhotos.create(home, DIM)) as photos:
        photos.add_to("lost", unit_vectors(100, DIM, seed=1))
        photos.open_index()
    shutil.copyfile(tmp_path / "copy", home / "catalog.sqlite3")
    with closing(IndexedPhotos.create(home, DIM)) as photos:
        yield photos


@pytest.mark.parametrize("new", [0, 1, 99, 100, 101, 300])
@pytest.mark.slow
def test_a_restored_older_catalog_is_detected(restored: IndexedPhotos, new: int) -> None:
    restored.add_to("new", unit_vectors(new, DIM, seed=2))
    index = restored.open_index()
    assert len(index) == COUNT + new and is_right(index, restored)
    ((best,),) = restored.ranked(index, unit_vectors(100, DIM, seed=1)[-1:].astype(np.float32), 1)
    assert best[1].startswith((b"/first", b"/new"))


# -- other processes -------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_vector_committed_while_the_file_is_written(
    photos: IndexedPhotos, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Catalog.vectors_after

    def with_late_commit(self: Catalog, vector_id: int, of: Model) -> Iterator[tuple[Ids, Vectors]]:
        yield from original(self, vector_id, of)
        monkeypatch.undo()
        photos.add_to("late", unit_vectors(3, DIM, seed=9))

    monkeypatch.setattr(Catalog, "vectors_after", with_late_commit)
    photos.open_index()
    index = photos.open_index()
    assert len(index) == COUNT + 3 and is_right(index, photos)


def test_another_process_replaces_the_file_at_once(
    photos: IndexedPhotos, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = IndexFile.write

    def then_replaced(self: IndexFile, index: object, contents: Contents) -> None:
        original(self, index, contents)
        monkeypatch.undo()
        self._file.write_bytes(b"half a file of another process")

    monkeypatch.setattr(IndexFile, "write", then_replaced)
    index = photos.open_index()
    assert len(index) == COUNT and is_right(index, photos)


OPEN = """
import sys
from pathlib import Path
import numpy as np
from clipsight.store.catalog import Catalog
from clipsight.store.vectors.rerank import rank
from clipsight.store.vectors.faiss import FaissIndex

catalog = Catalog(Path(sys.argv[1]))
model = catalog.current_model()
print("ready", flush=True)
sys.stdin.readline()
index = FaissIndex(Path(sys.argv[1]) / "vectors", catalog, model)
query = next(catalog.iter_embedded_photos(model)).vector.astype(np.float32)
print([each.photo.path for each in rank(catalog, index, query[None], 10)[0]])
"""


@pytest.mark.process
def test_many_processes_write_the_file_at_once(photos: IndexedPhotos, tmp_path: Path) -> None:
    processes = [start_python(OPEN, tmp_path / "library") for _ in range(4)]
    for process in processes:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
    query = photos.embedded()[0].vector.astype(np.float32)[None]
    (found,) = photos.ranked(photos.open_index(), query, 10)
    assert set(finish(processes)) == {f"{[path for _, path in found]}\n"}
    assert is_right(photos.open_index(), photos)
    assert sorted(os.listdir(photos.folder)) == sorted(["a" * 16 + ".faiss", "a" * 16 + ".json"])


REBUILD = """
import sys
from pathlib import Path
import numpy as np
from clipsight.store import catalog as module
from clipsight.store.catalog import Catalog
from clipsight.store.vectors.faiss import FaissIndex

module._CHUNK = 1024
catalog = Catalog(Path(sys.argv[1]))
model = catalog.current_model()
FaissIndex(Path(sys.argv[1]) / "empty", Catalog(Path(sys.argv[1]) / "empty"), model)
status = Path("/proc/self/status")
peak = lambda: int(next(line for line in status.read_text().splitlines() if "VmHWM" in line).split()[1])
before = peak()
FaissIndex(Path(sys.argv[1]) / "vectors", catalog, model)
print(peak() - before)
"""


@pytest.mark.process
def test_building_the_file_takes_the_memory_of_the_vectors_once(tmp_path: Path) -> None:
    count, dim = 70_000, 512  # 72 MB; a buffer that doubles would take 64 MB and then 128 MB
    blob = unit_vectors(1, dim)[0].tobytes()
    with closing(IndexedPhotos.create(tmp_path, dim)) as photos, photos.catalog.transaction():
        database, model = photos.catalog.database, photos.model
        database.run_many(
            "INSERT INTO photos (folder, name, size, mtime_ns, device) VALUES (?, ?, 0, 0, 0)",
            [(b"/p", b"%d" % row) for row in range(count)],
        )
        database.run_many(
            "INSERT INTO vectors (photo_id, model_id, vector) VALUES (?, ?, ?)",
            [(row + 1, model.id, blob) for row in range(count)],
        )
    (grown,) = finish([start_python(REBUILD, tmp_path)])
    assert int(grown) * 1024 < 1.1 * count * dim * 2 + (44 << 20)  # 32 MB of them SQLite's page cache
