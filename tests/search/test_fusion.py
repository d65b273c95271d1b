"""Searches that also rank by text that was read, stored here by hand."""

from pathlib import Path

import numpy as np
import pytest

from clipsight import Library
from clipsight.core.errors import LibraryError, QueryError
from clipsight.core.text import TextLine
from clipsight.render.tables import Format, matches_as_text
from clipsight.search.fusion import _fused
from clipsight.search.results import Matches
from clipsight.search.text_ranking import Fit, TextMatch
from clipsight.store.records import EmbeddedPhoto, PhotoInfo, State
from clipsight.store.text_index import put_text
from clipsight.store.vectors.rerank import ScoredPhoto


def line(text: str) -> TextLine:
    return TextLine(text, 0.9, 0.1, 0.2, 0.3, 0.4)


@pytest.fixture
def indexed(library: Library, photos: Path) -> Library:
    """The sample photos, of which two have text."""
    library.index(photos)
    read(library, photos / "cat.png", "AKAI MPK", "mini")
    read(library, photos / "flower.jpg", "the MPK of akai", "sale")
    for name in ("coffee.png", "rocket.jpg"):
        read(library, photos / name)
    return library


def read(library: Library, photo: Path, *lines: str) -> None:
    catalog = library._connection.catalog
    content = catalog.database.value("SELECT hash FROM photos WHERE name = ?", (photo.name.encode(),))
    put_text(catalog.database, content, list(map(line, lines)))


def names(library: Library, query: str, **options: object) -> list[str]:
    return [match.path.name for match in library.search(query, 20, **options)]  # type: ignore[arg-type]


def scores_of(found: Matches) -> dict[Path, float]:
    return {match.path: match.score for match in found}


@pytest.mark.slow
def test_photos_with_the_words_come_first_and_show_them(indexed: Library) -> None:
    found = indexed.search("akai mpk", 20)
    assert [match.path.name for match in found][:2] == ["cat.png", "flower.jpg"]
    assert [match.text for match in found][:3] == [("AKAI MPK",), ("the MPK of akai",), ()]
    assert len(found) == len(indexed)
    vectors = indexed.search("akai mpk", 20, text=False)
    assert scores_of(vectors) == pytest.approx(scores_of(found), abs=1e-4)
    assert not any(match.text for match in vectors)
    assert [m.path for m in vectors] == [m.path for m in sorted(vectors, key=lambda m: (-m.score, m.path))]
    rest = [match.path for match in found if not match.text]
    assert rest == [match.path for match in vectors if match.path in rest]


@pytest.mark.slow
def test_pages_of_a_fused_result_are_parts_of_the_whole(indexed: Library) -> None:
    whole = [match.path for match in indexed.search("akai mpk", 20)]
    pages = [match.path for start in range(0, 20, 3) for match in indexed.search("akai mpk", 3, offset=start)]
    assert pages == whole


@pytest.mark.slow
def test_text_only(indexed: Library, photos: Path) -> None:
    assert names(indexed, "akai mpk", text_only=True) == ["cat.png", "flower.jpg"]
    assert names(indexed, "mini", text_only=True) == ["cat.png"]
    assert names(indexed, "yamaha", text_only=True) == []
    assert names(indexed, "akai", text_only=True, folders=[photos]) == ["cat.png", "flower.jpg"]
    with pytest.raises(QueryError, match="compares words"):
        indexed.search(photos / "cat.png", text_only=True)
    with pytest.raises(QueryError, match="exclude each other"):
        indexed.search("akai", text_only=True, text=False)


@pytest.mark.slow
def test_an_exact_phrase_comes_first(indexed: Library, photos: Path) -> None:
    read(indexed, photos / "rocket.jpg", "akaimpk unlimited, a longer text than that of the others, by far")
    found = indexed.search('text:"akai mpk"', 20)
    assert [match.path.name for match in found][:3] == ["cat.png", "rocket.jpg", "flower.jpg"]
    assert str(indexed.search('flower + text:"akai mpk"').query) == 'flower + text:"akai mpk"'
    assert names(indexed, 'a photo of a flower text:"akai mpk"')[:2] in (
        ["cat.png", "rocket.jpg"],
        ["rocket.jpg", "cat.png"],
    )
    alone, words = indexed.search('text:"akai mpk"', 20), indexed.search("akai mpk", 20)
    assert scores_of(alone) == pytest.approx(scores_of(words), abs=1e-4)


