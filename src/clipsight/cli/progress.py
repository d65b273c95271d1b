"""A progress bar for indexing: on stderr, and only if that is a terminal. Called by `cli` only."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeRemainingColumn,
)

if TYPE_CHECKING:
    from clipsight.indexing.pipeline import IndexProgress


class IndexBar:
    """A progress bar for indexing, as `indexing.indexer.Observer`.

    It appears when the first folder is walked, so that what comes before, such as the download
    of a model with a bar of its own, has the terminal for itself.
    """

    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._task = bar.add_task("looking for photos", total=None)
        self.kept = 0
        """Photos committed so far, to be told when the run is interrupted."""

    def scanned(self, files: int) -> None:
        """Show how many files the walk has seen."""
        self._bar.start()
        self._bar.update(self._task, description=f"looking for photos: {files:,} files", total=None)

    def progressed(self, progress: "IndexProgress") -> None:
        """Show how many files are settled."""
        self.kept = progress.embedded + progress.known_content
        self._bar.update(self._task, description="indexing", completed=progress.done, total=progress.total)


@contextmanager
def index_bar() -> Iterator[IndexBar]:
    """A progress bar on stderr, gone when it is done; nothing is shown where stderr is no terminal."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
    try:
        yield IndexBar(bar)
    finally:
        bar.stop()
