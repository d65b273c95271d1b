"""Progress of a run of indexing, those who watch it, and the report of each folder."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from clipsight.core.progress import Progress, ProgressLike, as_progress, no_progress


@dataclass
class IndexProgress:
    """Numbers of files processed so far in one run; `total` is the number of queued files."""

    total: int
    embedded: int = 0
    partial: int = 0
    """included in `embedded`: truncated files, of which a part was decoded"""
    known_content: int = 0
    """recognised by content and not embedded again"""
    failed: int = 0
    vanished: int = 0
    """deleted after the scan, before they were read"""

    @property
    def done(self) -> int:
        """Number of finished files, of `total`."""
        return self.embedded + self.known_content + self.failed + self.vanished


@dataclass(frozen=True)
class IndexReport:
    """Numbers of files in one run of indexing one folder."""

    folder: str
    embedded: int = 0
    partial: int = 0
    """included in `embedded`: truncated files, of which a part was decoded"""
    known_content: int = 0
    """moved, renamed, copied or touched files: recognised by content and not embedded again"""
    unchanged: int = 0
    failed: int = 0
    failed_before: int = 0
    """files that failed in an earlier run and are unchanged, not tried again"""
    missing: int = 0
    unreachable: int = 0
    """photos whose folder can't be read now; they are kept"""
    unsettled: int = 0
    """new and changed files that may still be being written (see `Library.watch`)"""
    read: int = 0
    """photos whose text was read"""
    with_text: int = 0
    """included in `read`: photos in which there was text"""
    unread: int = 0
    """photos whose text could not be read"""
    seconds: float = 0.0
    problems: tuple[str, ...] = field(default=())
    """folders that could not be read, with the reason"""

    @property
    def changed(self) -> bool:
        """True if any vector was added or removed."""
        return bool(self.embedded or self.known_content or self.failed or self.missing)

    def __str__(self) -> str:
        counts = {
            "new": self.embedded,
            "cut short": self.partial,
            "recognised": self.known_content,
            "unchanged": self.unchanged,
            "failed": self.failed,
            "failed before": self.failed_before,
            "gone": self.missing,
            "unreachable": self.unreachable,
            "being written": self.unsettled,
            "read": self.read,
            "with text": self.with_text,
            "can't be read": self.unread,
        }
        shown = ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)
        return f"{self.folder}: {shown or 'no photos'} ({self.seconds:.1f} s)"


@runtime_checkable
class Observer(Protocol):
    """Callbacks for the progress of a run of indexing."""

    def scanned(self, files: int) -> None:
        """Receive the number of files found so far by the scan."""

    def progressed(self, progress: IndexProgress) -> None:
        """Receive the counts after each commit."""


@runtime_checkable
class TextObserver(Observer, Protocol):
    """An observer that is told of the reading of text, too."""

    def reading(self, done: int, total: int) -> None:
        """Receive the number of photos whose text was read in this run, and their total."""


@dataclass
class _CallbackObserver:
    """An observer that calls a function of (files done, total) of the current folder."""

    show: Progress

    def scanned(self, files: int) -> None:
        """Do nothing: the total is not known yet."""

    def progressed(self, progress: IndexProgress) -> None:
        """Show the counts."""
        self.show(progress.done, progress.total)


@contextmanager
def as_observer(progress: "Observer | ProgressLike") -> Iterator[Observer]:
    """Yield an observer that shows progress as `progress` says; see `core.progress.as_progress`."""
    if isinstance(progress, Observer):
        yield progress
    else:
        with as_progress(progress, "indexing") as show:
            yield _CallbackObserver(show)


@contextmanager
def as_reading(progress: "Observer | ProgressLike") -> Iterator[Progress]:
    """Yield a callback that shows the reading of text as `progress` says."""
    if isinstance(progress, TextObserver):
        yield progress.reading
    elif isinstance(progress, Observer):
        yield no_progress
    else:
        with as_progress(progress, "reading text") as show:
            yield show
