"""Arguments of Python callers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from clipsight import Library
from clipsight.core.arguments import number, texts, whole_number
from clipsight.core.errors import ClipsightError, LabelError, QueryError
from clipsight.encoder import Encoder
from clipsight.explain.base import Settings
from clipsight.organize.organizer import organize
from clipsight.probe.logistic import check_alpha
from clipsight.render.contact_sheet import write_contact_sheet
from clipsight.search.query import Kind, Part
from clipsight.search.results import Matches


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
def test_other_types_than_text_are_refused(value: Any) -> None:
    with pytest.raises(LabelError, match="`labels` takes texts, not"):
        texts(value, "labels", error=LabelError)


@pytest.mark.parametrize("value", [None, 0, 5, 2**63 - 1])
def test_whole_numbers(value: int | None) -> None:
    assert whole_number(value, "top") == value


@pytest.mark.parametrize("value", [-1, 2**63, "1k", 1.0, True])
def test_other_values_than_whole_numbers_of_64_bits_are_refused(value: Any) -> None:
    with pytest.raises(QueryError, match="`top` "):
        whole_number(value, "top")


@pytest.mark.parametrize("value", [0, -3, True, 1.5, float("nan"), "7", 2**63])
def test_whole_numbers_have_a_minimum(value: Any) -> None:
    with pytest.raises(QueryError, match="`top` "):
        whole_number(value, "top", minimum=1)
    with pytest.raises(QueryError, match="`top` takes a whole number, not None"):
        whole_number(None, "top", required=True)
    assert whole_number(1, "top", minimum=1, required=True) == 1


@pytest.mark.parametrize("value", [0, 0.5, -1, np.float32(0.25), np.float64(1)])
def test_finite_numbers(value: Any) -> None:
    number(value, "min_score", minimum=-1, maximum=1)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), True, "1", None, 1j, 1.5])
def test_other_values_than_finite_numbers_are_refused(value: Any) -> None:
    with pytest.raises(QueryError, match="`min_score` ") as caught:
        number(value, "min_score", maximum=1)
    assert "\n" not in str(caught.value)


NAN, INF = float("nan"), float("inf")

CALLS: dict[str, Callable[[Library, Path, Any], Any]] = {
    "top": lambda library, path, value: library.search("cat", value),
    "offset": lambda library, path, value: library.search("cat", offset=value),
    "min_score": lambda library, path, value: library.search("cat", min_score=value),
    "max_pixels": lambda library, path, value: library.index(path, max_pixels=value),
    "threads": lambda library, path, value: Library(path / "library", threads=value),
    "top of match": lambda library, path, value: library.match(path / "a.jpg", path / "texts.txt", value),
    "photos": lambda library, path, value: Library.check(library.path, photos=value),
    "threads of an encoder": lambda library, path, value: Encoder(library.encoder.folder, threads=value),
    "cost": lambda library, path, value: Settings(cost=value),
    "seed": lambda library, path, value: Settings(seed=value),
    "columns": lambda library, path, value: write_contact_sheet(
        Matches("x", "m", ()), path / "sheet.png", columns=value
    ),
    "min_probability": lambda library, path, value: organize([], path / "out", min_probability=value),
    "alpha": lambda library, path, value: check_alpha(value),
    "weight": lambda library, path, value: Part(Kind.TEXT, "cat", value),
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("value", [NAN, INF, -INF, True, "1k"], ids=str)
def test_numbers_of_public_calls_are_checked(name: str, value: Any, library: Library, tmp_path: Path) -> None:
    (tmp_path / "texts.txt").write_text("a cat\n")
    Image.new("RGB", (9, 9)).save(tmp_path / "a.jpg")
    with pytest.raises(ClipsightError) as caught:
        CALLS[name](library, tmp_path, value)
    assert f"`{name.split()[0]}`" in str(caught.value) and "\n" not in str(caught.value)
    assert library.status().folders == ()  # nothing was begun
