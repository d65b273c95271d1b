"""Photos of a library sorted by label, date or camera: the Python call."""

from pathlib import Path
from typing import Any

import pytest

from clipsight import Library
from clipsight.core.errors import LabelError, LibraryError
from clipsight.organize import undo


@pytest.fixture
def library(tmp_path: Path, photos: Path, tiny_model: Path) -> Library:
    opened = Library(tmp_path / "library", model=str(tiny_model))
    (photos / "broken.jpg").write_bytes(b"\xff\xd8\xff no photo")
    opened.index(photos)
    return opened


@pytest.mark.slow
def test_by_label(library: Library, photos: Path, tmp_path: Path) -> None:
    expected = {each.path.name: each.label for each in library.classify(["cat", "rocket"], photos)}
    done = library.organize(photos, tmp_path / "sorted", labels=["cat", "rocket"], templates="plain")
    found = {path.name: path.parent.name for path in (tmp_path / "sorted").glob("*/*")}
    assert found == expected and done.created == 8
    assert [failed.source.name for failed in done.failures] == ["broken.jpg"]
    undo(tmp_path / "sorted")
    everything = library.organize((), tmp_path / "sorted", labels=["cat", "rocket"], method="symlink")
    assert everything.created == 8 and len(everything.failures) == 1


def test_a_dry_run_stores_no_labels(library: Library, photos: Path, tmp_path: Path) -> None:
    done = library.organize(photos, tmp_path / "sorted", labels=["cat", "rocket"], dry_run=True)
    assert done.created == 8 and not (tmp_path / "sorted").exists()
    with pytest.raises(LabelError, match="no photo has a label"):
        library.search("x", labels=["cat"])


def test_by_date(library: Library, photos: Path, tmp_path: Path) -> None:
    done = library.organize([photos], tmp_path / "sorted", by="date")
    months = {path.name: path.parent.name for path in (tmp_path / "sorted").glob("*/*")}
    assert done.created == 8
    assert months == {match.path.name: (match.taken or "")[:7] for match in library.search("x", 100)}


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"by": "size"}, LibraryError, "can't sort photos `by` 'size'"),
        (
            {"by": "date", "method": "move"},
            LibraryError,
            "no `method` 'move': choose copy, symlink, ",
        ),
        ({}, LabelError, "at least two labels"),
        ({"labels": "cat"}, LabelError, "at least two labels"),
        ({"labels": [1, 2]}, LabelError, "`labels` takes texts"),
        ({"by": "date", "labels": ["cat", "dog"]}, LabelError, "not by date"),
    ],
)
def test_bad_options(
    library: Library, photos: Path, options: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        library.organize(photos, photos.parent / "sorted", **options)
    assert not (photos.parent / "sorted").exists()


def test_a_folder_that_was_not_indexed(library: Library, tmp_path: Path) -> None:
    for by in ("date", "label"):
        options: Any = {"by": by, "labels": ["cat", "dog"] if by == "label" else []}
        with pytest.raises(LibraryError, match="has not been indexed"):
            library.organize(tmp_path / "elsewhere", tmp_path / "sorted", **options)
