"""Ranking by words that were read, against edit distances computed in full."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipsight.core.text import TextLine
from clipsight.search.text_ranking import (
    MAX_PHRASE,
    Fit,
    Phrase,
    allowed_errors,
    errors_in,
    found_lines,
    rank_texts,
)
from clipsight.store.catalog import Catalog
from clipsight.store.records import PhotoInfo
from clipsight.store.text_index import put_text
from tests.support.catalogs import stat_of
from tests.support.properties import examples


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    opened = Catalog(tmp_path / "library")
    yield opened
    opened.close()


def line(text: str) -> TextLine:
    return TextLine(text, 0.9, 0, 0, 1, 1)


def read(catalog: Catalog, *texts: str) -> list[str]:
    """Store photos with these texts, whose lines end in "/"; return the texts."""
    for number, text in enumerate(texts):
        catalog.put_photo(stat_of(b"/%d" % number), b"%016d" % number, PhotoInfo())
        put_text(catalog.database, b"%016d" % number, list(map(line, text.split("/"))))
    return list(texts)


def ranked(
    catalog: Catalog, texts: list[str], *phrases: str, loosely: bool = False
) -> list[tuple[str, Fit, int]]:
    """The texts found, best first, with fit and errors."""
    found = rank_texts(catalog, [Phrase.of(each, loosely=loosely) for each in phrases])
    return [(texts[each.text_id - 1], each.fit, each.errors) for each in found]


def edits(one: str, other: str) -> int:
    """Levenshtein distance."""
    row = list(range(len(other) + 1))
    for number, letter in enumerate(one, start=1):
        before, row = row, [number]
        for place, char in enumerate(other):
            row.append(min(before[place] + (letter != char), before[place + 1] + 1, row[place] + 1))
    return row[-1]


@given(st.text("ab", min_size=1, max_size=12), st.text("abc", max_size=14), st.integers(0, 3))
@examples(200)
def test_errors_are_those_of_the_most_similar_part(word: str, text: str, most: int) -> None:
    parts = {text[start:end] for start in range(len(text) + 1) for end in range(start, len(text) + 1)}
    least = min(edits(word, part) for part in parts)
    found = errors_in(word, text, most)
    assert (found and found[0]) == (least if least <= most else None)
    if found is not None:
        ends = range(max(0, found[1] - len(word) - most), found[1] + 1)
        assert min(edits(word, text[start : found[1]]) for start in ends) == least


def test_one_letter_in_eight_may_be_wrong() -> None:
    assert [allowed_errors("a" * length) for length in (1, 7, 8, 15, 16, 24)] == [0, 0, 1, 1, 2, 3]


def test_phrases_come_first_then_fewer_errors_then_shorter_texts(catalog: Catalog) -> None:
    texts = read(
        catalog,
        "the PROFESSIONAL keyboard",
        "keyboard, professional",
        "profes5ional keyboard",
        "a keyboard",
        "PROFESSIONAL/KEYBOARD",
        "UNPROFESSIONALKEYBOARDS",
        "pr0fes5ional keyboard",
        "pr0fes5i0nal keyb0ard",
    )
    assert ranked(catalog, texts, "professional keyboard") == [
        (texts[4], Fit.WHOLE, 0),
        (texts[0], Fit.WHOLE, 0),
        (texts[5], Fit.INSIDE, 0),
        (texts[2], Fit.SIMILAR, 1),
        (texts[6], Fit.SIMILAR, 2),
        (texts[1], Fit.WORDS, 0),
    ]


def test_spaces_width_case_and_accents_do_not_matter(catalog: Catalog) -> None:
    texts = read(catalog, "AKAI MPK", "a ka impk", "Ｃａｆé　ＮＯＩＲ", "東京 駅/出口")
    assert [each[0] for each in ranked(catalog, texts, "ａｋａｉ mpk")] == texts[:2]
    assert [each[0] for each in ranked(catalog, texts, "cafenoir")] == [texts[2]]
    for query in ("駅", "東", "京駅", "東京駅", "駅出口", "出 口"):
        assert [each[0] for each in ranked(catalog, texts, query)] == [texts[3]]


def test_short_words_are_not_looked_for_inside_others(catalog: Catalog) -> None:
    texts = read(catalog, "LOCATION", "a cat", "NOPARKING", "no parking", "go")
    assert [each[0] for each in ranked(catalog, texts, "cat")] == ["a cat"]
    assert [each[0] for each in ranked(catalog, texts, "cat", loosely=True)] == ["a cat", "LOCATION"]
    assert [each[0] for each in ranked(catalog, texts, "parking")] == ["no parking", "NOPARKING"]
    assert [each[0] for each in ranked(catalog, texts, "no parking")] == ["no parking", "NOPARKING"]
    assert [each[0] for each in ranked(catalog, texts, "go", loosely=True)] == ["go"]
    assert ranked(catalog, texts, "o", loosely=True) == []


def test_all_phrases_must_be_there(catalog: Catalog) -> None:
    texts = read(catalog, "red bull", "red", "bull energy, red drink")
    assert [each[0] for each in ranked(catalog, texts, "bull", "red")] == [texts[0], texts[2]]
    assert ranked(catalog, texts, "red", "horse") == []


def test_queries_without_letters_or_with_too_many_find_nothing(catalog: Catalog) -> None:
    texts = read(catalog, "akai " * 100)
    assert ranked(catalog, texts, "") == ranked(catalog, texts, "?!") == []
    assert ranked(catalog, texts, "akai " * 100_000) == []
    assert Phrase.of("akai " * 100_000).is_too_long and not Phrase.of("a" * MAX_PHRASE).is_too_long


def test_lines_with_the_words(catalog: Catalog) -> None:
    lines = list(map(line, ["AKAI pro", "fessional", "MPK mini", "no.1 akai", "profess1onal"]))

    def found(text: str) -> list[str]:
        return [each.text for each in found_lines(lines, [Phrase.of(text, loosely=True)])]

    assert found("akai") == ["AKAI pro", "no.1 akai"]
    assert found("mpkmini") == ["MPK mini"]
    assert found("pro fessional mpk") == ["AKAI pro", "fessional", "MPK mini"]
    assert found("mini akai") == ["AKAI pro", "MPK mini", "no.1 akai"]
    assert found("professional") == ["profess1onal"]
    assert found("yamaha") == []
