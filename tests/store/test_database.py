"""The SQLite file survives kills, damage, other processes and full disks; errors are one line."""

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from clipsight.core.errors import LibraryError
from clipsight.store import database as database_module
from clipsight.store.catalog import Catalog
from clipsight.store.database import Database
from clipsight.store.records import Counts, State
from clipsight.store.schema import MIGRATIONS
from tests.support.catalogs import add_photos, finish, some_model, start_python, unit_vectors


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "library" / "catalog.sqlite3"


@pytest.fixture
def database(path: Path) -> Iterator[Database]:
    made = Database(path)
    yield made
    made.close()


def put(database: Database, *keys: object) -> None:
    database.run_many("INSERT INTO meta VALUES (?, '')", [(str(key),) for key in keys])


def keys(database: Database) -> list[str]:
    return [key for (key,) in database.rows("SELECT key FROM meta ORDER BY key")]


def one_line(error: pytest.ExceptionInfo[LibraryError]) -> str:
    text = str(error.value)
    assert "\n" not in text
    return text


def moved_aside(path: Path) -> list[Path]:
    """Damaged catalogs in the library's folder, without their journals."""
    return [file for file in path.parent.glob("*.damaged-*") if not file.name.endswith(("-wal", "-shm"))]


def is_whole(path: Path) -> bool:
    with closing(sqlite3.connect(path)) as connection:
        sound = connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return sound and connection.execute("PRAGMA foreign_key_check").fetchall() == []


# -- opening ---------------------------------------------------------------------------------------


def test_a_new_file(database: Database) -> None:
    assert database.value("PRAGMA journal_mode") == "wal"
    assert database.value("PRAGMA synchronous") == 1  # NORMAL
    assert database.value("PRAGMA foreign_keys") == 1
    assert database.value("PRAGMA user_version") == len(MIGRATIONS)
    assert database.value("PRAGMA page_size") == 8192


def test_an_empty_file_is_a_new_catalog(path: Path) -> None:
    path.parent.mkdir()
    path.touch()
    Database(path).close()
    assert is_whole(path)


def test_opening_again_changes_nothing(path: Path) -> None:
    Database(path).close()
    before = path.read_bytes()
    Database(path).close()
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]  # no journal is left behind


def test_a_newer_file_is_refused_and_not_touched(path: Path) -> None:
    Database(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")  # for what a newer version may have chosen
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(LibraryError, match=r"newer clipsight .* upgrade clipsight") as error:
        Database(path)
    assert str(path) in one_line(error)
    assert path.read_bytes() == before and os.listdir(path.parent) == [path.name]


def test_a_newer_clipsight_migrates_while_the_file_is_opened(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Database.transaction

    def late(self: Database) -> object:
        with sqlite3.connect(path) as other:
            other.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
        return original(self)

    monkeypatch.setattr(Database, "transaction", late)
    with pytest.raises(LibraryError, match=r"newer clipsight"):
        Database(path)
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS) + 1,)


def test_a_failed_migration_leaves_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = (*MIGRATIONS, "CREATE TABLE extra (id); CREATE TABLE extra (id);\n")
    Database(path).close()
    monkeypatch.setattr(database_module, "MIGRATIONS", broken)
    with pytest.raises(LibraryError):
        Database(path)
    monkeypatch.undo()
    database = Database(path)
    assert database.value("SELECT count(*) FROM sqlite_master WHERE name = 'extra'") == 0
    database.close()


# -- transactions ----------------------------------------------------------------------------------


def test_all_or_nothing(database: Database) -> None:
    with pytest.raises(KeyboardInterrupt), database.transaction():
        put(database, "a")
        raise KeyboardInterrupt
    with database.transaction():
        put(database, "b")
        with database.transaction():  # joins the outer one
            put(database, "c")
    with pytest.raises(ZeroDivisionError), database.transaction():
        with database.transaction():
            put(database, "d")
        raise ZeroDivisionError
    assert keys(database) == ["b", "c"]


def test_a_snapshot_does_not_see_later_commits(path: Path, database: Database) -> None:
    other = Database(path)
    put(database, "a")
    with database.snapshot():
        assert keys(database) == ["a"]
        put(other, "b")
        assert keys(database) == ["a"]
    assert keys(database) == ["a", "b"]
    with database.transaction(), database.snapshot():  # inside a transaction it is that one
        put(database, "c")
        assert keys(database) == ["a", "b", "c"]
    other.close()


