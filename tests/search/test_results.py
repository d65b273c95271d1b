"""The results of a search behave like a list and can be printed as JSON."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from clipsight import Library
from clipsight.core.errors import LibraryError, PhotoError
from clipsight.search.results import Match, Matches
from tests.support.photo_files import corners, turned


def match(name: str, score: float) -> Match:
    return Match(Path("/photos") / name, score, 7, 640, 480, "2024-05-01T12:00:00", "exif", 1000, True)


def test_matches_are_a_sequence() -> None:
    found = Matches("a cat", "builtin", (match("a.jpg", 0.31234567), match("b.jpg", 0.2)))
    assert len(found) == 2 and found[1].path.name == "b.jpg"
    assert [each.path.name for each in found] == [each.path.name for each in found[:]] == ["a.jpg", "b.jpg"]
    assert repr(found) == "Matches('a cat', 2 photos, best 0.312 'a.jpg')"
    assert repr(Matches("x", "builtin", ())) == "Matches('x', 0 photos)"


def test_json_shape() -> None:
    found = json.loads(json.dumps(Matches("a cat", "builtin", (match("a.jpg", 0.31234567),)).to_dict()))
    assert list(found) == ["query", "model", "matches"]
    assert found["matches"] == [
        {
            "path": "/photos/a.jpg",
            "score": 0.312346,
            "id": 7,
            "width": 640,
            "height": 480,
            "taken": "2024-05-01T12:00:00",
            "taken_source": "exif",
        }
    ]


def test_copies_are_listed_where_there_are_any() -> None:
    found = replace(match("a.jpg", 0.3), copies=(Path("/photos/b.jpg"), Path("/photos/c.jpg")))
    assert found.to_dict() == match("a.jpg", 0.3).to_dict() | {"copies": ["/photos/b.jpg", "/photos/c.jpg"]}


def test_a_slice_of_matches_is_matches() -> None:
    found = Matches("a cat", "builtin", tuple(match(f"{n}.jpg", 0.5) for n in range(5)), ("a note",))
    assert found[1:3] == Matches("a cat", "builtin", found.matches[1:3], ("a note",))


def test_the_photo_is_opened_upright(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(turned("JPEG", 6))
    found = Match(tmp_path / "a.jpg", 0.5, 1, None, None, None, None, 1, True)
    assert (found.image.mode, corners(found.image)) == ("RGB", "RGBY")
    (tmp_path / "a.jpg").unlink()
    with pytest.raises(PhotoError, match=r"^can't open .*a\.jpg: can't be read: No such file or directory$"):
        _ = found.image


def test_matches_as_a_data_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pandas")
    found = Matches("a cat", "builtin", (match("a.jpg", 0.3), match("b.jpg", 0.2)))
    frame = found.to_dataframe()
    assert frame.to_dict("records") == found.to_dicts()
    assert list(Matches("x", "builtin", ()).to_dataframe().columns) == list(frame.columns)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(
        LibraryError,
        match=r"^data frames need pandas: pip install '\.\[notebook\]' in",
    ):
        found.to_dataframe()


def test_classification_as_a_data_frame(library: Library, photos: Path) -> None:
    pytest.importorskip("pandas")
    library.index(photos)
    labels = ["path", "rocket", "a, b"]
    frame = library.classify(labels, photos).to_dataframe()
    expected = list(library.classify(labels, photos))
    assert list(frame.columns) == ["path", "id", "label", "probability", *labels]
    assert frame.iloc[:, :3].values.tolist() == [[str(each.path), each.id, each.label] for each in expected]
    np.testing.assert_allclose(frame.iloc[:, 4:], [each.probabilities for each in expected], atol=1e-6)
    empty = library.classify(labels, []).to_dataframe()
    assert (list(empty.columns), len(empty)) == (list(frame.columns), 0)


def test_vectors_of_missing_photos_are_left_out(library: Library, photos: Path) -> None:
    (photos / "more").mkdir()
    (photos / "cat.png").rename(photos / "more" / "cat.png")
    assert [part.shape if isinstance(part, np.ndarray) else part for part in library.vectors()] == [
        (),
        (0, 32),
    ]
    library.index(photos)
    paths, vectors = library.vectors()
    assert len(paths) == len(library) and vectors.shape == (len(library), 32) and vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=2e-3)
    (chunk,) = library.embed(paths)
    np.testing.assert_array_equal(chunk.vectors, vectors)
    assert library.vectors(photos / "more")[0] == (photos / "more" / "cat.png",)
    (photos / "more" / "cat.png").unlink()
    library.index()
    assert set(library.vectors()[0]) == set(paths) - {photos / "more" / "cat.png"}
    with pytest.raises(LibraryError, match="has not been indexed"):
        library.vectors("/nowhere")
