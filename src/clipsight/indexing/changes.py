"""Changes in a folder since it was last indexed.

One walk compares each directory with the catalog, marks missing and unreachable photos, and queues the files
that must be read in a temporary table, so that memory does not grow with the number of photos.
"""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from clipsight.indexing.scan import Candidate, Directory, walk
from clipsight.store.catalog import Catalog
from clipsight.store.records import FileStat, IndexedFile, Model, State


@dataclass
class Changes:
    """Result of one walk, in files."""

    queued: int = 0
    unchanged: int = 0
    failed_before: int = 0
    unsettled: int = 0
    """new and changed files that may still be being written, left as they are"""
    missing: list[int] = field(default_factory=list)
    """Ids of photos whose file no longer exists; the queue may hold some of the files under another name."""
    errors: list[str] = field(default_factory=list)
    """Directories that could not be read, with the reason."""
    root_error: str | None = None


def find_changes(
    root: bytes,
    catalog: Catalog,
    model: Model,
    *,
    exclude: Sequence[str] = (),
    hidden: bool = False,
    retry: bool = False,
    strict: bool = False,
    settled: int | None = None,
    on_scanned: Callable[[int], None] = lambda files: None,
) -> Changes:
    """Compare `root` with the catalog and queue the files to be read (`Catalog.dequeue`).

    `retry` also queues unchanged files that failed before, and `strict` photos of which only a part could be
    decoded. Files changed since `settled`, in ns since 1970, are not queued yet. `on_scanned` is called with
    the number of files found so far. Photos are marked unreachable if their directory can't be read, or is
    now on another device (an unmounted disk leaves an empty directory); other photos whose file no longer
    exists are marked missing.
    """
    walker = _Walk(root, catalog, model, retry, strict, settled)
    catalog.clear_queue()
    for directory in walk(root, exclude=exclude, hidden=hidden):
        with catalog.transaction():
            walker.visit(directory)
        on_scanned(walker.files)
    if walker.changes.root_error is None:
        with catalog.transaction():
            walker.resolve_absent()
            catalog.purge_missing()
    return walker.changes


class _Walk:
    """State of one walk: visited directories, and photos that were not found."""

    def __init__(
        self, root: bytes, catalog: Catalog, model: Model, retry: bool, strict: bool, settled: int | None
    ) -> None:
        self.root = root
        self.settled, self.now = settled, time.time_ns()
        self.catalog = catalog
        self.model = model
        self.retry = retry
        self.strict = strict
        self.changes = Changes()
        self.files = 0
        self.visited: set[bytes] = set()
        self.unreadable: list[bytes] = []
        self.absent: list[tuple[bytes, IndexedFile]] = []
        self.device_changes: set[tuple[int, int]] = set()

    def visit(self, directory: Directory) -> None:
        """Compare one directory with the catalog."""
        if directory.error is not None:
            self._mark_unreadable(directory)
        self.visited.add(directory.path)
        known = self.catalog.indexed_files(directory.path, self.model)
        failed = self.catalog.failed_files(directory.path, self.model)
        queued = []
        for file in directory.files:
            self.files += 1
            before = known.pop(file.name, None)
            failure = failed.pop(file.name, None)
            if before is not None and self._is_unchanged(file, before):
                self.changes.unchanged += 1
            elif failure == (file.size, file.mtime_ns) and not self.retry:
                self.changes.failed_before += 1
            elif self.settled is not None and self.settled < file.mtime_ns <= self.now:
                self.changes.unsettled += 1
            else:
                queued.append(_stat(file))
        self.catalog.enqueue(queued)
        self.changes.queued += len(queued)
        if directory.complete:
            self.absent += [(directory.path, gone) for gone in known.values()]
            self.catalog.drop_failures(directory.path, failed)

    def _is_unchanged(self, file: Candidate, before: IndexedFile) -> bool:
        if before.device != file.device:
            self.device_changes.add((before.device, file.device))
        if (file.size, file.mtime_ns) != (before.size, before.mtime_ns) or not before.embedded:
            return False
        if before.partial and self.strict:
            return False
        if before.sidecar_stamp not in (None, file.sidecar_stamp):
            return False
        if before.state is not State.PRESENT or before.device != file.device:
            self.catalog.touch(before.id, replace(_stat(file), sidecar_stamp=before.sidecar_stamp))
        return True

    def _mark_unreadable(self, directory: Directory) -> None:
        reason = f"{os.fsdecode(directory.path)}: {directory.error}"
        if directory.path == self.root:
            self.changes.root_error = reason
        self.changes.errors.append(reason)
        self.unreadable.append(directory.path.rstrip(b"/"))
        self.catalog.set_state_under(directory.path, State.UNREACHABLE)

    def resolve_absent(self) -> None:
        """Mark the photos that the walk did not find as missing or unreachable."""
        for folder in self.catalog.folders_under(self.root):
            if folder in self.visited or self._is_below_unreadable(folder):
                continue
            self.absent += [
                (folder, gone) for gone in self.catalog.indexed_files(folder, self.model).values()
            ]
            self.catalog.drop_failures(folder, self.catalog.failed_files(folder, self.model))
        devices: dict[bytes, int] = {}
        missing: list[IndexedFile] = []
        unreachable: list[IndexedFile] = []
        for folder, photo in self.absent:
            if folder not in devices:
                devices[folder] = _device_of_nearest(folder)
            device = devices[folder]
            unmounted = photo.device != device and (photo.device, device) not in self.device_changes
            (unreachable if unmounted else missing).append(photo)
        self.changes.missing = [photo.id for photo in missing if photo.state is not State.MISSING]
        self.catalog.set_state(self.changes.missing, State.MISSING)
        self.catalog.set_state([photo.id for photo in unreachable], State.UNREACHABLE)

    def _is_below_unreadable(self, folder: bytes) -> bool:
        return any(folder == bad or folder.startswith(bad + b"/") for bad in self.unreadable)


def _stat(file: Candidate) -> FileStat:
    return FileStat(
        file.folder, file.name, file.size, file.mtime_ns, file.device, file.sidecars, file.sidecar_stamp
    )


def _device_of_nearest(folder: bytes) -> int:
    """Device number of `folder`, or of its nearest existing parent."""
    while True:
        try:
            return os.stat(folder).st_dev
        except OSError:
            folder = os.path.dirname(folder)
