"""Files that change between the scan and the reading of a run."""

import os
import shutil
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import pytest

from clipsight import Library
from clipsight.indexing.report import IndexProgress
from tests.support.samples import SAMPLES


def _replaced(file: Path, make: Callable[[Path], object]) -> None:
    file.unlink()
    make(file)


CHANGES: Mapping[str, Callable[[Path], object]] = {
    "cut": lambda file: os.truncate(file, 300),
    "emptied": lambda file: os.truncate(file, 0),
    "longer": lambda file: file.write_bytes(file.read_bytes() + b"more"),
    "another photo": lambda file: shutil.copy(SAMPLES["coffee.png"], file),
    "deleted": os.unlink,
    "a folder": lambda file: _replaced(file, os.mkdir),
    "a pipe": lambda file: _replaced(file, os.mkfifo),
    "a device": lambda file: _replaced(file, partial(os.symlink, "/dev/zero")),
    "a link to itself": lambda file: _replaced(file, partial(os.symlink, file)),
}


class Changing:
    """An observer that changes a file once the scan is over; files are read after that."""

    def __init__(self, change: Callable[[], object]) -> None:
        self.change = change

    def scanned(self, files: int) -> None:
        """Change the file."""
        self.change()

    def progressed(self, progress: IndexProgress) -> None:
        """Do nothing."""


@pytest.mark.parametrize("name", CHANGES)
def test_the_next_run_has_what_is_there_then(
    name: str, library: Library, photos: Path, tmp_path: Path, tiny_model: Path
) -> None:
    """The run in which a file changes ends, with all other photos; after the next, all is as indexed anew."""
    file = photos / "cat.png"
    (first,) = library.index(photos, progress=Changing(lambda: CHANGES[name](file)))
    assert first.embedded >= len(SAMPLES) - 1
    library.index(photos)
    with Library.open(tmp_path / "anew", model=str(tiny_model)) as anew:
        anew.index(photos)
        (paths, vectors), (paths_anew, vectors_anew) = library.vectors(), anew.vectors()
        assert dict(zip(paths, vectors.tolist(), strict=True)) == {
            path: pytest.approx(vector.tolist(), abs=1e-3)
            for path, vector in zip(paths_anew, vectors_anew, strict=True)
        }
        assert _failures(library) == _failures(anew)


def _failures(library: Library) -> list[tuple[bytes, str]]:
    return [(failure.path, failure.reason) for failure in library.status().failures]
