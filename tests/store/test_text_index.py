"""Text of photos in the catalog, and the index of its trigrams."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from clipsight.core.text import TextLine
from clipsight.store.catalog import CATALOG_NAME, Catalog
from clipsight.store.records import PhotoInfo, State
from clipsight.store.text_index import (
    MAX_LETTERS,
    MAX_LINES,
    TextFailure,
    candidates,
    count_texts,
    drop_text_failures,
    fold,
    has_text,
    list_unread,
    next_unread,
    photos_of_texts,
    put_text,
    put_text_failure,
    text_of,
    vectors_of_texts,
    was_read,
)
from tests.support.catalogs import some_model, stat_of, unit_vectors


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    opened = Catalog(tmp_path / "library")
    yield opened
    opened.close()


def line(text: str) -> TextLine:
    return TextLine(text, 0.9, 0.1, 0.2, 0.3, 0.4)


def add(catalog: Catalog, name: bytes, content: bytes, taken: str | None = None) -> int:
    return catalog.put_photo(
        stat_of(b"/p/" + name), content * 16, PhotoInfo(taken=taken, taken_source="exif")
    )


def found(catalog: Catalog, *parts: str) -> list[str]:
    return [text.words for text in candidates(catalog.database, [[part] for part in parts])]


def unread(catalog: Catalog, folder: bytes = b"/p") -> list[bytes]:
    count = list_unread(catalog.database, folder)
    photos = next_unread(catalog.database, 0, 100)
    assert len(photos) == count
    return [photo.path for photo in photos]


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("Akai  MPK-mini", "akai mpk mini"),
        ("ＡＫＡＩ　１２", "akai 12"),
        ("東京駅 出口", "東京駅 出口"),
        ("Straße Café", "strasse cafe"),
        ("ｶﾞｷﾞ ガギ", "ガギ ガギ"),
        ("हिन्दी", "हिन्दी"),
        ("한국어", "한국어"),
        ("!? …\n\x1b[31m", "31m"),
        ("", ""),
    ],
)
def test_texts_are_compared_without_marks_accents_case_and_width(text: str, folded: str) -> None:
    assert fold(text) == folded == fold(folded)


def test_lines_are_kept_with_their_boxes(catalog: Catalog) -> None:
    photo = add(catalog, b"1", b"x")
    put_text(catalog.database, b"x" * 16, [line("AKAI"), line("MPK  mini\x1b[31m\ud800")])
    assert text_of(catalog.database, photo) == (line("AKAI"), line("MPK mini\\x1b[31m\\ud800"))
    put_text(catalog.database, b"x" * 16, [line("...")])
    assert text_of(catalog.database, photo) == ()
    assert found(catalog, "akai") == [] and was_read(catalog.database) and not has_text(catalog.database)


def test_parts_are_found_across_lines_inside_words_and_without_spaces(catalog: Catalog) -> None:
    for name, text in (
        (b"1", ["AKAI pro", "fessional"]),
        (b"2", ["東京 駅", "出口"]),
        (b"3", []),
        (b"4", ["no"]),
    ):
        add(catalog, name, name)
        put_text(catalog.database, name * 16, list(map(line, text)))
    keys, station = "akai pro\nfessional", "東京 駅\n出口"
    assert found(catalog, "professional") == found(catalog, "ipr", "sional") == [keys]
    assert found(catalog, "駅出口") == found(catalog, "京駅") == found(catalog, "口") == [station]
    assert found(catalog, " akai ") == found(catalog, " pro ") == [keys]
    assert found(catalog, " aka ") == found(catalog, " profes ") == found(catalog, "xyz") == []
    assert found(catalog, " no ") == ["no"]
    both = candidates(catalog.database, [["xyz", "akai"], ["pro", "q"]])
    assert [text.words for text in both] == [keys]


def test_text_belongs_to_content_and_goes_with_the_last_photo_of_it(catalog: Catalog) -> None:
    photo, copy = add(catalog, b"1", b"x"), add(catalog, b"2", b"x")
    put_text(catalog.database, b"x" * 16, [line("akai")])
    assert text_of(catalog.database, photo) == text_of(catalog.database, copy) == (line("akai"),)
    model = some_model(catalog, 3)
    (vector,) = unit_vectors(1, 3)
    catalog.put_vector(photo, model, vector)
    assert vectors_of_texts(catalog.database, model, [1]) == {1: 1}
    assert photos_of_texts(catalog.database, [1]) == {photo, copy}
    assert unread(catalog) == []
    add(catalog, b"1", b"y")
    assert unread(catalog) == [b"/p/1"] and text_of(catalog.database, photo) == ()
    assert found(catalog, "akai") == ["akai"]
    catalog.put_failure(stat_of(b"/p/2"), "cut short")
    assert found(catalog, "akai") == [] and not has_text(catalog.database)
    put_text(catalog.database, b"y" * 16, [line("mpk")])
    add(catalog, b"1", b"z")
    assert not was_read(catalog.database)
    put_text(catalog.database, b"y" * 16, [line("late")])  # the content changed while it was read
    assert not was_read(catalog.database)
    put_text(catalog.database, b"z" * 16, [line("last")])
    catalog.forget(b"/p")
    assert not was_read(catalog.database)
    with closing(sqlite3.connect(catalog.database.path.with_name(CATALOG_NAME))) as connection:
        connection.execute("INSERT INTO text_index (text_index) VALUES ('integrity-check')")


def test_photos_are_to_be_read_newest_first_in_their_folder(catalog: Catalog) -> None:
    add(catalog, b"old", b"x", "2001-01-01T00:00:00")
    add(catalog, b"new", b"y", "2024-01-01T00:00:00")
    add(catalog, b"copy of new", b"y", "2024-01-01T00:00:00")
    add(catalog, b"undated", b"z")
    gone = add(catalog, b"gone", b"w")
    catalog.set_state([gone], State.MISSING)
    imported = catalog.put_photo(stat_of(b"/p/imported"), None, PhotoInfo())
    assert imported and unread(catalog) == [b"/p/copy of new", b"/p/new", b"/p/old", b"/p/undated"]
    assert unread(catalog, b"/other") == []
    list_unread(catalog.database, b"/p")
    put_text(catalog.database, b"y" * 16, [line("akai")])
    assert [photo.path for photo in next_unread(catalog.database, 0, 1)] == [b"/p/old"]
    counts = count_texts(catalog.database, [b"/p"])
    assert (counts.read, counts.with_text, counts.to_read, counts.failures) == (2, 2, 2, ())


def test_failures_are_kept_until_they_are_to_be_tried_again(catalog: Catalog) -> None:
    add(catalog, b"1", b"x")
    put_text_failure(catalog.database, b"x" * 16, "the reader failed")
    counts = count_texts(catalog.database, [b"/p"])
    assert (counts.read, counts.to_read) == (0, 0) and not was_read(catalog.database)
    assert counts.failures == (TextFailure(b"/p/1", "the reader failed"),)
    drop_text_failures(catalog.database, b"/other")
    assert unread(catalog) == []
    drop_text_failures(catalog.database, b"/p")
    assert unread(catalog) == [b"/p/1"]


def test_what_is_kept_of_a_photo_is_bounded(catalog: Catalog) -> None:
    photo = add(catalog, b"1", b"x")
    put_text(catalog.database, b"x" * 16, [line("word " * 100_000)])
    ((text,),) = [candidates(catalog.database, [["ordwor"]])]
    assert len(text.words) == MAX_LETTERS
    put_text(catalog.database, b"x" * 16, [line(f"w{number}") for number in range(10_000)])
    assert len(text_of(catalog.database, photo)) == MAX_LINES
    assert candidates(catalog.database, [["q" * 1000]]) == []
