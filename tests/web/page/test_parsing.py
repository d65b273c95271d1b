import base64
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("gradio", reason="the page needs clipsight[web]")

from clipsight.core.errors import QueryError
from clipsight.web.page.parsing import (
    QueryInput,
    event_data,
    parse_json,
    parse_photo_id,
    parse_pictures,
    parse_text,
)
from clipsight.web.service.query_parts import PhotoPart, TextPart, UploadPart

pytestmark = pytest.mark.slow  # importing Gradio takes seconds

JPEG = "data:image/jpeg;base64," + base64.b64encode(b"\xff\xd8").decode()


def box(text: str = "", *pictures: dict[str, Any]) -> str:
    return json.dumps({"text": text, "pictures": pictures})


def test_words_and_pictures_are_parts_in_order() -> None:
    query = QueryInput.parse(
        box(
            "flower + 2:bee - cartoon",
            {"key": "a", "name": "a.jpg", "data": JPEG, "weight": -0.5},
            {"key": "b", "id": 7, "name": "b.jpg"},
        )
    )
    assert query.parts == (
        TextPart("flower"),
        TextPart("bee", 2.0),
        TextPart("cartoon", -1.0),
        UploadPart(b"\xff\xd8", "a.jpg", -0.5),
        PhotoPart(7),
    )


@pytest.mark.parametrize("empty", [None, "", box(), box("  ")])
def test_an_empty_box_has_no_parts(empty: str | None) -> None:
    assert QueryInput.parse(empty).parts == ()


@pytest.mark.parametrize("text", ["/etc/passwd", "~/.ssh/id_rsa", "./photo.jpg"])
def test_a_path_in_the_box_is_only_text(text: str) -> None:
    assert QueryInput.parse(box(text)).parts == (TextPart(text),)


def test_the_file_system_is_not_accessed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def touched(self: Path, *_: object, **__: object) -> bool:
        raise AssertionError(f"accessed {self}")

    monkeypatch.setattr(Path, "is_file", touched)
    monkeypatch.setattr(Path, "stat", touched)
    assert len(QueryInput.parse(box(f"1:a: {tmp_path} + {tmp_path}")).parts) == 2


@pytest.mark.parametrize(
    "wrong",
    [
        "{",
        "[]",
        "7",
        "[" * 100_000,
        '{"text": 7, "pictures": []}',
        '{"text": "", "pictures": {}}',
        '{"text": "", "pictures": ["/etc/passwd"]}',
        box("", {"key": "a", "data": "/etc/passwd", "name": "x"}),
        box("", {"key": "a", "data": "file:///etc/passwd", "name": "x"}),
        box("", {"key": "a", "data": "data:;base64,%%%", "name": "x"}),
        box("", {"key": "a", "id": "7", "name": "x"}),
        box("", {"key": "a", "id": True, "name": "x"}),
        box("", {"key": "a", "id": -1, "name": "x"}),
        box("", {"key": "a", "id": 1 << 64, "name": "x"}),
        box("", {"key": "a", "id": 1, "weight": float("nan")}),
        box("", {"key": "a", "id": 1, "weight": "2"}),
        box("", {"key": ["a"], "id": 1}),
        box("bee + + cartoon"),
    ],
)
def test_values_that_the_page_never_sends_are_refused(wrong: str) -> None:
    with pytest.raises(QueryError):
        _ = QueryInput.parse(wrong).parts


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["text", "pictures", "key", "name", "data", "id", "weight", "rows", "kind"]),
            inner,
        )
    ),
    max_leaves=12,
)


@given(ANYTHING)
def test_any_other_json_is_refused(value: Any) -> None:
    calls: list[Callable[[], object]] = [
        lambda: QueryInput.parse(json.dumps(value)).parts,
        lambda: QueryInput.parse(value).parts,
        lambda: QueryInput.parse(json.dumps({"text": "", "pictures": value})).parts,
        lambda: parse_pictures(value),
        lambda: parse_photo_id(event_data(SimpleNamespace(_data=value))),
        lambda: parse_json(value),
        lambda: parse_text(value),
    ]
    for call in calls:
        try:
            call()
        except QueryError as error:
            assert "\n" not in str(error)
