"""Watching folders: when they are indexed, by a clock that the test sets, and once for real."""

import os
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from clipsight import Library
from clipsight.core.errors import ClipsightError, LibraryError
from clipsight.indexing import watch as module
from clipsight.indexing.report import IndexReport
from clipsight.indexing.watch import changed_paths, is_remote, matters, watch
from tests.support.samples import SAMPLES


class Clock:
    """A clock that advances only when it is told to."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def runs(
    ticks: Sequence[tuple[float, set[bytes]]],
    *,
    folders: tuple[bytes, ...] = (b"/a", b"/b"),
    takes: float = 0.0,
    unsettled: tuple[int, ...] = (),
    remote: tuple[bytes, ...] = (),
) -> list[tuple[float, bytes]]:
    """Times since the start, and folders, of the runs that follow `ticks`: (seconds, changed paths).

    Each run takes `takes` seconds; the runs with the numbers `unsettled` leave a file for later.
    """
    clock, done = Clock(), list[tuple[float, bytes]]()

    def advance() -> Iterator[set[bytes]]:
        for seconds, paths in ticks:
            clock.now = max(clock.now, 1000.0 + seconds)
            yield paths

    def index(folder: bytes) -> IndexReport:
        done.append((clock.now - 1000.0, folder))
        clock.now += takes
        return IndexReport(os.fsdecode(folder), unsettled=int(len(done) - 1 in unsettled))

    reports = list(watch(folders, index, advance(), rescan=60, remote=remote.__contains__, clock=clock))
    assert [os.fsencode(report.folder) for report in reports] == [folder for _, folder in done]
    return done


def test_all_folders_are_indexed_at_once_and_then_those_that_change() -> None:
    ticks = [(0, set[bytes]()), (2, set()), (4, {b"/b/x/1.jpg"}), (6, set()), (8, {b"/a", b"/c/1.jpg"})]
    assert runs(ticks) == [(0, b"/a"), (0, b"/b"), (4, b"/b"), (8, b"/a")]


def test_a_folder_with_a_longer_name_is_another() -> None:
    assert runs([(0, set()), (2, {b"/aa/1.jpg"})], folders=(b"/a",)) == [(0, b"/a")]
    assert runs([(0, set()), (2, {b"/aa/1.jpg"})], folders=(b"/",)) == [(0, b"/"), (2, b"/")]


def test_files_that_have_not_settled_are_looked_at_again() -> None:
    ticks = [(seconds, set[bytes]()) for seconds in range(0, 12, 2)]
    assert runs(ticks, folders=(b"/a",), unsettled=(0, 1)) == [(0, b"/a"), (2, b"/a"), (4, b"/a")]


def test_a_slow_folder_rests() -> None:
    ticks = [(seconds, {b"/a/1.jpg"}) for seconds in range(0, 60, 2)]
    assert runs(ticks, folders=(b"/a",), takes=2) == [(0, b"/a"), (22, b"/a"), (44, b"/a")]


def test_folders_on_network_disks_are_looked_through_at_intervals() -> None:
    ticks = [(seconds, set[bytes]()) for seconds in range(0, 2000, 10)]
    done = runs(ticks, remote=(b"/b",))
    assert [at for at, folder in done if folder == b"/b"] == list(range(0, 2000, 60))
    assert [at for at, folder in done if folder == b"/a"] == [0, 1800]


@pytest.mark.parametrize(
    ("name", "does"), [("a.jpg", True), ("a.jpg.xmp", True), ("a.txt", False), ("gone.txt", True), ("", True)]
)
def test_photos_sidecars_folders_and_what_is_gone_matter(tmp_path: Path, name: str, does: bool) -> None:
    for each in ("a.jpg", "a.jpg.xmp", "a.txt"):
        (tmp_path / each).touch()
    assert matters(str(tmp_path / name)) is does


def test_network_disks_are_told_by_their_mounts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = tmp_path / "mounts"
    lines = [
        ("/dev/sda1", "/", "ext4"),
        ("nas:/photos", f"{tmp_path}/with\\040space", "nfs4"),
        ("/dev/sdb1", f"{tmp_path}/with\\040space/local", "ext4"),
        ("sshfs", f"{tmp_path}/remote", "fuse.sshfs"),
    ]
    mounts.write_text("".join(f"{device} {point} {kind} rw 0 0\n" for device, point, kind in lines))
    monkeypatch.setattr(module, "_MOUNTS", mounts)
    for name in ("with space/local", "remote", "with spaces"):
        (tmp_path / name).mkdir(parents=True)
    found = {
        name: is_remote(bytes(tmp_path / name))
        for name in ("", "with space", "with space/local", "remote", "with spaces", "gone")
    }
    assert found == {
        "": False,
        "with space": True,
        "with space/local": False,
        "remote": True,
        "with spaces": False,
        "gone": True,
    }
    monkeypatch.setattr(module, "_MOUNTS", tmp_path / "none")
    assert not is_remote(bytes(tmp_path))


def test_without_watchfiles_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "watchfiles", None)
    with pytest.raises(LibraryError, match=r"watching folders needs watchfiles: pip install '\.\[watch\]'"):
        next(changed_paths([b"/"], threading.Event(), 1.0, print))


def test_what_the_system_cant_watch_is_looked_through(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    watchfiles = pytest.importorskip("watchfiles")

    def refuse(*paths: str, **options: object) -> Iterator[object]:
        raise OSError(28, "OS file watch limit reached")

    monkeypatch.setattr(watchfiles, "watch", refuse)
    notes: list[str] = []
    ticks = changed_paths([bytes(tmp_path)], threading.Event(), 0.01, notes.append)
    assert [next(ticks) for _ in range(3)] == [set()] * 3
    assert notes == ["changes are looked for at intervals only: OS file watch limit reached"]


@pytest.mark.slow
def test_new_renamed_and_deleted_photos_are_followed(library: Library, tmp_path: Path) -> None:
    pytest.importorskip("watchfiles")
    folder = tmp_path / "watched"
    (folder / "new").mkdir(parents=True)
    stop = threading.Event()
    guard = threading.Timer(120, stop.set)
    guard.start()
    steps = iter(
        [
            lambda: (folder / "new" / "cat.png").write_bytes(SAMPLES["cat.png"].read_bytes()),
            lambda: (folder / "new").rename(folder / "old"),
            lambda: (folder / "old" / "cat.png").unlink(),
            stop.set,
        ]
    )
    seen: list[tuple[int, int, int]] = []
    for report in library.watch(folder, settle=0.05, stop=stop):
        if not seen or report.changed:
            seen.append((report.embedded, report.known_content, report.missing))
            next(steps)()
    guard.cancel()
    assert seen == [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]


def test_a_file_is_read_once_it_has_settled(library: Library, photos: Path) -> None:
    (first,) = library._connection.index([photos], {}, settle=10_000)
    assert (first.embedded, first.unsettled) == (0, len(SAMPLES)) and not first.changed
    for photo in photos.iterdir():
        os.utime(photo, (1_700_000_000,) * 2)
    (second,) = library._connection.index([photos], {}, settle=10_000)
    assert (second.embedded, second.unsettled) == (len(SAMPLES), 0)
    os.utime(photos / "cat.png")
    (third,) = library._connection.index([photos], {}, settle=10_000)
    assert (third.unchanged, third.unsettled, third.missing) == (len(SAMPLES) - 1, 1, 0)
    os.utime(photos / "cat.png", (4_000_000_000,) * 2)  # by a clock that is ahead
    (fourth,) = library._connection.index([photos], {}, settle=10_000)
    assert (fourth.known_content, fourth.unsettled) == (1, 0)
    assert "being written" in str(first)


def test_a_folder_that_vanishes_is_a_problem_and_ends_nothing(library: Library, tmp_path: Path) -> None:
    pytest.importorskip("watchfiles")
    folder, stop = tmp_path / "empty", threading.Event()
    folder.mkdir()
    reports = library.watch(folder, settle=0.01, rescan=0.01, stop=stop)
    folder.rmdir()
    report = next(reports)
    assert report.problems == (f"{folder}: no such folder",)
    stop.set()
    assert list(reports) == []


@pytest.mark.parametrize(
    "options", [{"settle": 0}, {"settle": float("nan")}, {"rescan": -1}, {"rescan": "60"}, {"rescan": 1e9}]
)
def test_invalid_times_are_refused(library: Library, tmp_path: Path, options: dict[str, Any]) -> None:
    with pytest.raises(LibraryError, match=next(iter(options))):
        library.watch(tmp_path, **options)


def test_folders_that_cant_be_watched_are_refused(library: Library, tmp_path: Path) -> None:
    with pytest.raises(ClipsightError, match="no such folder"):
        library.watch(tmp_path / "none")
    with pytest.raises(ClipsightError, match="no folder has been indexed yet"):
        library.watch()
