"""Photos and queries of any kind in every call of the library that takes one."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from clipsight import Library, Query
from clipsight.core.errors import ClipsightError, LibraryError, PhotoError, QueryError
from tests.support.samples import SAMPLES


@pytest.fixture
def indexed(library: Library, photos: Path) -> Library:
    library.index(photos)
    return library


FORMS: dict[str, Callable[[Path, Library], Any]] = {
    "path": lambda path, library: path,
    "bytes": lambda path, library: path.read_bytes(),
    "file": lambda path, library: io.BytesIO(path.read_bytes()),
    "image": lambda path, library: Image.open(path),
    "pixels": lambda path, library: np.asarray(Image.open(path)),
    "vector": lambda path, library: next(library.embed(path)).vectors[0].astype(np.float64) * 7,
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.slow
def test_a_photo_given_in_any_form_has_the_same_vector(
    form: str, indexed: Library, photos: Path, tmp_path: Path
) -> None:
    path = photos / "cat.png"
    other = np.asarray(Image.open(photos / "rocket.jpg"))

    def given() -> Any:
        return FORMS[form](path, indexed)

    for found in (indexed.search(given(), 8), indexed.search_many([given(), other], 8)[0]):
        if form == "path":
            assert "cat.png" not in [each.path.name for each in found]  # the query's own photo
        else:
            assert found[0].path == path and found[0].score == pytest.approx(1, abs=2e-3)
    (chunk,) = indexed.embed(given(), other)
    assert chunk.vectors[0] @ indexed.encoder.encode_images([Image.open(path)])[0] == pytest.approx(
        1, abs=2e-3
    )
    assert (chunk.ids > 0).tolist() == [form == "path", False]
    assert chunk.paths[1] == Path("photo 2")
    by_path, by_form = (
        [each.probabilities for each in indexed.classify(["cat", "dog"], photo)] for photo in (path, given())
    )
    np.testing.assert_allclose(by_form, by_path, atol=1e-2)
    (tmp_path / "texts.txt").write_text("a cat\na rocket\n")
    scores = [
        {each.text: each.score for each in indexed.match(photo, tmp_path / "texts.txt")}
        for photo in (path, given())
    ]
    assert scores[1] == pytest.approx(scores[0], abs=2e-3)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.slow
def test_a_photo_given_in_any_form_is_a_query_to_explain(form: str, indexed: Library, photos: Path) -> None:
    path = photos / "cat.png"
    found = indexed.explain(FORMS[form](path, indexed), path, region=False)
    assert found.score == pytest.approx(1, abs=2e-3)
    by_path = indexed.search("a rocket", 20, add=photos / "cat.png", subtract=["grass"])
    by_form = indexed.search("a rocket", 20, add=FORMS[form](path, indexed), subtract="grass")
    scores = {each.path: each.score for each in by_form}
    assert {each.path: pytest.approx(each.score, abs=5e-3) for each in by_path}.items() <= scores.items()


@pytest.mark.parametrize("form", [form for form in FORMS if form != "vector"])
@pytest.mark.slow
def test_a_photo_given_in_any_form_is_explained(form: str, indexed: Library, photos: Path) -> None:
    path = photos / "cat.png"
    by_path = indexed.explain("a cat", path, region=False)
    by_form = indexed.explain("a cat", FORMS[form](path, indexed), region=False)
    assert by_form.score == pytest.approx(by_path.score, abs=1e-5)
    assert by_form.open_photo(min_side=8).size == by_path.open_photo(min_side=8).size


@pytest.mark.slow
def test_lists_of_photos_are_flattened(indexed: Library, photos: Path) -> None:
    files: list[Path | str] = [photos / "cat.png", str(photos / "rocket.jpg")]
    image = Image.open(photos / "flower.jpg")
    together = list(indexed.embed(files, image))
    single = list(indexed.embed(*files, image))
    assert together[0].paths == single[0].paths == (*map(Path, files), photos / "flower.jpg")
    np.testing.assert_allclose(together[0].vectors, single[0].vectors, atol=1e-5)
    assert [each.path for each in indexed.classify(["cat", "dog"], files)] == [Path(file) for file in files]
    vectors = together[0].vectors
    assert len(list(indexed.classify(["cat", "dog"], vectors))) == 3
    assert [len(found) for found in indexed.search_many(vectors, 2)] == [2, 2, 2]
    assert list(indexed.embed([])) == [] and list(indexed.classify(["cat", "dog"], [])) == []
    assert len(indexed.search_many("cat")) == len(indexed.search_many(Query.parse("cat"))) == 1


@pytest.mark.slow
def test_a_folder_means_its_photos(indexed: Library, photos: Path, tmp_path: Path) -> None:
    (photos / "letter.jpg").write_text("Dear Sir or Madam")
    indexed.index()
    image = Image.new("RGB", (9, 9), "red")
    chunks = list(indexed.embed(photos, image))
    assert next(path for chunk in chunks for path in chunk.paths) == Path("photo 2")
    assert sum(len(chunk) for chunk in chunks) == len(SAMPLES) + 1
    assert [path for chunk in chunks for path, _ in chunk.failures] == [photos / "letter.jpg"]
    (tmp_path / "other").mkdir()
    with pytest.raises(LibraryError, match="has not been indexed"):
        indexed.embed(tmp_path / "other")


def test_a_broken_photo_is_a_failure_and_another_object_an_error(indexed: Library, photos: Path) -> None:
    (chunk,) = indexed.embed(b"Dear Sir", photos / "cat.png", Path("nowhere.jpg"))
    assert chunk.paths == (photos / "cat.png",)
    assert [path for path, _ in chunk.failures] == [Path("photo 1"), Path("nowhere.jpg")]
    wrong: list[Callable[[], Any]] = [
        lambda: indexed.embed(3),  # type: ignore[arg-type]
        lambda: indexed.embed(np.ones(5)),
        lambda: indexed.classify(["a", "b"], np.zeros((4, 4))),
        lambda: indexed.explain("cat", np.ones(32)),
    ]
    for call in wrong:
        with pytest.raises(PhotoError):
            call()
    queries: list[Callable[[], Any]] = [
        lambda: indexed.search(3),  # type: ignore[arg-type]
        lambda: indexed.search(["a cat"]),  # type: ignore[arg-type]
        lambda: indexed.search(np.ones(5)),
        lambda: indexed.search(np.zeros((4, 4))),
        lambda: indexed.search(b"Dear Sir"),
        lambda: indexed.search("cat", add=3),  # type: ignore[arg-type]
        lambda: indexed.search("cat", subtract=[np.ones(5)]),
        lambda: indexed.search_many(3),  # type: ignore[arg-type]
        lambda: indexed.match(3, photos / "texts.txt"),  # type: ignore[arg-type]
    ]
    for call in queries:
        with pytest.raises(QueryError) as caught:
            call()
        assert "\n" not in str(caught.value)
    with pytest.raises(ClipsightError, match=r"^vector has 5 numbers, a vector of tiny has 32$"):
        indexed.search(np.ones(5))
