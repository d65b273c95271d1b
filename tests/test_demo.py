"""The demo: the real sample photos, a query of each kind, sheets; again without work; without the extra."""

import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from PIL import Image

from clipsight import Library
from clipsight.core.errors import LibraryError
from clipsight.demo import run_demo
from clipsight.indexing import sample_photos as samples
from clipsight.indexing.sample_photos import sample_photos
from clipsight.search.results import Matches
from tests.support.scores import near_result

pytestmark = pytest.mark.slow

SHEETS = ["1-words.jpg", "2-picture.jpg", "3-joint.jpg", "4-before-minus.jpg", "5-minus.jpg"]
SHOWN = [
    "a cat",
    "motorcycle_left.png",
    "astronaut.png + launch of a rocket",
    "a building",
    "a building - a wall",
]


@pytest.fixture
def builtin(tmp_path: Path) -> Iterator[Library]:
    """A library of the model that ships."""
    with Library.open(tmp_path / "library", model="builtin") as opened:
        yield opened


def test_a_query_of_each_kind_with_a_sheet(library: Library, tmp_path: Path) -> None:
    answers: list[Matches] = []
    sheets = run_demo(library, tmp_path / "new" / "out", answers.append)
    assert [answer.query for answer in answers] == SHOWN
    assert [len(answer) for answer in answers] == [6] * 5
    assert len(library) == len(sample_photos())
    assert [sheet.name for sheet in sheets] == SHEETS == sorted(os.listdir(tmp_path / "new" / "out"))
    for sheet in sheets:
        with Image.open(sheet) as picture:
            assert picture.size == (904, 676)
            picture.load()


def test_pictures_of_a_query_are_not_in_its_result(library: Library, tmp_path: Path) -> None:
    answers: list[Matches] = []
    run_demo(library, tmp_path / "out", answers.append)
    for answer, picture in ((answers[1], "motorcycle_left.png"), (answers[2], "astronaut.png")):
        assert picture not in [match.path.name for match in answer]


def test_a_subtracted_part_changes_the_result(library: Library, tmp_path: Path) -> None:
    answers: list[Matches] = []
    run_demo(library, tmp_path / "out", answers.append)
    before, after = ([match.path for match in answer] for answer in answers[3:])
    assert before != after


def size_of(picture: Path) -> tuple[int, int]:
    with Image.open(picture) as image:
        return image.size


def test_a_second_run_is_the_same_and_embeds_nothing(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first: list[Matches] = []
    second: list[Matches] = []
    sheets = run_demo(library, tmp_path / "out", first.append)
    sizes = list(map(size_of, sheets))
    reports = []
    index = Library.index
    monkeypatch.setattr(Library, "index", lambda *args, **options: reports.extend(index(*args, **options)))
    assert run_demo(library, tmp_path / "out", second.append) == sheets
    assert [match.to_dict() for match in second] == [near_result(match.to_dict()) for match in first]
    assert list(map(size_of, sheets)) == sizes
    assert sum(report.embedded for report in reports) == 0
    assert sum(report.unchanged for report in reports) == len(sample_photos())


def test_other_photos_of_the_library_are_not_found(library: Library, photos: Path, tmp_path: Path) -> None:
    library.index(photos)
    answers: list[Matches] = []
    run_demo(library, tmp_path / "out", answers.append)
    assert not [match for answer in answers for match in answer if match.path.parent == photos]


def test_the_folders_of_the_sample_photos_are_unchanged(library: Library, tmp_path: Path) -> None:
    folders = {photo.parent for photo in sample_photos()}
    before = {folder: sorted(os.listdir(folder)) for folder in folders}
    run_demo(library, tmp_path / "out", lambda _: None)
    assert {folder: sorted(os.listdir(folder)) for folder in folders} == before


def test_the_builtin_model_finds_the_expected_photos(builtin: Library, tmp_path: Path) -> None:
    answers: list[Matches] = []
    run_demo(builtin, tmp_path / "out", answers.append)
    first = [answer[0].path.name for answer in answers]
    assert first[:3] == ["chelsea.png", "motorcycle_right.png", "rocket.jpg"]
    assert first[4] == "china.jpg"


@pytest.mark.parametrize(("module", "package"), [("skimage", "scikit-image"), ("sklearn", "scikit-learn")])
def test_without_the_extra_the_error_says_what_to_install(
    module: str, package: str, library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(samples, "find_spec", lambda name: None if name == module else find_spec(name))
    for call in (sample_photos, lambda: run_demo(library, tmp_path / "out", lambda _: None)):
        with pytest.raises(LibraryError, match=package) as caught:
            call()
        assert "pip install '.[demo]' in the clone" in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_package_without_the_photo_is_an_error(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = (*samples.EXCLUDE, "astronaut.png")
    monkeypatch.setattr(samples, "EXCLUDE", names)
    with pytest.raises(LibraryError, match=r"no sample photo astronaut\.png"):
        run_demo(library, tmp_path / "out", lambda _: None)


def test_a_folder_that_cant_be_made_is_an_error(library: Library, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for bad in (tmp_path / "file", tmp_path / "file" / "out"):
        with pytest.raises(LibraryError, match="can't make the folder"):
            run_demo(library, bad, lambda _: None)
