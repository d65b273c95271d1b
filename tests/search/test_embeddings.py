"""Embeddings of photos in bulk: stored ones in chunks, single files with cached vectors."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from clipsight import Library
from clipsight.core.errors import LibraryError
from clipsight.indexing.media.picture import pictures
from clipsight.models.encoder import Encoder
from clipsight.search.embeddings import CHUNK, embed_photos, stored_embeddings
from clipsight.store.catalog import Catalog
from tests.support.catalogs import add_photos, some_model, unit_vectors


@pytest.fixture
def indexed(library: Library, photos: Path) -> Library:
    """A library that holds the sample photos."""
    library.index(photos)
    return library


@pytest.mark.slow
def test_stored_vectors_come_in_chunks(tmp_path: Path) -> None:
    count = CHUNK + 100
    vectors = unit_vectors(count, 8)
    catalog = Catalog(tmp_path / "library")
    model = some_model(catalog, 8)
    add_photos(catalog, model, vectors, [b"/photos/%05d.jpg" % number for number in range(count)])
    chunks = list(stored_embeddings(catalog, model, None))
    assert [len(chunk) for chunk in chunks] == [CHUNK, 100]
    assert all(chunk.vectors.dtype == np.float32 and chunk.ids.dtype == np.int64 for chunk in chunks)
    np.testing.assert_array_equal(
        np.concatenate([chunk.vectors for chunk in chunks]), vectors.astype(np.float32)
    )
    paths = [path for chunk in chunks for path in chunk.paths]
    assert paths == [Path(f"/photos/{number:05}.jpg") for number in range(count)]
    catalog.close()


def test_stored_vectors_of_some_folders(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path / "library")
    model = some_model(catalog, 8)
    names = [b"/photos/a/1.jpg", b"/photos/a/b/2.jpg", b"/photos/ab/3.jpg", b"/photos/c/4.jpg"]
    add_photos(catalog, model, unit_vectors(4, 8), names)
    for folders, numbers in (([b"/photos/a"], [1, 2]), ([b"/photos/c", b"/photos/a/b"], [2, 4]), ([], [])):
        paths = [path.stem for chunk in stored_embeddings(catalog, model, folders) for path in chunk.paths]
        assert paths == [str(number) for number in numbers]
    catalog.close()


def test_an_empty_library_gives_no_chunk(library: Library) -> None:
    assert list(library.embeddings()) == []


@pytest.mark.slow
def test_a_folder_that_is_not_indexed_is_an_error(indexed: Library, tmp_path: Path) -> None:
    with pytest.raises(LibraryError, match="has not been indexed"):
        list(indexed.embeddings(tmp_path / "elsewhere"))


def test_unchanged_files_have_their_stored_vectors(indexed: Library, photos: Path) -> None:
    files = sorted(photos.iterdir(), reverse=True)
    [chunk] = indexed.embed(*files)
    assert chunk.paths == tuple(files) and (chunk.ids > 0).all()
    [kept] = indexed.embeddings()
    of = dict(zip(kept.paths, kept.vectors, strict=True))
    np.testing.assert_array_equal(chunk.vectors, np.stack([of[file] for file in files]))


def test_stored_vectors_need_no_encoder(indexed: Library, photos: Path) -> None:
    def encoder() -> Encoder:
        raise AssertionError("a photo was read although its vector is kept")

    [chunk] = embed_photos(
        pictures(sorted(photos.iterdir())), indexed._connection.catalog, indexed._connection.model, encoder
    )
    assert len(chunk) == 8


@pytest.mark.slow
def test_new_and_changed_files_are_read(indexed: Library, photos: Path) -> None:
    new = Path(shutil.copyfile(photos / "cat.png", photos / "new.png"))
    changed = photos / "rocket.jpg"
    shutil.copyfile(photos / "temple.jpg", changed)
    os.utime(changed, (1, 1))
    [chunk] = indexed.embed(new, changed, photos / "cat.png")
    assert chunk.ids[:2].tolist() == [0, 0] and chunk.ids[2] > 0
    [plain] = indexed.embed(photos / "temple.jpg", photos / "cat.png")
    assert (chunk.vectors[:2] * plain.vectors[::-1]).sum(1) == pytest.approx([1, 1], abs=2e-3)
    assert len(indexed) == 8  # nothing was added


def test_files_that_are_not_photos_are_failures(indexed: Library, photos: Path, tmp_path: Path) -> None:
    letter = tmp_path / "letter.jpg"
    letter.write_text("Dear Sir or Madam")
    [chunk] = indexed.embed(tmp_path / "nowhere.jpg", photos / "cat.png", letter)
    assert chunk.paths == (photos / "cat.png",)
    assert [path for path, _ in chunk.failures] == [tmp_path / "nowhere.jpg", letter]
    assert all(reason and "\n" not in reason for _, reason in chunk.failures)


def test_many_files_come_in_chunks(indexed: Library, photos: Path) -> None:
    file = photos / "cat.png"
    chunks = list(indexed.embed(*[file] * 40))
    assert [len(chunk) for chunk in chunks] == [16, 16, 8]


def test_a_chunk_without_readable_photos_has_the_right_shape(library: Library, tmp_path: Path) -> None:
    [chunk] = library.embed(tmp_path / "nowhere.jpg")
    assert len(chunk) == 0 and chunk.vectors.shape == (0, 32) and len(chunk.failures) == 1
