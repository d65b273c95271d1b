"""What processes do to a library in the tests of durability, each step as a command would do it."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from clipsight import Library
from clipsight.indexing import pipeline
from clipsight.indexing.report import IndexProgress
from clipsight.maintenance import backup
from clipsight.maintenance.check import check
from clipsight.store.vectors import faiss, flat

Report = Callable[[Any], None]


@contextmanager
def scaled() -> Iterator[None]:
    """A few dozen photos are treated like a million: commits, tails of index files, approximate ones."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "COMMIT_SECONDS", 0.0)
        patch.setattr(flat, "MAX_VECTORS", 0)
        patch.setattr(faiss, "SMALL_INDEX", 8)
        patch.setattr(faiss, "MIN_VECTORS", 16)
        yield


class Commits:
    """An observer of indexing that reports what was committed: a photo told of must never be lost."""

    def __init__(self, report: Report) -> None:
        self.report = report

    def scanned(self, files: int) -> None:
        """Nothing is committed yet."""

    def progressed(self, progress: IndexProgress) -> None:
        """A batch was committed."""
        self.report(progress.embedded)


def index(report: Report, library: Path, folder: Path, model: Path) -> None:
    """`clipsight index`, with a commit for every few photos; with another model a switch."""
    with Library.open(library, model=str(model)) as opened:
        opened.index(folder, progress=Commits(report))


def search(report: Report, library: Path, picture: Path) -> int:
    """`clipsight search`, which makes index files; how many photos were found."""
    with Library.open(library) as opened:
        return len(opened.search(str(picture), top=1000, duplicates=True))


def optimize(report: Report, library: Path) -> None:
    """`clipsight optimize`, which makes an approximate index."""
    with Library.open(library) as opened:
        opened.optimize()


def forget(report: Report, library: Path, folder: Path) -> None:
    """`clipsight forget`."""
    with Library.open(library) as opened:
        opened.forget(folder)


def label(report: Report, library: Path) -> None:
    """`clipsight classify --labels`, which keeps labels."""
    with Library.open(library) as opened:
        for _ in opened.classify(["red", "green", "blue"], keep=True).chunks:
            pass


def back_up(report: Report, library: Path, file: Path) -> None:
    """`clipsight backup --replace`."""
    backup.backup(library, file, replace=True)


def restore(report: Report, file: Path, library: Path) -> None:
    """`clipsight restore --replace`."""
    backup.restore(file, library, replace=True)


def repair(report: Report, library: Path) -> None:
    """`clipsight check --repair`."""
    check(library, repair=True)


def read_on(report: Report, library: Path, picture: Path, end: Path) -> int:
    """Search and look up again and again until there is a file `end`; how often."""
    times = 0
    while not end.exists():
        with Library.open(library) as opened:
            assert all(match.path.is_absolute() for match in opened.search(str(picture), top=1000))
            opened.status()
        times += 1
        time.sleep(0.05)
    return times