@pytest.mark.slow
def test_a_subtracted_text_leaves_photos_out(indexed: Library) -> None:
    every = names(indexed, "flower")
    assert names(indexed, 'flower - text:"sale"') == [name for name in every if name != "flower.jpg"]
    assert names(indexed, "flower -text:sale", text_only=True) == []
    with pytest.raises(QueryError, match="only leaves photos out"):
        indexed.search('- text:"sale"')


@pytest.mark.slow
def test_text_that_was_not_read_can_not_be_asked_for(library: Library, photos: Path) -> None:
    library.index(photos)
    for query, options in (('text:"akai"', {}), ("akai", {"text_only": True}), ('cat - text:"a1"', {})):
        with pytest.raises(LibraryError, match="has not been read: clipsight index --text"):
            library.search(query, **options)  # type: ignore[arg-type]
    read(library, photos / "cat.png")
    assert names(library, "akai", text_only=True) == []
    with pytest.raises(QueryError, match="switches off"):
        library.search('text:"akai"', text=False)


@pytest.mark.slow
def test_queries_of_any_length(indexed: Library) -> None:
    long = "akai " * 100_000
    assert names(indexed, long) == names(indexed, long, text=False)
    for query, options in ((f"text:{long}", {}), (long, {"text_only": True})):
        with pytest.raises(QueryError, match="at most 200 letters"):
            indexed.search(query, **options)  # type: ignore[arg-type]


@pytest.mark.slow
def test_control_characters_of_a_text_are_escaped(indexed: Library, photos: Path) -> None:
    read(indexed, photos / "cat.png", "evil \x1b[31m\x07 text")
    found = indexed.search("evil", text_only=True)
    assert found[0].text == ("evil \\x1b[31m\\x07 text",)
    for form in (Format.JSON, Format.CSV):
        assert "\x1b" not in matches_as_text(found, form)
    assert matches_as_text(found, Format.CSV).splitlines()[0].endswith(",text")


@pytest.mark.slow
def test_copies_share_their_text(indexed: Library, photos: Path) -> None:
    (photos / "copy.png").write_bytes((photos / "cat.png").read_bytes())
    indexed.index(photos)
    (found,) = indexed.search("akai mpk mini", 20, text_only=True)
    assert found.path.name == "cat.png" and [path.name for path in found.copies] == ["copy.png"]
    both = indexed.search("akai mpk mini", 20, text_only=True, duplicates=True)
    assert [match.path.name for match in both] == ["cat.png", "copy.png"]


def scored(name: str) -> ScoredPhoto:
    photo = EmbeddedPhoto(
        ord(name), ord(name), name.encode(), 1, None, State.PRESENT, PhotoInfo(), np.zeros(2, np.float16)
    )
    return ScoredPhoto(0.0, photo)


def fused(by_text: dict[str, Fit], by_vector: str, *, first: bool = False) -> str:
    """Names of the photos, each a letter, of both rankings fused."""
    texts = [(scored(name), TextMatch(fit, 0, 0.0, 1)) for name, fit in by_text.items()]
    hits = _fused(texts, list(map(scored, by_vector)), first=first)
    return "".join(each.photo.path.decode() for each, _ in hits)


def test_ranks_are_fused_by_their_reciprocals() -> None:
    assert fused({}, "abc") == "abc"
    assert fused({"c": Fit.WHOLE}, "abc") == "cab"
    assert fused({"z": Fit.WHOLE}, "abc") == "zabc"  # 1 / 61 both: text first
    assert fused({"c": Fit.WORDS, "b": Fit.WORDS}, "abcd") == "cbad"
    assert fused({"c": Fit.SIMILAR}, "abcd") == "cabd"
    assert fused({"z": Fit.WHOLE, "c": Fit.SIMILAR}, "abcd") == "zabcd"  # a slip of another word, mostly
    assert fused({"z": Fit.WHOLE, "y": Fit.SIMILAR}, "ab") == "zaby"
    assert fused({"b": Fit.WORDS, "z": Fit.INSIDE}, "abc", first=True) == "zbac"
    assert fused({"b": Fit.SIMILAR, "c": Fit.WHOLE}, "abcd", first=True) == "cbad"
