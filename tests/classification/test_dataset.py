"""Labelled collections: folders and CSV files are read, and errors are one line."""

import unicodedata
from pathlib import Path

import numpy as np
import pytest

from clipsight.classification.dataset import LabelledVectors, read_labelled
from clipsight.core.errors import LabelError
from tests.support.labelled import make_collection, points, put_sample, write_text


@pytest.fixture
def collection(tmp_path: Path) -> Path:
    return make_collection(tmp_path / "labelled")


def test_folders_are_classes(collection: Path) -> None:
    (collection / ".cache").mkdir()
    put_sample(collection / "cat.png")  # beside the classes, in none of them
    found = read_labelled(collection)
    assert found.classes == ("indoors", "outdoors")
    assert [path.name for path in found.paths] == [
        "astronaut.png",
        "cat.png",
        "coffee.png",
        "rocket.jpg",
        "temple.jpg",
    ]
    assert found.labels.tolist() == [0, 0, 0, 1, 1]


def test_classes_compare_in_nfc(collection: Path) -> None:
    composed, decomposed = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    photo = put_sample(collection / decomposed / "cat.png")
    found = read_labelled(collection)
    assert composed in found.classes and decomposed not in found.classes
    for label in (composed, decomposed):
        rows = f"filepath,label\n{composed}/cat.png,{label}\noutdoors/more/rocket.jpg,other\n"
        table = read_labelled(write_text(collection / "labels.csv", rows))
        assert table.classes == (composed, "other")
        assert table.paths[0] == photo
    vectors = LabelledVectors((composed,), (collection,), np.zeros((1, 2), np.float32), np.zeros(1, np.int64))
    assert vectors.with_classes(["a", decomposed]).labels.tolist() == [1]


def test_paths_in_a_csv_are_relative_to_its_folder(collection: Path) -> None:
    table = write_text(
        collection / "labels.csv",
        "\ufefffilepath,year,label\noutdoors/more/rocket.jpg,1,machine\nindoors/cat.png,2, animal \n"
        "indoors/cat.png,3,animal\n",
    )
    found = read_labelled(table)
    assert found.classes == ("animal", "machine")
    assert found.paths == (collection / "indoors/cat.png", collection / "outdoors/more/rocket.jpg")
    assert found.labels.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("filepath,class\nindoors/cat.png,animal\n", "needs the columns filepath and label"),
        ("", "needs the columns filepath and label"),
        ("filepath,label\n", "has 0 classes: two or more"),
        ("filepath,label\nindoors/cat.png,animal\n", "has 1 classes: two or more"),
        ("filepath,label\nindoors/cat.png\n", "line 2: filepath or label is empty"),
        ("filepath,label\nindoors/cat.png, \n", "line 2: filepath or label is empty"),
        ("filepath,label\nindoors/dog.png,animal\n", "line 2: no such photo"),
        ("filepath,label\nindoors/cat.png,a\nindoors/cat.png,b\n", "line 3: .* has two labels, a and b"),
    ],
)
def test_an_invalid_csv_is_an_error(collection: Path, text: str, message: str) -> None:
    with pytest.raises(LabelError, match=message):
        read_labelled(write_text(collection / "labels.csv", text))


def test_a_csv_that_is_not_text_is_an_error(collection: Path) -> None:
    table = collection / "labels.csv"
    table.write_bytes("filepath,label\ncafé.png,a\n".encode("latin-1"))
    with pytest.raises(LabelError, match=r"can't read .*labels\.csv"):
        read_labelled(table)


def test_folders_without_classes_are_errors(collection: Path, tmp_path: Path) -> None:
    with pytest.raises(LabelError, match="no such folder or CSV"):
        read_labelled(tmp_path / "nowhere")
    with pytest.raises(LabelError, match="has 1 classes"):
        read_labelled(collection / "outdoors")
    (collection / "sky").mkdir()
    with pytest.raises(LabelError, match="sky has no photo"):
        read_labelled(collection)


def test_test_photos_may_have_some_of_the_classes() -> None:
    photos = points(2)
    part = LabelledVectors(("class 2", "class 1"), photos.paths[:2], photos.vectors[:2], np.array([0, 1]))
    assert part.with_classes(photos.classes).labels.tolist() == [2, 1]
    with pytest.raises(LabelError, match="'class 1' of the test photos is not one of the trained classes"):
        part.with_classes(("class 0", "class 2"))
