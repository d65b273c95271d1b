"""Embeddings of labelled photos: those of the library, without other photos of the same folder."""

import os
from pathlib import Path

import numpy as np
import pytest

from clipsight import Library
from clipsight.classification.dataset import read_labelled
from clipsight.core.errors import LabelError
from clipsight.probe.embedding import embed_files, embed_labelled
from tests.support.labelled import make_collection, write_text
from tests.support.samples import SAMPLES


@pytest.fixture
def collection(tmp_path: Path) -> Path:
    return make_collection(tmp_path / "labelled")


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


def test_other_photos_of_the_same_folder_are_not_embedded(collection: Path, library: Library) -> None:
    table = write_text(
        collection / "labels.csv", "filepath,label\nindoors/cat.png,a\noutdoors/more/temple.jpg,b\n"
    )
    embedded = embed_labelled(read_labelled(table), library)
    assert [path.name for path in embedded.paths] == ["cat.png", "temple.jpg"]


def test_broken_photos_are_left_out_with_their_reason(collection: Path, library: Library) -> None:
    broken = write_text(collection / "indoors" / "letter.jpg", "Dear Sir or Madam")
    embedded = embed_labelled(read_labelled(collection), library)
    assert len(embedded) == 5
    [(path, reason)] = embedded.failures
    assert path == broken and reason == "not an image: the file is text"


def test_a_class_without_a_readable_photo_is_an_error(collection: Path, library: Library) -> None:
    (collection / "letters").mkdir()
    write_text(collection / "letters" / "letter.jpg", "Dear Sir or Madam")
    with pytest.raises(LabelError, match="no photo of the class 'letters' can be read"):
        embed_labelled(read_labelled(collection), library)


def test_links_to_photos_and_to_class_folders(collection: Path, library: Library, tmp_path: Path) -> None:
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "a").symlink_to(collection / "indoors")
    (tmp_path / "linked" / "b").mkdir()
    (tmp_path / "linked" / "b" / "temple.jpg").symlink_to(collection / "outdoors/more/temple.jpg")
    embedded = embed_labelled(read_labelled(tmp_path / "linked"), library)
    assert embedded.labels.tolist() == [0, 0, 0, 1] and embedded.failures == ()


def test_file_names_that_are_not_utf8(collection: Path, library: Library) -> None:
    strange = os.fsdecode(os.fsencode(collection / "indoors") + b"/caf\xe9.png")
    Path(strange).write_bytes(SAMPLES["cat.png"].read_bytes())
    embedded = embed_labelled(read_labelled(collection), library)
    assert Path(strange) in embedded.paths


def test_files_keep_the_given_order(collection: Path, library: Library) -> None:
    files = [collection / "outdoors/more/temple.jpg", collection / "indoors/cat.png"]
    missing = collection / "indoors" / "dog.png"
    paths, vectors, failures = embed_files([*files, missing], library)
    assert paths == tuple(files) and vectors.shape == (2, 32)
    [(path, reason)] = failures
    assert path == missing and "missing" in reason
