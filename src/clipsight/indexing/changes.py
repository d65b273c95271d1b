"""What has changed in a folder since it was last indexed.

One walk compares each directory with the catalog, marks what is gone or can't be reached,
and queues the files that must be read in a temporary table, so that memory does not grow
with the number of photos.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from clipsight.indexing.scan import Candidate, Directory, walk
from clipsight.store.catalog import Catalog
from clipsight.store.records import FileStat, Known, Model, State


@dataclass
class Changes:
    """What one walk found, in files."""

    queued: int = 0
    unchanged: int = 0
    failed_before: int = 0
    missing: list[int] = field(default_factory=list)
    """Ids of photos whose file is gone; some may turn up under another name when the queue is read."""
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
    seen: Callable[[int], None] = lambda files: None,
) -> Changes:
    """Compare `root` with the catalog; files to be read are queued (`Catalog.take_queued`).

    With `retry`, files that failed before are queued though they have not changed. `seen` is
    called with the number of files seen so far. A root or directory that can't be read, or
    that now lies on another device than its photos did (a disk that is not mounted leaves an
    empty directory), makes its photos unreachable; only files that are surely gone are missing.
    """
    walker = _Walk(root, catalog, model, retry)
    catalog.clear_queue()
    for directory in walk(root, exclude=exclude, hidden=hidden):
        with catalog.transaction():
            walker.visit(directory)
        seen(walker.files)
    if walker.changes.root_error is None:
        with catalog.transaction():
            walker.settle_absent()
            catalog.purge_missing()
    return walker.changes


class _Walk:
    """The state of one walk: what it has visited and what it has not found."""

    def __init__(self, root: bytes, catalog: Catalog, model: Model, retry: bool) -> None:
        self.root = root
        self.catalog = catalog
        self.model = model
        self.retry = retry
        self.changes = Changes()
        self.files = 0
        self.visited: set[bytes] = set()
        self.unreadable: list[bytes] = []
        self.absent: list[tuple[bytes, Known]] = []
        self.renumbered: set[tuple[int, int]] = set()

    def visit(self, directory: Directory) -> None:
        """Compare one directory with what the catalog knows of it."""
        if directory.error is not None:
            self._note_unreadable(directory)
        self.visited.add(directory.path)
        known = self.catalog.known(directory.path, self.model)
        failed = self.catalog.known_failures(directory.path)
        queued = []
        for file in directory.files:
            self.files += 1
            before = known.pop(file.name, None)
            failure = failed.pop(file.name, None)
            if before is not None and self._is_unchanged(file, before):
                self.changes.unchanged += 1
            elif failure == (file.size, file.mtime_ns) and not self.retry:
                self.changes.failed_before += 1
            else:
                queued.append(_stat(file))
        self.catalog.queue(queued)
        self.changes.queued += len(queued)
        if directory.complete:
            self.absent += [(directory.path, gone) for gone in known.values()]
            self.catalog.drop_failures(directory.path, failed)

    def _is_unchanged(self, file: Candidate, before: Known) -> bool:
        if before.device != file.device:
            self.renumbered.add((before.device, file.device))
        if (file.size, file.mtime_ns) != (before.size, before.mtime_ns) or not before.embedded:
            return False
        if before.state is not State.PRESENT or before.device != file.device:
            self.catalog.touch(before.id, _stat(file))
        return True

    def _note_unreadable(self, directory: Directory) -> None:
        reason = f"{os.fsdecode(directory.path)}: {directory.error}"
        if directory.path == self.root:
            self.changes.root_error = reason
        self.changes.errors.append(reason)
        self.unreadable.append(directory.path.rstrip(b"/"))
        self.catalog.mark_under(directory.path, State.UNREACHABLE)

    def settle_absent(self) -> None:
        """Decide about photos that the walk did not meet: gone, or only out of reach."""
        for folder in self.catalog.folders_under(self.root):
            if folder in self.visited or self._is_below_unreadable(folder):
                continue
            self.absent += [(folder, gone) for gone in self.catalog.known(folder, self.model).values()]
            self.catalog.drop_failures(folder, self.catalog.known_failures(folder))
        devices: dict[bytes, int] = {}
        missing: list[Known] = []
        unreachable: list[Known] = []
        for folder, photo in self.absent:
            if folder not in devices:
                devices[folder] = _device_of_nearest(folder)
            away = photo.device != devices[folder] and (photo.device, devices[folder]) not in self.renumbered
            (unreachable if away else missing).append(photo)
        self.changes.missing = [photo.id for photo in missing if photo.state is not State.MISSING]
        self.catalog.mark(self.changes.missing, State.MISSING)
        self.catalog.mark([photo.id for photo in unreachable], State.UNREACHABLE)

    def _is_below_unreadable(self, folder: bytes) -> bool:
        return any(folder == bad or folder.startswith(bad + b"/") for bad in self.unreadable)


def _stat(file: Candidate) -> FileStat:
    return FileStat(file.folder, file.name, file.size, file.mtime_ns, file.device)


def _device_of_nearest(folder: bytes) -> int:
    """The device number of `folder`, or of the nearest folder above it that exists."""
    while True:
        try:
            return os.stat(folder).st_dev
        except OSError:
            folder = os.path.dirname(folder)
