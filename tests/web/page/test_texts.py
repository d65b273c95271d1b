"""The texts of the page: complete in every language, and chosen by the browser's preference."""

import json
import re
from dataclasses import fields
from pathlib import Path

import pytest
from typer.main import get_command

pytest.importorskip("gradio", reason="the page needs clipsight[web]")

from clipsight.cli.app import app
from clipsight.core.errors import (
    BusyError,
    ClipsightError,
    LabelError,
    LibraryError,
    ModelError,
    NoModelError,
    NotFoundError,
    PhotoError,
    QueryError,
    UploadError,
)
from clipsight.web import page
from clipsight.web.page import texts as module
from clipsight.web.page.texts import ALL, ENGLISH, SIMPLIFIED, TRADITIONAL, Texts, preferred

pytestmark = pytest.mark.slow  # importing Gradio takes seconds

LOCALES = Path(page.__file__).parent / "locales"

ERRORS = [
    (QueryError, "查詢", "查询"),
    (PhotoError, "圖片", "图片"),
    (UploadError, "圖片", "图片"),
    (LabelError, "標籤", "标签"),
    (ModelError, "模型", "模型"),
    (LibraryError, "相片庫", "照片库"),
    (NotFoundError, "找不到", "找不到"),
    (BusyError, "稍後", "稍后"),
    (NoModelError, "加入資料夾", "加入文件夹"),
    (ClipsightError, "相片庫", "照片库"),
]


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        ("", ENGLISH),
        ("de-DE,de;q=0.9", ENGLISH),
        ("en-US,en;q=0.9,zh-TW;q=0.8", ENGLISH),
        ("zh-TW,zh;q=0.9,en;q=0.8", TRADITIONAL),
        ("zh-HK", TRADITIONAL),
        ("zh-Hant-CN", TRADITIONAL),
        ("zh-CN,zh;q=0.9", SIMPLIFIED),
        ("zh", SIMPLIFIED),
        ("zh-Hans", SIMPLIFIED),
        ("zh-SG", SIMPLIFIED),
        ("en;q=0.5, zh-TW;q=0.9", TRADITIONAL),
        ("zh-TW;q=0, en", ENGLISH),
        ("fr, zh-TW;q=0.1, *", TRADITIONAL),
        (";;;,zh-TW;q=many,,en", ENGLISH),
    ],
)
def test_the_language_is_the_one_the_browser_wants_most(header: str, wanted: Texts) -> None:
    assert preferred(header) is wanted


@pytest.mark.parametrize("texts", ALL, ids=lambda texts: texts.code)
def test_every_language_has_every_text_and_no_other(texts: Texts) -> None:
    keys = list(json.loads((LOCALES / f"{texts.code}.json").read_text(encoding="utf-8")))
    assert keys == [field.name for field in fields(Texts) if field.name != "code"]  # in the same order, too
    assert all(getattr(texts, key).strip() for key in keys)


def test_every_file_is_a_language() -> None:
    assert {file.name for file in LOCALES.iterdir()} == {f"{texts.code}.json" for texts in ALL}


@pytest.mark.parametrize(("change", "name"), [({"more": "x"}, "more"), ({"search": None}, "search")])
def test_an_incomplete_language_is_not_loaded(
    change: dict[str, str | None], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = json.loads((LOCALES / "en.json").read_text(encoding="utf-8")) | change
    left = {key: text for key, text in keys.items() if text is not None}
    (tmp_path / "en.json").write_text(json.dumps(left))
    monkeypatch.setattr(module, "_LOCALES", tmp_path)
    with pytest.raises(TypeError, match=f"'{name}'"):
        Texts.load("en")


def test_translations_have_the_same_placeholders() -> None:
    for field in fields(Texts):
        placeholders = {frozenset(re.findall(r"\{\w+\}", getattr(texts, field.name))) for texts in ALL}
        assert len(placeholders) == 1, field.name


def test_chinese_is_translated() -> None:
    same_everywhere = {"code", "language", "placeholder", "labels_example"}
    for texts in (TRADITIONAL, SIMPLIFIED):
        for field in fields(Texts):
            if field.name not in same_everywhere:
                assert re.search(r"[\u4e00-\u9fff]", getattr(texts, field.name)), field.name


def test_every_text_is_used() -> None:
    folder = Path(page.__file__).parent
    sources = [*folder.glob("static/*.js"), *folder.glob("*.py")]
    written = "\n".join(file.read_text() for file in sources)
    for field in fields(Texts):
        assert re.search(
            rf"\b(texts|each|preferred\(.*\))\.{field.name}\b|\bself\.{field.name}$", written, re.M
        ), field.name


def test_options_that_are_named_exist() -> None:
    served = get_command(app).commands["serve"]  # type: ignore[attr-defined]
    options = {option for parameter in served.params for option in parameter.opts}
    named = {
        option
        for texts in ALL
        for field in fields(Texts)
        for option in re.findall(r"--\w+", getattr(texts, field.name))
    }
    assert named and named <= options


@pytest.mark.parametrize(("kind", "traditional", "simplified"), ERRORS)
def test_errors_are_translated(kind: type[ClipsightError], traditional: str, simplified: str) -> None:
    assert traditional in TRADITIONAL.error_message(kind("why"))
    assert simplified in SIMPLIFIED.error_message(kind("why"))


@pytest.mark.parametrize("kind", [kind for kind, *_ in ERRORS])
def test_an_error_message_contains_the_whole_reason(kind: type[ClipsightError]) -> None:
    reason = "a {strange} name.jpg: 100 % of it"
    assert ENGLISH.error_message(kind(reason)) == reason
    assert all(reason in texts.error_message(kind(reason)) for texts in ALL)
