"""Backups are one committed state, complete or absent; restoring loses nothing."""

import os
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from clipsight.core.errors import LibraryError
from clipsight.maintenance.backup import backup as back_up
from clipsight.maintenance.backup import restore
from clipsight.maintenance.check import check
from clipsight.maintenance.check_catalog import integrity_problems
from clipsight.store.catalog import CATALOG_NAME, Catalog
from clipsight.store.labels import PhotoLabel, count_labels, store_labels
from clipsight.store.vectors.faiss import FaissIndex
from tests.store.test_schema import VERSIONS, old_catalog
from tests.support.catalogs import add_photos, some_model, unit_vectors

DIM = 32


def paths(library: Path) -> list[bytes]:
    with closing(Catalog(library)) as catalog:
        model = catalog.current_model()
        return [hit.path for hit in catalog.iter_embedded_photos(model)] if model else []


def add(library: Path, name: str, count: int = 5) -> None:
    with closing(Catalog(library)) as catalog:
        model = catalog.current_model() or some_model(catalog, DIM)
        names = [f"/{name}/{number:016}".encode() for number in range(count)]
        add_photos(catalog, model, unit_vectors(count, DIM, seed=len(name)), names)


@pytest.fixture
def library(tmp_path: Path) -> Path:
    add(tmp_path / "library", "first")
    return tmp_path / "library"


@pytest.fixture
def backup(library: Path, tmp_path: Path) -> Path:
    file = tmp_path / "disk" / "photos.clipsight"
    file.parent.mkdir()
    assert back_up(library, file) == 5
    return file


def test_there_and_back(library: Path, backup: Path, tmp_path: Path) -> None:
    with closing(Catalog(library)) as catalog:
        model = catalog.current_model()
        assert model is not None
        store_labels(catalog.database, model, ["cat", "dog"], [PhotoLabel(1, "dog", 0.5)])
        catalog.set_root(b"/first", "{}", reachable=True, indexed="2026-01-02T03:04:05")
        everything = list(catalog.iter_embedded_photos(model))
        back_up(library, backup, replace=True)
    assert os.listdir(backup.parent) == [backup.name]
    assert restore(backup, tmp_path / "new") is None
    assert os.listdir(tmp_path / "new") == [CATALOG_NAME]
    with closing(Catalog(tmp_path / "new")) as catalog:
        restored = list(catalog.iter_embedded_photos(model))
        assert [(hit.path, hit.vector.tobytes()) for hit in restored] == [
            (hit.path, hit.vector.tobytes()) for hit in everything
        ]
        assert catalog.roots()[0].path == b"/first"
        assert [count.label for count in count_labels(catalog.database, model)] == ["dog"]
        assert catalog.database.value("PRAGMA page_size") == 8192
        assert catalog.database.value("PRAGMA journal_mode") == "wal"


def test_a_backup_contains_the_write_ahead_log(library: Path, tmp_path: Path) -> None:
    with closing(Catalog(library)) as catalog:
        add(library, "second")
        assert (library / f"{CATALOG_NAME}-wal").stat().st_size > 0
        assert back_up(library, tmp_path / "backup") == 10
        assert catalog.counts().present == 10


def test_an_existing_file_is_not_replaced(library: Path, backup: Path) -> None:
    before = backup.read_bytes()
    add(library, "second")
    with pytest.raises(LibraryError, match="exists: name another file, or replace it with `replace=True`"):
        back_up(library, backup)
    assert backup.read_bytes() == before
    assert back_up(library, backup, replace=True) == 10


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("library/backup", "lies in the library itself"),
        (f"library/{CATALOG_NAME}", "lies in the library itself"),
        ("disk", "is a folder"),
        ("no/such/folder/backup", "can't (write|back up)"),
    ],
)
def test_invalid_places_for_a_backup(
    library: Path, backup: Path, tmp_path: Path, name: str, message: str
) -> None:
    with pytest.raises(LibraryError, match=message) as error:
        back_up(library, tmp_path / name, replace=True)
    assert "\n" not in str(error.value)
    assert paths(library)[0].startswith(b"/first")


def test_no_library(tmp_path: Path) -> None:
    with pytest.raises(LibraryError, match="there is no library"):
        back_up(tmp_path / "nowhere", tmp_path / "backup")
    assert not (tmp_path / "nowhere").exists()


def test_a_name_that_is_not_utf8(library: Path, tmp_path: Path) -> None:
    file = tmp_path / os.fsdecode(b"caf\xe9 'quoted'.backup")
    assert back_up(library, file) == 5
    restore(file, tmp_path / "new")
    assert paths(tmp_path / "new") == paths(library)