def test_threads_share_the_connection(database: Database) -> None:
    def write(name: str) -> None:
        for number in range(40):
            with database.transaction():
                put(database, f"{name}{number}", f"{name}{number}'")
            assert f"{name}{number}'" in keys(database)

    threads = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(keys(database)) == 320


def test_a_file_kept_locked(path: Path, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_module, "BUSY_TIMEOUT_SECONDS", 0.1)
    other = Database(path)
    with database.transaction(), pytest.raises(LibraryError, match=r"another process .* locked") as error:
        put(other, "a")
    assert str(path) in one_line(error)
    put(other, "a")
    other.close()


# -- other processes -------------------------------------------------------------------------------

WRITE = """
import sys
from pathlib import Path
from clipsight.store.database import Database

print("ready", flush=True)
sys.stdin.readline()
database = Database(Path(sys.argv[1]))
for number in range(int(sys.argv[3])):
    with database.transaction():
        database.run_many(
            "INSERT INTO meta VALUES (?, '')", [(f"{sys.argv[2]}-{number}-{row}",) for row in range(3)]
        )
    print(number, flush=True)
"""


@pytest.mark.process
def test_processes_create_and_write_at_once(path: Path) -> None:
    processes = [start_python(WRITE, path, name, 60) for name in "abcd"]
    for process in processes:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
    finish(processes)
    database = Database(path)
    assert len(keys(database)) == 4 * 60 * 3
    database.close()
    assert is_whole(path)


CREATE = """
import sys
from pathlib import Path
from clipsight.store.database import Database

print("ready", flush=True)
sys.stdin.readline()
for number in range(60):
    database = Database(Path(sys.argv[1]) / str(number) / "catalog.sqlite3")
    database.run("INSERT INTO meta VALUES (?, '')", (sys.argv[2],))
    database.close()
"""


@pytest.mark.process
def test_processes_create_many_files_at_once(tmp_path: Path) -> None:
    """Two that switch to WAL mode in the same instant used to be told that the file is locked."""
    processes = [start_python(CREATE, tmp_path, name) for name in "abcdef"]
    for process in processes:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
    finish(processes)
    for number in range(60):
        database = Database(tmp_path / str(number) / "catalog.sqlite3")
        assert keys(database) == list("abcdef")
        database.close()


@pytest.mark.process
def test_killed_at_random_moments(path: Path) -> None:
    chance = random.Random(0)
    for run in range(20):
        process = start_python(WRITE, path, run, 10**6)
        assert process.stdin is not None and process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.stdin.write("\n")
        process.stdin.flush()
        if run % 4:  # else it is killed while it starts or creates the file
            assert process.stdout.readline() == "0\n"
        time.sleep(chance.uniform(0, 0.08))
        process.kill()
        reported = process.stdout.read().count("\n") + (1 if run % 4 else 0)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        database = Database(path)
        written = [key for key in keys(database) if key.startswith(f"{run}-")]
        database.close()
        batches = {key.rsplit("-", 1)[0] for key in written}
        assert len(written) == 3 * len(batches)  # each batch is there as a whole
        assert reported <= len(batches) <= reported + 1  # and none that was committed is lost
        assert is_whole(path)


# -- damage ----------------------------------------------------------------------------------------


def a_library(path: Path) -> None:
    catalog = Catalog(path.parent)
    model = some_model(catalog, 64)
    add_photos(catalog, model, unit_vectors(1200, 64), [b"/p/%d/%04d.jpg" % (i % 9, i) for i in range(1200)])
    catalog.set_root(b"/p", "{}", reachable=True, indexed="2026-01-01")
    catalog.close()


def use(path: Path) -> None:
    """Open the catalog and read everything in it."""
    catalog = Catalog(path.parent)
    try:
        model = catalog.current_model()
        assert model is not None
        list(catalog.iter_embedded_photos(model))
        list(catalog.vectors_after(0, model))
        catalog.roots()
        catalog.failures()
        catalog.sample_vectors(model, 10)
        catalog.folders_under(b"/p")
        catalog.vector_ids_under([b"/p/1"], model)
        catalog.find_content(b"/p/1/0001.jpg", model)
        catalog.counts()
        catalog.counts(b"/p/1")
        catalog.count_unembedded(model)
        catalog.indexed_files(b"/p/1", model)
    finally:
        catalog.close()


