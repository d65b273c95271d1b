"""Folders in which files change: told by the system, and looked through at intervals where it can't tell.

Only files that have settled are indexed: a file whose modification time is less than `settle` seconds ago may
still be being written, and is looked at again.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clipsight.core.arguments import number
from clipsight.core.errors import LibraryError
from clipsight.core.extras import require
from clipsight.indexing.media.sidecars import is_sidecar
from clipsight.indexing.report import IndexReport
from clipsight.indexing.scan import has_photo_suffix

SETTLE, RESCAN = 2.0, 60.0
"""Seconds that a file must have been as it is, and between two looks through folders on network disks."""

_LOCAL_RESCANS = 30
"""Folders on local disks are looked through as well, this many times less often: events can get lost."""

_REST = 10
"""After a run, a folder rests for this many times its duration, so that a large one is no constant load."""

_MOUNTS = Path("/proc/self/mounts")
_REMOTE = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "davfs", "glusterfs", "virtiofs"}
"""File systems whose changes by other machines are not told, as are those of FUSE."""


@dataclass
class _Folder:
    """A watched folder: if it is to be indexed, and from when on; times are monotonic."""

    path: bytes
    rescan: float
    is_dirty: bool = True
    due: float = 0.0
    indexed: float = field(default=0.0)

    def is_ready(self, now: float) -> bool:
        """True if files have changed, or it was not looked through for long."""
        return now >= self.due and (self.is_dirty or now - self.indexed >= self.rescan)

    def finished(self, started: float, now: float, *, again: bool) -> None:
        """Note a run; `again` if some of its files had not settled."""
        self.indexed, self.due, self.is_dirty = now, now + _REST * (now - started), again


def check_times(settle: float, rescan: float) -> None:
    """Raise `LibraryError` unless both are positive numbers of seconds."""
    for name, value in (("settle", settle), ("rescan", rescan)):
        number(value, name, minimum=0.01, maximum=86_400, error=LibraryError)


def watch(
    folders: Sequence[bytes],
    index: Callable[[bytes], IndexReport],
    ticks: Iterator[set[bytes]],
    *,
    rescan: float = RESCAN,
    remote: Callable[[bytes], bool] = lambda folder: False,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[IndexReport]:
    """Index each of `folders` at once, and then whenever one of its files changes; yield the reports.

    `ticks` are sets of paths that have changed, empty ones too, as time goes by. Folders for which `remote`
    is true are indexed every `rescan` seconds. Ends with `ticks`.
    """
    watched = [_Folder(folder, rescan if remote(folder) else _LOCAL_RESCANS * rescan) for folder in folders]
    for paths in ticks:
        for folder in watched:
            base = folder.path.rstrip(b"/") + b"/"
            folder.is_dirty |= any(path.startswith(base) or path == folder.path for path in paths)
            started = clock()
            if folder.is_ready(started):
                report = index(folder.path)
                folder.finished(started, clock(), again=report.unsettled > 0)
                yield report


def changed_paths(
    folders: Sequence[bytes], stop: threading.Event, settle: float, note: Callable[[str], None]
) -> Iterator[set[bytes]]:
    """Yield sets of changed paths in and below `folders`, at least every `settle` seconds, until `stop`.

    All changes since the first set are told. `note` is called with a line if the folders can't be watched;
    then all sets are empty. Raises `LibraryError` without watchfiles.
    """
    watchfiles = require("watch", "watchfiles")
    there = [os.fsdecode(folder) for folder in folders if os.path.isdir(folder)]
    if there:
        try:
            yield from _events(watchfiles, there, stop, settle)
        except OSError as error:  # more folders than the system can watch
            note(f"changes are looked for at intervals only: {error.strerror or error}")
    while not stop.wait(settle):
        yield set()


def _events(
    watchfiles: Any, folders: Sequence[str], stop: threading.Event, settle: float
) -> Iterator[set[bytes]]:
    """Yield the paths that watchfiles tells of, as far as they matter."""
    for changes in watchfiles.watch(
        *folders,
        watch_filter=lambda _, path: matters(path),
        debounce=round(1000 * min(settle, 1.6)),
        rust_timeout=round(1000 * settle),
        yield_on_timeout=True,
        stop_event=stop,
        ignore_permission_denied=True,
    ):
        yield {os.fsencode(path) for _, path in changes}


def matters(path: str) -> bool:
    """True for a photo, a sidecar, and what is no file: a folder, or what was there before."""
    name = os.fsencode(os.path.basename(path))
    return has_photo_suffix(name) or is_sidecar(name) or not os.path.isfile(path)


def is_remote(folder: bytes) -> bool:
    """True for a folder on a network disk, as far as the system tells (Linux), or one that is not there."""
    if not os.path.isdir(folder):
        return True
    try:
        lines = _MOUNTS.read_bytes().splitlines()
    except OSError:
        return False
    path = os.path.realpath(folder).rstrip(b"/") + b"/"
    mounts = [(point, kind) for point, kind in map(_mount, lines) if path.startswith(point)]
    _, kind = max(mounts, key=lambda mount: len(mount[0]), default=(b"", ""))
    return kind in _REMOTE or kind.startswith("fuse")


def _mount(line: bytes) -> tuple[bytes, str]:
    """Path, with a slash at its end, and kind of a mounted file system: fstab(5)."""
    _, point, kind, *_ = [*line.split(b" "), b"", b"", b""]
    for code, character in ((b"\\040", b" "), (b"\\011", b"\t"), (b"\\134", b"\\")):
        point = point.replace(code, character)
    return point.rstrip(b"/") + b"/", os.fsdecode(kind)
