"""Tables of text: alignment, wrapping at spaces, and a last column that is never wrapped."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipsight.render.columns import Cell, Column, basic, cell_width, fold, format_table, plain

PHOTOS = [Column("score", right=True), Column("size", right=True), Column("photo")]


def table(*lines: str) -> str:
    return "".join(f"{line}\n" for line in lines)


def test_columns_are_as_wide_as_their_texts() -> None:
    rows = [("0.5", "640 x 427", "a.jpg"), ("0.25", "", "日本/猫.jpg"), ("-1", "1 x 1", "")]
    assert format_table(PHOTOS, rows, width=80) == table(
        "score       size  photo",
        "  0.5  640 x 427  a.jpg",
        " 0.25             日本/猫.jpg",
        "   -1      1 x 1",
    )


def test_wide_letters_take_two_cells_and_accents_none() -> None:
    assert [cell_width(text) for text in ("cat", "猫", "é", "e\u0301", "ｶ", "🌹", "👍🏽")] == [
        3,
        2,
        1,
        1,
        1,
        2,
        4,
    ]
    columns = [Column("label"), Column("n", right=True)]
    assert format_table(columns, [("猫", "1"), ("a cat", "22")], width=80) == table(
        "label   n", "猫      1", "a cat  22"
    )


def test_a_path_without_room_has_a_line_of_its_own() -> None:
    rows = [("0.5", "640 x 427", "short.jpg"), ("0.4", "640 x 427", "holidays/a long way from home.jpg")]
    assert format_table(PHOTOS, rows, width=40) == table(
        "score       size  photo",
        "  0.5  640 x 427  short.jpg",
        "  0.4  640 x 427",
        "    holidays/a long way from home.jpg",
    )


def test_columns_with_fold_are_wrapped_at_spaces() -> None:
    columns = [Column("score", right=True), Column("text", fold=True)]
    rows = [("0.5", "two dogs on the beach"), ("0.4", "a cat")]
    assert format_table(columns, rows, width=20) == table(
        "score  text",
        "  0.5  two dogs on",
        "       the beach",
        "  0.4  a cat",
    )


def test_headings_are_aligned_at_the_bottom() -> None:
    columns = [Column(name, right=True, fold=True) for name in ("a cat on a table", "dog")]
    rows = [("0.98*", "0.02", "cat.jpg")]
    assert format_table([*columns, Column("photo")], rows, width=23) == table(
        "a cat on",
        " a table   dog  photo",
        "   0.98*  0.02  cat.jpg",
    )


def test_empty_headings_print_no_line() -> None:
    columns = [Column(""), Column("")]
    assert format_table(columns, [("model", "tiny"), ("on disk", "1 MB")], width=80) == table(
        "model    tiny", "on disk  1 MB"
    )
    assert format_table(columns, [], width=80) == ""
    assert format_table(PHOTOS, [], width=80) == "score  size  photo\n"


def test_a_cell_with_more_lines() -> None:
    rows = [("0.5", "1 x 1", Cell("a.jpg", more=("  not an image",)))]
    assert format_table(PHOTOS, rows, width=80) == table(
        "score   size  photo", "  0.5  1 x 1  a.jpg", "                not an image"
    )


def test_styles_do_not_count_as_text() -> None:
    rows = [("0.5", "1 x 1", Cell("a.jpg", "dim")), ("0.25", "1 x 1", Cell("b.jpg", "black on yellow"))]
    painted = format_table(PHOTOS, rows, width=80, paint=basic)
    assert painted.splitlines()[0] == "\33[1mscore\33[0m  \33[1m size\33[0m  \33[1mphoto\33[0m"
    assert painted.splitlines()[1] == "  0.5  1 x 1  \33[2ma.jpg\33[0m"
    assert re.sub(r"\x1b\[\d*m", "", painted) == format_table(PHOTOS, rows, width=80, paint=plain)


def test_control_characters_are_escaped() -> None:
    rows = [("0", "1", "x\n\33[2J\udce9.jpg")]
    assert format_table(PHOTOS, rows, width=80).splitlines()[1] == "    0     1  x\\n\\x1b[2J\\xe9.jpg"


@given(
    st.lists(st.tuples(st.text(), st.text("ab/.猫é", min_size=1, max_size=120)), max_size=5),
    st.integers(60, 200),
)
def test_paths_are_never_wrapped_and_everything_else_fits(rows: list[tuple[str, str]], width: int) -> None:
    lines = format_table([Column("label", fold=True), Column("path")], rows, width=width).splitlines()
    for _, path in rows:
        assert any(line.endswith(path) for line in lines)
    for line in lines:
        assert cell_width(line) <= width or line.strip() in {path for _, path in rows}


@given(st.text("ab cd猫", max_size=80), st.integers(2, 30))
def test_folding_keeps_every_letter(text: str, width: int) -> None:
    lines = fold(text, width)
    assert all(cell_width(line) <= width for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")


@pytest.mark.parametrize(
    ("text", "lines"), [("", [""]), ("  a", ["  a"]), ("a  b c", ["a b", "c"]), ("abcde", ["abc", "de"])]
)
def test_folding_joins_words_with_single_spaces(text: str, lines: list[str]) -> None:
    assert fold(text, 3) == lines
