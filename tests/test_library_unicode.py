"""Names of folders and photos in either Unicode form, whichever the disk and the catalog have."""

import os
import shutil
import unicodedata
from pathlib import Path

import pytest

from clipsight import Library
from clipsight.core.errors import LibraryError
from tests.support.samples import SAMPLES

FORMS = [("NFC", "NFD"), ("NFD", "NFC"), ("NFC", "NFC")]


def name(form: str, text: str) -> str:
    return unicodedata.normalize("NFC" if form == "NFC" else "NFD", text)


@pytest.fixture(params=FORMS, ids="-".join)
def album(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Path]:
    """A folder of two albums, one of them as it is typed and as it is stored."""
    typed, stored = request.param
    for folder, sample in ((name(stored, "Café"), "cat.png"), ("other", "rocket.jpg")):
        (tmp_path / "photos" / folder).mkdir(parents=True)
        file = tmp_path / "photos" / folder / name(stored, f"é {sample}")
        shutil.copyfile(SAMPLES[sample], file)
    return tmp_path / "photos" / name(typed, "Café"), tmp_path / "photos" / name(stored, "Café")


def paths(library: Library, folder: Path) -> list[str]:
    return [str(match.path) for match in library.search("x", 9, folders=[folder])]


def test_folders_to_index_search_and_forget(library: Library, album: tuple[Path, Path]) -> None:
    typed, stored = album
    (report,) = library.index(typed)
    assert (report.folder, report.embedded) == (str(stored), 1)
    (photo,) = stored.iterdir()
    assert paths(library, typed) == paths(library, stored) == [str(photo)]
    assert [str(each.path) for each in library.classify(["a", "b"], typed)] == [str(photo)]
    assert library.forget(typed) == 1


def test_folders_below_an_indexed_one(library: Library, album: tuple[Path, Path]) -> None:
    typed, stored = album
    library.index(typed.parent)
    expected = [str(photo) for photo in stored.iterdir()]
    assert paths(library, typed) == expected
    shutil.rmtree(stored)  # only the catalog can tell its name
    assert paths(library, typed) == expected
    with pytest.raises(LibraryError, match="has not been indexed"):
        paths(library, typed.parent.parent / "Cafe")
    assert library.forget(typed) == 1


@pytest.mark.slow
def test_photos_by_name(library: Library, album: tuple[Path, Path]) -> None:
    typed, stored = album
    library.index(typed.parent)
    (photo,) = stored.iterdir()
    also = typed / name("NFC" if typed == stored else "NFD", photo.name)
    for spelling in (photo, typed / photo.name, typed / name("NFC", photo.name), also):
        (chunk,) = library.embed(spelling)
        assert chunk.paths == (photo,) and chunk.ids[0] > 0  # the stored vector
        assert photo not in [match.path for match in library.search(spelling)]  # it is the query itself
        assert library.explain("a cat", spelling, region=False).photo == photo


def test_a_folder_is_found_in_its_stored_unicode_form(library: Library, album: tuple[Path, Path]) -> None:
    typed, stored = album
    library.index(typed.parent)
    assert library._connection.catalog.stored_form(os.fsencode(typed)) == os.fsencode(stored)
    for unknown in (typed / "none", typed.parent / "é", typed.parent):
        assert library._connection.catalog.stored_form(os.fsencode(unknown)) == os.fsencode(unknown)
