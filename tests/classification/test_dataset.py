"""Labelled collections: folders and CSV files read, photos embedded, everything wrong told in one line."""

import os
from pathlib import Path

import numpy as np
import pytest

from clipsight import Library
from clipsight.classification.dataset import read_labelled
from clipsight.core.errors import LabelError
from clipsight.probe.embedding import embed_files, embed_labelled
from tests.support.samples import SAMPLES


@pytest.fixture
def collection(tmp_path: Path) -> Path:
    """Two classes of real photos."""
    for name in ("astronaut.png", "cat.png", "coffee.png"):
        _put(tmp_path / "labelled" / "indoors" / name)
    for name in ("rocket.jpg", "temple.jpg"):
        _put(tmp_path / "labelled" / "outdoors" / "more" / name)
    return tmp_path / "labelled"


def _put(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(SAMPLES[path.name].read_bytes())
    return path


def _write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_folders_are_classes(collection: Path) -> None:
    (collection / ".cache").mkdir()
    _put(collection / "cat.png")  # beside the classes, in none of them
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


def test_a_csv_names_photos_beside_it(collection: Path) -> None:
    table = _write(
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
def test_a_wrong_csv_is_told(collection: Path, text: str, message: str) -> None:
    with pytest.raises(LabelError, match=message):
        read_labelled(_write(collection / "labels.csv", text))


def test_a_csv_that_is_no_text_is_told(collection: Path) -> None:
    table = collection / "labels.csv"
    table.write_bytes("filepath,label\ncafé.png,a\n".encode("latin-1"))
    with pytest.raises(LabelError, match=r"can't read .*labels\.csv"):
        read_labelled(table)


def test_folders_that_are_no_classes_are_told(collection: Path, tmp_path: Path) -> None:
    with pytest.raises(LabelError, match="no such folder or CSV"):
        read_labelled(tmp_path / "nowhere")
    with pytest.raises(LabelError, match="has 1 classes"):
        read_labelled(collection / "outdoors")
    (collection / "sky").mkdir()
    with pytest.raises(LabelError, match="sky has no photo"):
        read_labelled(collection)


def test_vectors_are_those_of_the_library_in_the_order_of_paths(collection: Path, library: Library) -> None:
    embedded = embed_labelled(read_labelled(collection), library)
    assert [path.name for path in embedded.paths] == [path.name for path in read_labelled(collection).paths]
    stored = {
        path: vector
        for chunk in library.embeddings()
        for path, vector in zip(chunk.paths, chunk.vectors, strict=True)
    }
    for path, vector in zip(embedded.paths, embedded.vectors, strict=True):
        np.testing.assert_array_equal(vector, stored[path])
    assert embedded.labels.tolist() == [0, 0, 0, 1, 1]
    assert embedded.failures == ()


def test_other_photos_of_the_same_folder_are_left_alone(collection: Path, library: Library) -> None:
    table = _write(
        collection / "labels.csv", "filepath,label\nindoors/cat.png,a\noutdoors/more/temple.jpg,b\n"
    )
    embedded = embed_labelled(read_labelled(table), library)
    assert [path.name for path in embedded.paths] == ["cat.png", "temple.jpg"]


def test_broken_photos_are_left_out_with_their_reason(collection: Path, library: Library) -> None:
    broken = _write(collection / "indoors" / "letter.jpg", "Dear Sir or Madam")
    embedded = embed_labelled(read_labelled(collection), library)
    assert len(embedded) == 5
    [(path, reason)] = embedded.failures
    assert path == broken and reason == "not an image: the file is text"


def test_a_class_without_a_readable_photo_is_told(collection: Path, library: Library) -> None:
    (collection / "letters").mkdir()
    _write(collection / "letters" / "letter.jpg", "Dear Sir or Madam")
    with pytest.raises(LabelError, match="no photo of the class 'letters' can be read"):
        embed_labelled(read_labelled(collection), library)


def test_links_to_photos_and_to_class_folders(collection: Path, library: Library, tmp_path: Path) -> None:
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "a").symlink_to(collection / "indoors")
    (tmp_path / "linked" / "b").mkdir()
    (tmp_path / "linked" / "b" / "temple.jpg").symlink_to(collection / "outdoors/more/temple.jpg")
    embedded = embed_labelled(read_labelled(tmp_path / "linked"), library)
    assert embedded.labels.tolist() == [0, 0, 0, 1] and embedded.failures == ()


def test_names_that_are_no_text(collection: Path, library: Library) -> None:
    strange = os.fsdecode(os.fsencode(collection / "indoors") + b"/caf\xe9.png")
    Path(strange).write_bytes(SAMPLES["cat.png"].read_bytes())
    embedded = embed_labelled(read_labelled(collection), library)
    assert Path(strange) in embedded.paths


def test_files_keep_the_order_they_are_named_in(collection: Path, library: Library) -> None:
    files = [collection / "outdoors/more/temple.jpg", collection / "indoors/cat.png"]
    missing = collection / "indoors" / "dog.png"
    paths, vectors, failures = embed_files([*files, missing], library)
    assert paths == tuple(files) and vectors.shape == (2, 32)
    [(path, reason)] = failures
    assert path == missing and "missing" in reason
