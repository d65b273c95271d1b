"""Progress bars: on stderr, shown only if that is a terminal, and removed when done."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    track,
)
from rich.status import Status

from clipsight.cli.messages import note
from clipsight.cli.options import Interrupted

if TYPE_CHECKING:
    from clipsight.indexing.report import IndexProgress


def new_bar(*columns: ProgressColumn) -> Progress:
    """A bar with a description, a count, the remaining time, and more `columns` after these."""
    console = Console(stderr=True)
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        *columns,
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


@contextmanager
def progress_bar(description: str) -> Iterator[Callable[[int, int], None]]:
    """A bar for one task: yields a callback for the number of finished items and their total.

    The task appears with the first call.
    """
    with new_bar() as bar:
        task = bar.add_task(description, total=None, visible=False)
        yield lambda done, total: bar.update(task, completed=done, total=total, visible=True)


@contextmanager
def stage_bars(prefix: str = "") -> Iterator[Callable[[str, int, int | None], None]]:
    """A bar for each stage: yields a callback for a stage's name, its finished items and their total."""
    with new_bar() as bar:
        tasks: dict[str, TaskID] = {}

        def show(stage: str, done: int, total: int | None) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(prefix + stage)
            bar.update(tasks[stage], completed=done, total=total)

        yield show


def spinner(description: str) -> Status:
    """A spinner for work of unknown length; a context manager."""
    return Console(stderr=True).status(description)


def tracked(items: Iterable[str], description: str) -> Iterable[str]:
    """Iterate over `items` with a bar."""
    console = Console(stderr=True)
    return track(list(items), description, console=console, transient=True, disable=not console.is_terminal)


class IndexBar:
    """A progress bar for indexing, as an `indexing.report.TextObserver`.

    It appears when the first folder is scanned; until then, another bar may be shown, such as that of a
    model's download.
    """

    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._task = bar.add_task("looking for photos", total=None)
        self.committed = 0
        """Number of photos that are stored, and not lost by an interruption."""
        self.read: int | None = None
        """Number of photos whose text was looked for; None before that begins."""

    def scanned(self, files: int) -> None:
        """Show how many files the scan has found."""
        self._bar.start()
        self._bar.update(self._task, description=f"looking for photos: {files:,} files", total=None)

    def progressed(self, progress: "IndexProgress") -> None:
        """Show how many files are indexed."""
        self.committed = progress.embedded + progress.known_content
        self._bar.update(self._task, description="indexing", completed=progress.done, total=progress.total)

    def reading(self, done: int, total: int) -> None:
        """Show of how many photos the text is read."""
        self._bar.start()
        self.read = done
        self._bar.update(self._task, description="reading text", completed=done, total=total)


@contextmanager
def index_bar() -> Iterator[IndexBar]:
    """A progress bar for indexing; an interruption is followed by a note of what is kept."""
    bar = new_bar()
    observer = IndexBar(bar)
    try:
        yield observer
    except Interrupted:
        bar.stop()
        kept = f"{observer.committed:,} photos"
        if observer.read is not None:
            kept = f"the text of {observer.read:,} photos"
        note(f"stopped; {kept} of this run are kept, run the command again to go on")
        raise
    finally:
        bar.stop()
