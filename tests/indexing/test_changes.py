"""Which files are new, changed, deleted or unreachable: one scan against the catalog."""

import os
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from clipsight import Library
from clipsight.indexing import changes, scan
from clipsight.store.records import State


def state_of(library: Library, path: Path) -> State:
    row = library._connection.catalog._db.row(
        "SELECT state FROM photos WHERE folder = ? AND name = ?",
        (os.fsencode(path.parent), os.fsencode(path.name)),
    )
    assert row is not None
    return State(row[0])


def test_subfolder_that_can_not_be_read_keeps_its_photos(
    library: Library, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(photos, photos / "private" / "deep")
    library.index(photos)
    original = os.scandir

    def refusing(path: bytes) -> object:
        if path == os.fsencode(photos / "private"):
            raise PermissionError(13, "Permission denied")
        return original(path)

    monkeypatch.setattr(scan.os, "scandir", refusing)  # type: ignore[attr-defined]
    (report,) = library.index(photos)
    assert report.missing == 0 and report.unreachable == 8
    assert any("private" in problem and "Permission denied" in problem for problem in report.problems)
    assert state_of(library, photos / "private" / "deep" / "cat.png") is State.UNREACHABLE
    monkeypatch.undo()
    (report,) = library.index(photos)
    assert (report.unreachable, report.unchanged, report.embedded) == (0, 16, 0)


def test_renumbered_device_is_no_reason_to_keep_deleted_photos(library: Library, photos: Path) -> None:
    """Device numbers may change at a reboot: photos that are still there tell so."""
    library.index(photos)
    with library._connection.catalog.transaction():
        library._connection.catalog._db.run("UPDATE photos SET device = device + 1")
    (photos / "cat.png").unlink()
    (report,) = library.index(photos)
    assert (report.missing, report.unreachable, report.unchanged) == (1, 0, 7)


def test_real_unmounted_disk(library: Library, photos: Path) -> None:
    """A tmpfs mounted below the folder, then not: its photos are kept and come back."""
    disk = photos / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "none", disk], capture_output=True).returncode:
        pytest.skip("mounting is not permitted here")
    try:
        shutil.copyfile(photos / "cat.png", disk / "cat.png")
        os.utime(disk / "cat.png", (1_600_000_000,) * 2)
        library.index(photos)
    finally:
        subprocess.run(["umount", disk], check=True)
    (report,) = library.index(photos)
    assert (report.missing, report.unreachable) == (0, 1)
    assert state_of(library, disk / "cat.png") is State.UNREACHABLE


def test_file_replaced_by_a_folder_of_its_name(library: Library, photos: Path) -> None:
    library.index(photos)
    (photos / "cat.png").unlink()
    (photos / "cat.png").mkdir()
    shutil.copyfile(photos / "flower.jpg", photos / "cat.png" / "flower.jpg")
    (report,) = library.index(photos)
    assert (report.missing, report.known_content) == (1, 1)


def test_memory_of_a_walk_does_not_grow_with_files(library: Library, tmp_path: Path) -> None:
    """Files to be read wait in SQLite's temporary table, not in Python's memory."""
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(500):
        (folder / f"{number}.jpg").touch()
    found = changes.find_changes(os.fsencode(folder), library._connection.catalog, library._connection.model)
    assert found.queued == 500
    taken = [len(library._connection.catalog.dequeue(200)) for _ in range(4)]
    assert taken == [200, 200, 100, 0]


@pytest.mark.parametrize("year", [1601, 2300])
def test_times_beyond_64_bits(library: Library, photos: Path, year: int) -> None:
    """`clipsight index`, embedding, `check` and the server's files meet times that SQLite can't store."""
    old = next(photos.glob("*.jpg"))
    seconds = int(datetime(year, 1, 1, tzinfo=UTC).timestamp())
    os.utime(old, (seconds, seconds))
    if old.stat().st_mtime_ns != seconds * 10**9:
        pytest.skip("this file system has no such times")
    (report,) = library.index(photos)
    assert report.failed == 0 and report.embedded
    (again,) = library.index(photos)
    assert again.unchanged == report.embedded
    (chunk,) = library.embed(old)
    assert chunk.ids[0] > 0  # the stored vector
    assert len(library.search("red", top=100)) == report.embedded