def spoil(path: Path, offset: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


def truncate(path: Path, size: int) -> None:
    with path.open("r+b") as file:
        file.truncate(size)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "garbage over the header": lambda path: spoil(path, 0, random.Random(1).randbytes(100)),
    "garbage over the first page": lambda path: spoil(path, 0, random.Random(1).randbytes(8192)),
    "garbage after the header": lambda path: spoil(path, 100, random.Random(1).randbytes(8000)),
    "garbage over the middle": lambda path: spoil(path, 16384, random.Random(1).randbytes(100_000)),
    "zeros over the middle": lambda path: spoil(path, 16384, bytes(100_000)),
    "cut to half": lambda path: truncate(path, path.stat().st_size // 16384 * 8192),
    "cut within a page": lambda path: truncate(path, path.stat().st_size - 5000),
    "cut to a few bytes": lambda path: truncate(path, 50),
    "a name in the schema that is no text": lambda path: path.write_bytes(
        path.read_bytes().replace(b"sqlite_autoindex_vectors_1", b"sqlite_autoindex_vectors_\x80")
    ),
    "text": lambda path: path.write_text("these are my notes\n" * 1000),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
@pytest.mark.slow
def test_a_damaged_file_is_moved_aside(path: Path, damage: Callable[[Path], object]) -> None:
    a_library(path)
    damage(path)
    content = path.read_bytes()
    with pytest.raises(LibraryError, match=r"is damaged .* nothing was deleted: .* run the command") as error:
        use(path)
    (moved,) = moved_aside(path)
    assert moved.read_bytes() == content and not path.exists()
    assert str(path) in one_line(error) and moved.name in one_line(error)
    catalog = Catalog(path.parent)  # the next command makes a new library
    assert catalog.counts() == Counts(0, 0, 0)
    catalog.close()
    assert is_whole(path) and moved.read_bytes() == content


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.slow
def test_random_damage_never_ends_in_a_traceback(path: Path, seed: int) -> None:
    chance = random.Random(seed)
    a_library(path)
    for _ in range(chance.randint(1, 4)):
        offset = chance.randrange(path.stat().st_size)
        spoil(path, offset, chance.randbytes(chance.randint(1, 3000)))
    try:
        use(path)
    except LibraryError as error:
        assert "is damaged" in str(error)
        assert len(moved_aside(path)) == 1


@pytest.mark.slow
def test_damage_met_while_writing(path: Path) -> None:
    a_library(path)
    spoil(path, 16384, random.Random(1).randbytes(path.stat().st_size - 16384))
    catalog = Catalog(path.parent)
    with pytest.raises(LibraryError, match=r"is damaged"), catalog.transaction():
        catalog.forget(b"/p")
    with pytest.raises(LibraryError, match=r"is damaged"):  # and not that the database is closed
        catalog.counts()
    with pytest.raises(LibraryError, match=r"is damaged"), catalog.transaction():
        pass
    assert len(moved_aside(path)) == 1
    catalog.close()


@pytest.mark.slow
def test_damage_met_by_several_threads(path: Path) -> None:
    a_library(path)
    catalog = Catalog(path.parent)
    model = catalog.current_model()
    assert model is not None
    catalog.close()
    spoil(path, 16384, random.Random(1).randbytes(path.stat().st_size - 16384))
    catalog = Catalog(path.parent)
    told: list[LibraryError] = []

    def read() -> None:
        try:
            catalog.indexed_files(b"/p/1", model)
        except LibraryError as error:
            told.append(error)

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(told) == 8 and len({str(error) for error in told}) == 1
    assert len(moved_aside(path)) == 1
    catalog.close()


@pytest.mark.slow
def test_damage_met_by_two_openings_of_the_file(path: Path) -> None:
    """The second to find out must not move away the new catalog that the first made room for."""
    a_library(path)
    spoil(path, 16384, random.Random(1).randbytes(path.stat().st_size - 16384))
    first, second, third = (Catalog(path.parent) for _ in range(3))
    with pytest.raises(LibraryError, match=r"it was moved to"):
        list(first.folders_under(b"/p"))
    with pytest.raises(LibraryError, match=r"another process has moved it to"):  # and nothing is there yet
        list(second.folders_under(b"/p"))
    new = Catalog(path.parent)
    with pytest.raises(LibraryError, match=r"another process has moved it to"):
        list(third.folders_under(b"/p"))
    some_model(new, 4)
    for catalog in (first, second, third, new):
        catalog.close()
    assert len(moved_aside(path)) == 1
    again = Catalog(path.parent)
    assert again.current_model() is not None
    again.close()


@pytest.mark.slow
def test_committed_data_survives_a_damaged_file(path: Path) -> None:
    """The journal goes with the file that it belongs to: it may hold what the file lacks."""
    a_library(path)
    spoil(path, 14 * 8192, random.Random(1).randbytes(path.stat().st_size - 14 * 8192))  # photos, not roots
    catalog = Catalog(path.parent)
    catalog.set_root(b"/new", "{}", reachable=True, indexed=None)
    with pytest.raises(LibraryError, match=r"is damaged"):
        catalog.folders_under(b"/p")
    catalog.close()
    (journal,) = path.parent.glob("*.damaged-*-wal")
    assert b"/new" in journal.read_bytes()
    Catalog(path.parent).close()
    assert b"/new" in journal.read_bytes()


@pytest.mark.slow
def test_damage_in_a_folder_that_can_t_be_written(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a_library(path)
    spoil(path, 0, b"garbage over the header")

    def refuse(self: Path, target: Path) -> Path:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(LibraryError, match=r"could not be moved .Permission denied.: move it away") as error:
        Catalog(path.parent)
    assert path.name in one_line(error) and path.exists()


# -- places that can't be written --------------------------------------------------------------------


def test_a_library_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "file full and locked").write_bytes(b"")
    with pytest.raises(LibraryError, match=r"can't use the library .* `library` or CLIPSIGHT_HOME") as error:
        Catalog(tmp_path / "file full and locked" / "library")
    assert "the disk is full" not in one_line(error)  # which the name of a folder must not suggest


def test_a_folder_in_the_place_of_the_catalog(path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(LibraryError, match=r"can't use the library"):
        Catalog(path.parent)
    assert path.is_dir()


@pytest.fixture
def without_rights() -> Iterator[Path]:
    """A folder with a library, and a process that may only read it, root or not."""
    folder = Path(tempfile.mkdtemp())
    a_library(folder / "library" / "catalog.sqlite3")
    folder.chmod(0o755)
    for entry in (folder / "library", *(folder / "library").iterdir()):
        entry.chmod(0o555 if entry.is_dir() else 0o444)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    yield folder
    os.seteuid(user)
    (folder / "library").chmod(0o755)
    shutil.rmtree(folder)


@pytest.mark.slow
def test_a_folder_that_may_only_be_read(without_rights: Path) -> None:
    with pytest.raises(LibraryError, match=r"can't use the library .* `library` or CLIPSIGHT_HOME") as error:
        Catalog(without_rights / "new").counts()
    one_line(error)
    content = (without_rights / "library" / "catalog.sqlite3").read_bytes()
    with pytest.raises(LibraryError, match=r"can't use the library .* `library` or CLIPSIGHT_HOME"):
        catalog = Catalog(without_rights / "library")
        catalog.set_root(b"/new", "{}", reachable=True, indexed=None)
    assert (without_rights / "library" / "catalog.sqlite3").read_bytes() == content


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real disk of two megabytes, where one may be mounted."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", disk], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting a file system is not permitted here")
    yield disk
    subprocess.run(["umount", disk], check=True)


def fill(catalog: Catalog) -> int:
    """Add photos in batches until something fails; how many were committed."""
    model = some_model(catalog, 512)
    committed = 0
    with pytest.raises(
        LibraryError, match=r"the disk is full: .* everything committed before is kept"
    ) as error:
        for batch in range(10_000):
            add_photos(catalog, model, unit_vectors(10, 512), [b"/p/%d-%d" % (batch, i) for i in range(10)])
            committed += 10
    one_line(error)
    assert committed > 0
    return committed


def test_a_full_disk(small_disk: Path) -> None:
    filler = small_disk / "filler"
    filler.write_bytes(bytes(500_000))
    catalog = Catalog(small_disk / "library")
    committed = fill(catalog)
    assert catalog.counts().present == committed
    filler.unlink()  # the same connection goes on once there is room
    catalog.set_root(b"/p", "{}", reachable=True, indexed=None)
    catalog.close()
    catalog = Catalog(small_disk / "library")
    assert catalog.counts().present == committed and len(catalog.roots()) == 1
    catalog.close()
    assert is_whole(small_disk / "library" / "catalog.sqlite3")


@pytest.mark.slow
def test_a_file_that_may_not_grow(path: Path) -> None:
    catalog = Catalog(path.parent)
    catalog._db.run("PRAGMA max_page_count = 100")  # SQLite then answers as on a full disk
    committed = fill(catalog)
    catalog.close()
    catalog = Catalog(path.parent)
    assert catalog.counts().present == committed
    catalog.set_state([1], State.MISSING)
    catalog.close()
    assert is_whole(path)