def test_backing_up_a_damaged_catalog_is_an_error(library: Path, tmp_path: Path) -> None:
    content = (library / CATALOG_NAME).read_bytes()
    (library / CATALOG_NAME).write_bytes(content[:8192] + bytes(len(content) - 8192))
    with pytest.raises(LibraryError, match="can't back up"):
        back_up(library, tmp_path / "backup")
    assert not (tmp_path / "backup").exists()


@pytest.mark.slow
def test_backups_while_others_write(library: Path, tmp_path: Path) -> None:
    """Photos are added five a commit: no backup has part of a commit."""
    end = threading.Event()

    def write() -> None:
        number = 0
        with closing(Catalog(library)) as catalog:
            model = catalog.current_model()
            assert model is not None
            while not end.is_set():
                names = [f"/more/{number}/{i:016}".encode() for i in range(5)]
                add_photos(catalog, model, unit_vectors(5, DIM), names)
                number += 1

    writer = threading.Thread(target=write)
    writer.start()
    counts = []
    for number in range(15):
        file = tmp_path / f"backup-{number}"
        counts.append(back_up(library, file))
        assert integrity_problems(file) == []
    end.set()
    writer.join()
    assert all(count % 5 == 0 for count in counts)
    assert counts == sorted(counts) and counts[0] < counts[-1]


# -- back ------------------------------------------------------------------------------------------------


def test_a_library_that_holds_photos_is_kept(library: Path, backup: Path) -> None:
    add(library, "second")
    with pytest.raises(LibraryError, match="holds 10 photos: `replace=True` sets it aside"):
        restore(backup, library)
    assert len(paths(library)) == 10
    aside = restore(backup, library, replace=True)
    assert len(paths(library)) == 5
    assert aside is not None and aside.parent == library
    restore(aside, library, replace=True)  # what was set aside is as good as a backup
    assert len(paths(library)) == 10
    assert check(library).consistent


def test_restore_discards_the_index_files_of_the_replaced_catalog(library: Path, backup: Path) -> None:
    """The restored catalog gives ids out again that the index file knows as other photos."""
    add(library, "second")
    with closing(Catalog(library)) as catalog:
        model = catalog.current_model()
        assert model is not None
        FaissIndex(library / "vectors", catalog, model)
    restore(backup, library, replace=True)
    add(library, "third one")
    with closing(Catalog(library)) as catalog:
        index = FaissIndex(library / "vectors", catalog, model)
        assert len(index) == 10
    assert check(library).findings == []


def test_a_damaged_library_is_replaced(library: Path, backup: Path) -> None:
    (library / CATALOG_NAME).write_bytes(b"garbage" * 5000)
    aside = restore(backup, library)
    assert aside is not None and aside.read_bytes() == b"garbage" * 5000
    assert len(paths(library)) == 5
    assert check(library).consistent


def test_an_empty_library_is_replaced_without_the_option(backup: Path, tmp_path: Path) -> None:
    Catalog(tmp_path / "empty").close()
    restore(backup, tmp_path / "empty")
    assert len(paths(tmp_path / "empty")) == 5


def test_other_files_than_backups_are_refused(library: Path, backup: Path, tmp_path: Path) -> None:
    text, damaged, other, newer = (tmp_path / name for name in ("text", "damaged", "other", "newer"))
    text.write_text("my notes " * 1000)
    content = backup.read_bytes()
    damaged.write_bytes(content[: len(content) // 2])
    with closing(sqlite3.connect(other)) as connection:
        connection.execute("CREATE TABLE photos (id)")
    newer.write_bytes(content)
    with closing(sqlite3.connect(newer)) as connection:
        connection.execute("PRAGMA user_version = 999")
    for file, message in (
        (text, "damaged or no backup"),
        (damaged, "damaged or no backup"),
        (other, "is no backup of a library"),
        (newer, "newer clipsight"),
        (tmp_path / "nothing", "no such file"),
    ):
        with pytest.raises(LibraryError, match=message) as error:
            restore(file, library, replace=True)
        assert "\n" not in str(error.value)
    assert len(paths(library)) == 5
    assert [name for name in os.listdir(library) if not name.startswith(CATALOG_NAME)] == []


@pytest.mark.parametrize("version", VERSIONS)
def test_a_backup_of_each_version_is_restored(version: int, tmp_path: Path) -> None:
    old_catalog(version, tmp_path / "old")
    (tmp_path / "old" / CATALOG_NAME).rename(tmp_path / "backup")
    restore(tmp_path / "backup", tmp_path / "library")
    assert check(tmp_path / "library").findings == []
    assert len(paths(tmp_path / "library")) == 2
