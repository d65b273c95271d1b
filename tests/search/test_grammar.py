"""The grammar: the weights of a text's summands, without access to files."""

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipsight.core.errors import QueryError
from clipsight.search.grammar import (
    looks_weighted,
    split_summands,
    split_weight,
    strip_incomplete,
    with_weight,
)

WORDS = st.text(st.sampled_from("ab:12 /-+."), min_size=1).map(str.strip).filter(bool)
WEIGHTS = st.floats(-9, 9).map(lambda weight: round(weight, 3)).filter(bool)


def joins(text: str) -> bool:
    """True if the text has an operator, or a sign before a word."""
    return any(re.match(r"[+-](?:$|(?:\d*\.?\d+:)?[^\W\d_])", word) for word in text.split())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("two dogs", [(1, "two dogs")]),
        ("flower + 2:bee - cartoon", [(1, "flower "), (1, " 2:bee "), (-1, " cartoon")]),
        ("- cat", [(-1, " cat")]),
        ("x-ray+photo", [(1, "x-ray+photo")]),
        ("+ +", [(1, " "), (1, "")]),
        ("  ", []),
        ("animal -cat", [(1, "animal"), (-1, "cat")]),
        ("-cat", [(-1, "cat")]),
        ("a -cat on grass +dog", [(1, "a on grass"), (-1, "cat"), (1, "dog")]),
        ("bee - x -y", [(1, "bee "), (-1, "x"), (-1, "y")]),
        ("動物 -貓", [(1, "動物"), (-1, "貓")]),
        ("animal -2:cat", [(1, "animal"), (-1, "2:cat")]),
        ("winter -5 degrees", [(1, "winter -5 degrees")]),
        ("./a -b.jpg + dog", [(1, "./a -b.jpg "), (1, " dog")]),
    ],
)
def test_signs_join_only_with_white_space_on_both_sides(text: str, expected: list[tuple[float, str]]) -> None:
    assert split_summands(text) == expected


@pytest.mark.parametrize(
    ("piece", "expected"),
    [
        (" bee ", (1, "bee")),
        ("2:bee", (2, "bee")),
        ("-.5: bee", (-0.5, "bee")),
        ("1:a:b", (1, "a:b")),
        ("16:9", (1, "16:9")),
        ("12:30 clock", (1, "12:30 clock")),
        ("10:30", (1, "10:30")),
        ("1:10:30 train", (1, "10:30 train")),
        ("2: 10:30 train", (2, "10:30 train")),
        ("Title: bees", (1, "Title: bees")),
        ("https://a.b/c", (1, "https://a.b/c")),
    ],
)
def test_a_number_before_a_colon_is_a_weight(piece: str, expected: tuple[float, str]) -> None:
    assert split_weight(piece) == expected


def test_a_name_may_have_a_colon() -> None:
    with pytest.raises(QueryError, match="1:c:/x"):
        split_weight("c:/x")
    assert split_weight("c:/x", lambda value: value == "c:/x") == (1, "c:/x")
    assert split_weight("2:c", lambda value: value == "2:c") == (1, "2:c")


@pytest.mark.parametrize("piece", ["", " ", "2:", "2: ", "two:bee", "nan:bee", "inf:bee"])
def test_invalid_weights_and_empty_parts_are_refused(piece: str) -> None:
    with pytest.raises(QueryError):
        split_weight(piece)


@given(WORDS, WEIGHTS)
def test_words_with_a_weight_round_trip(words: str, weight: float) -> None:
    if not joins(words):
        written = with_weight(abs(weight), words)
        (sign, piece), *more = split_summands(f"- {written}" if weight < 0 else written)
        assert not more
        value, text = split_weight(piece)
        assert (sign * value, text) == (weight, words)


@given(WORDS)
def test_words_that_need_no_weight_are_unchanged(words: str) -> None:
    if not looks_weighted(words):
        assert split_weight(words) == (1.0, words)


@given(st.text())
def test_any_text_is_read_or_refused_in_one_line(text: str) -> None:
    for _, piece in split_summands(text):
        try:
            weight, words = split_weight(piece)
        except QueryError:
            continue
        assert math.isfinite(weight) and words == words.strip() != ""


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("dog +", "dog"),
        ("dog + ", "dog"),
        ("dog - 2:", "dog"),
        ("2:", ""),
        ("-", ""),
        ("dog", "dog"),
        ("16:9", "16:9"),
    ],
)
def test_incomplete_ends_are_removed(text: str, rest: str) -> None:
    assert strip_incomplete(text) == rest
