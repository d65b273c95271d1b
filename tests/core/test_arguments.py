"""Arguments of Python callers."""

from pathlib import Path
from typing import Any

import pytest

from clipsight.core.arguments import texts, whole_number
from clipsight.core.errors import LabelError, QueryError


@pytest.mark.parametrize(
    ("value", "items"),
    [("cat,dog", ("cat,dog",)), (["a", "b"], ("a", "b")), ((), ()), (iter("ab"), ("a", "b")), ("", ("",))],
)
def test_one_text_is_one_item(value: Any, items: tuple[str, ...]) -> None:
    assert texts(value, "labels") == items


def test_paths() -> None:
    assert texts(Path("a"), "folders", paths=True) == (Path("a"),)
    assert texts(["a", Path("b")], "folders", paths=True) == ("a", Path("b"))


@pytest.mark.parametrize("value", ["", [""], ["a", ""]])
def test_an_empty_path_is_not_the_current_folder(value: Any) -> None:
    with pytest.raises(QueryError, match="`folders` has an empty path"):
        texts(value, "folders", paths=True)


@pytest.mark.parametrize("value", [3, None, [3], [b"cat"], Path("a")])
def test_what_is_no_text_is_refused(value: Any) -> None:
    with pytest.raises(LabelError, match="`labels` takes texts, not"):
        texts(value, "labels", error=LabelError)


@pytest.mark.parametrize("value", [None, 0, 5, 2**63 - 1])
def test_whole_numbers(value: int | None) -> None:
    assert whole_number(value, "top") == value


@pytest.mark.parametrize("value", [-1, 2**63, "1k", 1.0, True])
def test_what_is_no_whole_number_of_64_bits_is_refused(value: Any) -> None:
    with pytest.raises(QueryError, match="`top` "):
        whole_number(value, "top")
