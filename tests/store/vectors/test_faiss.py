"""The FAISS file may be missing, damaged, stale or foreign: what is found never changes."""

import json
import math
import os
import shutil
import time
from collections.abc import Callable, Iterator
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
from clipsight.store.vectors.rerank import rank
from tests.support.catalogs import Vectors, add_photos, finish, some_model, start_python, unit_vectors

DIM, COUNT = 16, 400


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
    """A model of which the catalog has `COUNT` vectors."""
    made = some_model(catalog, DIM)
    add(catalog, made, unit_vectors(COUNT, DIM), "first")
    return made


def add(catalog: Catalog, model: Model, vectors: Vectors, name: str) -> list[int]:
    return add_photos(catalog, model, vectors, [f"/{name}/{i:04}".encode() for i in range(len(vectors))])


def file_of(folder: Path, model: Model) -> Path:
    return folder / f"{model.fingerprint[:16]}.faiss"


def is_right(index: FaissIndex, catalog: Catalog, model: Model) -> bool:
    """Whether every vector of the catalog is found by itself, and each query's best ten are right."""
    hits = list(catalog.iter_embedded_photos(model))
    everything = np.stack([hit.vector for hit in hits]).astype(np.float64)
    for hit in hits[:: max(1, len(hits) // 25)]:
        query = hit.vector.astype(np.float32)
        # Not a matrix product, which may add up the same numbers in another order in another row.
        scores = [math.fsum(row) for row in (everything * query).tolist()]
        best = sorted(range(len(hits)), key=lambda row: (-scores[row], hits[row].path))[:10]
        if [each.photo.path for each in rank(catalog, index, query[None], 10)[0]] != [
            hits[row].path for row in best
        ]:
            return False
    return len(hits) > 0


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
def test_a_damaged_file_is_made_anew(
    catalog: Catalog, folder: Path, model: Model, damage: Callable[[Path], object]
) -> None:
    file = file_of(folder, model)
    FaissIndex(folder, catalog, model)
    damage(file)
    index = FaissIndex(folder, catalog, model)
    assert is_right(index, catalog, model)
    assert len(index) == COUNT and is_mapped(file)
    assert sorted(os.listdir(folder)) == sorted([file.name, stamp(file).name])


@pytest.mark.parametrize("which", ["file", "stamp", "folder"])
def test_where_no_file_can_be_written_the_index_is_in_memory(
    catalog: Catalog, folder: Path, model: Model, which: str
) -> None:
    FaissIndex(folder, catalog, model)
    file = file_of(folder, model)
    if which == "folder":
        shutil.rmtree(folder)
        folder.write_bytes(b"")
    else:
        replace_by_folder(file if which == "file" else stamp(file))
    for _ in range(2):
        assert is_right(FaissIndex(folder, catalog, model), catalog, model)
    add(catalog, model, unit_vectors(50, DIM, seed=1), "more")
    index = FaissIndex(folder, catalog, model)
    assert len(index) == COUNT + 50 and is_right(index, catalog, model)


def test_a_full_disk_leaves_the_index_in_memory(
    catalog: Catalog, folder: Path, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(index: object, name: str) -> None:
        Path(name).write_bytes(b"half of")
        raise RuntimeError("Error: 'ret == (size)' failed: No space left on device")

    monkeypatch.setattr(faiss, "write_index", full)
    assert is_right(FaissIndex(folder, catalog, model), catalog, model)
    assert os.listdir(folder) == []


def test_what_a_killed_process_left_is_removed(catalog: Catalog, folder: Path, model: Model) -> None:
    folder.mkdir()
    for name, age in (("old.tmp", 7200), ("young.tmp", 10)):
        (folder / name).write_bytes(b"half of")
        os.utime(folder / name, (time.time() - age,) * 2)
    FaissIndex(folder, catalog, model)
    assert {file.name for file in folder.glob("*.tmp")} == {"young.tmp"}


def test_a_clean_file_is_mapped_and_left_alone(catalog: Catalog, folder: Path, model: Model) -> None:
    first = FaissIndex(folder, catalog, model)
    file = file_of(folder, model)
    assert is_mapped(file)  # by the process that has made it, too
    before = {each.name: (each.stat().st_ino, each.stat().st_mtime_ns) for each in folder.iterdir()}
    del first
    assert not is_mapped(file)
    second = FaissIndex(folder, catalog, model)
    second.compact()
    assert is_mapped(file) and is_right(second, catalog, model)
    assert before == {each.name: (each.stat().st_ino, each.stat().st_mtime_ns) for each in folder.iterdir()}


def test_a_new_file_only_when_the_tail_is_worth_it(
    catalog: Catalog, folder: Path, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    FaissIndex(folder, catalog, model)
    file = file_of(folder, model)

    def remade(vectors: int, name: str) -> bool:
        before = file.stat().st_ino, file.stat().st_mtime_ns
        add(catalog, model, unit_vectors(vectors, DIM, seed=vectors), name)
        index = FaissIndex(folder, catalog, model)
        assert len(index) == catalog.count_vectors(model) and is_right(index, catalog, model)
        return before != (file.stat().st_ino, file.stat().st_mtime_ns)

    assert remade(1, "small libraries leave no tail")
    monkeypatch.setattr(vectors_module, "SMALL", 100)
    assert not remade(int(COUNT * vectors_module.TAIL_SHARE), "tail")
    assert remade(1, "a little more")


def test_the_dead_are_dropped_when_they_are_many(
    catalog: Catalog, folder: Path, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vectors_module, "SMALL", 100)
    add(catalog, model, unit_vectors(4, DIM, seed=1), "few")
    add(catalog, model, unit_vectors(40, DIM, seed=2), "many")
    index = FaissIndex(folder, catalog, model)
    inode = file_of(folder, model).stat().st_ino
    catalog.forget(b"/few")
    index.compact()
    assert (len(index), file_of(folder, model).stat().st_ino) == (COUNT + 44, inode)
    assert is_right(index, catalog, model)
    catalog.forget(b"/many")
    index.compact()
    assert len(index) == COUNT and file_of(folder, model).stat().st_ino != inode
    assert is_right(index, catalog, model) and is_mapped(file_of(folder, model))


def test_all_vectors_dead(catalog: Catalog, folder: Path, model: Model) -> None:
    index = FaissIndex(folder, catalog, model)
    catalog.forget(b"/")
    assert rank(catalog, index, unit_vectors(1, DIM).astype(np.float32), 5) == [[]]
    index.compact()
    assert len(index) == len(FaissIndex(folder, catalog, model)) == 0


def test_a_changed_photo_has_its_new_vector_only(catalog: Catalog, folder: Path, model: Model) -> None:
    FaissIndex(folder, catalog, model)
    old, new = (
        next(catalog.iter_embedded_photos(model)).vector,
        -next(catalog.iter_embedded_photos(model)).vector,
    )
    catalog.put_vector(1, model, new)
    index = FaissIndex(folder, catalog, model)
    (best,) = rank(catalog, index, old.astype(np.float32)[None], COUNT + 1)
    assert len(best) == COUNT and best[-1].photo.photo_id == 1 and is_right(index, catalog, model)


def test_the_file_of_another_library(catalog: Catalog, folder: Path, model: Model, tmp_path: Path) -> None:
    other = Catalog(tmp_path / "other")
    same = some_model(other, DIM)
    add(other, same, unit_vectors(COUNT, DIM, seed=7), "first")
    FaissIndex(tmp_path / "other" / "vectors", other, same)
    other.close()
    shutil.copytree(tmp_path / "other" / "vectors", folder, copy_function=shutil.copy2)
    assert is_right(FaissIndex(folder, catalog, model), catalog, model)


def test_each_model_has_its_file(catalog: Catalog, folder: Path, model: Model) -> None:
    other = catalog.add_model("b" * 64, "other", "builtin", 3)
    for photo_id, vector in enumerate(unit_vectors(COUNT, 3, seed=3), start=1):
        catalog.put_vector(photo_id, other, vector)
    indexes = {each: FaissIndex(folder, catalog, each) for each in (model, other)}
    assert all(is_right(index, catalog, each) for each, index in indexes.items())
    remove_files_of_other_models(folder, model)
    assert sorted(os.listdir(folder)) == sorted(["a" * 16 + ".faiss", "a" * 16 + ".json"])
    assert is_right(indexes[other], catalog, other)  # its mapping outlives the file


# -- an older copy of the catalog put back: ids are given out a second time ------------------------


def put_back_older_copy(tmp_path: Path) -> tuple[Catalog, Model, Path]:
    """A library whose FAISS file knows 100 vectors more than its catalog does."""
    library = tmp_path / "restored"
    catalog = Catalog(library)
    model = some_model(catalog, DIM)
    add(catalog, model, unit_vectors(COUNT, DIM), "first")
    catalog.close()
    shutil.copyfile(library / "catalog.sqlite3", tmp_path / "copy")
    catalog = Catalog(library)
    add(catalog, model, unit_vectors(100, DIM, seed=1), "lost")
    FaissIndex(library / "vectors", catalog, model)
    catalog.close()
    shutil.copyfile(tmp_path / "copy", library / "catalog.sqlite3")
    return Catalog(library), model, library / "vectors"


@pytest.mark.parametrize("new", [0, 1, 99, 100, 101, 300])
def test_an_older_copy_of_the_catalog_put_back(tmp_path: Path, new: int) -> None:
    catalog, model, folder = put_back_older_copy(tmp_path)
    add(catalog, model, unit_vectors(new, DIM, seed=2), "new")
    index = FaissIndex(folder, catalog, model)
    assert len(index) == COUNT + new and is_right(index, catalog, model)
    (best,) = rank(catalog, index, unit_vectors(100, DIM, seed=1)[-1:].astype(np.float32), 1)
    assert best[0].photo.path.startswith((b"/first", b"/new"))
    catalog.close()


# -- other processes -------------------------------------------------------------------------------


def test_a_vector_committed_while_the_file_is_made(
    catalog: Catalog, folder: Path, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Catalog.vectors_after

    def with_late_commit(self: Catalog, vector_id: int, of: Model) -> Iterator[tuple[Ids, Vectors]]:
        yield from original(self, vector_id, of)
        monkeypatch.undo()
        add(self, of, unit_vectors(3, DIM, seed=9), "late")

    monkeypatch.setattr(Catalog, "vectors_after", with_late_commit)
    FaissIndex(folder, catalog, model)
    index = FaissIndex(folder, catalog, model)
    assert len(index) == COUNT + 3 and is_right(index, catalog, model)


def test_another_process_replaces_the_file_at_once(
    catalog: Catalog, folder: Path, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = IndexFile.write

    def then_replaced(self: IndexFile, index: object, contents: Contents) -> None:
        original(self, index, contents)
        monkeypatch.undo()
        self._file.write_bytes(b"half a file of another process")

    monkeypatch.setattr(IndexFile, "write", then_replaced)
    index = FaissIndex(folder, catalog, model)
    assert len(index) == COUNT and is_right(index, catalog, model)


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
def test_many_processes_make_the_file_at_once(
    catalog: Catalog, folder: Path, model: Model, tmp_path: Path
) -> None:
    processes = [start_python(OPEN, tmp_path / "library") for _ in range(4)]
    for process in processes:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
    query = next(catalog.iter_embedded_photos(model)).vector.astype(np.float32)
    found = [
        each.photo.path for each in rank(catalog, FaissIndex(folder, catalog, model), query[None], 10)[0]
    ]
    assert set(finish(processes)) == {f"{found}\n"}
    assert is_right(FaissIndex(folder, catalog, model), catalog, model)
    assert sorted(os.listdir(folder)) == sorted(["a" * 16 + ".faiss", "a" * 16 + ".json"])


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
def test_making_the_file_takes_the_memory_of_the_vectors_once(tmp_path: Path) -> None:
    count, dim = 70_000, 512  # 72 MB; a buffer that doubles would take 64 MB and then 128 MB
    catalog = Catalog(tmp_path)
    model = some_model(catalog, dim)
    blob = unit_vectors(1, dim)[0].tobytes()
    with catalog.transaction():
        catalog._db.run_many(
            "INSERT INTO photos (folder, name, size, mtime_ns, device) VALUES (?, ?, 0, 0, 0)",
            [(b"/p", b"%d" % row) for row in range(count)],
        )
        catalog._db.run_many(
            "INSERT INTO vectors (photo_id, model_id, vector) VALUES (?, ?, ?)",
            [(row + 1, model.id, blob) for row in range(count)],
        )
    catalog.close()
    (grown,) = finish([start_python(REBUILD, tmp_path)])
    assert int(grown) * 1024 < 1.1 * count * dim * 2 + (44 << 20)  # 32 MB of them SQLite's page cache
