import re
from dataclasses import fields
from pathlib import Path

import pytest
from typer.main import get_command

pytest.importorskip("gradio", reason="the page needs clipsight[web]")

from clipsight.cli.app import app
from clipsight.web import page
from clipsight.web.page.texts import ALL, ENGLISH, SIMPLIFIED, TRADITIONAL, Texts, preferred


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


def test_translations_have_the_same_words_to_fill_in() -> None:
    for field in fields(Texts):
        holes = {frozenset(re.findall(r"\{\w+\}", getattr(texts, field.name))) for texts in ALL}
        assert len(holes) == 1, field.name
        assert all(getattr(texts, field.name).strip() for texts in ALL), field.name


def test_chinese_is_translated() -> None:
    same_everywhere = {"code", "language", "placeholder", "chips_example"}
    for texts in (TRADITIONAL, SIMPLIFIED):
        for field in fields(Texts):
            if field.name not in same_everywhere:
                assert re.search(r"[\u4e00-\u9fff]", getattr(texts, field.name)), field.name


def test_every_text_is_used() -> None:
    folder = Path(page.__file__).parent
    sources = [*folder.glob("static/*.js"), *folder.glob("*.py")]
    written = "\n".join(file.read_text() for file in sources if file.name != "texts.py")
    for field in fields(Texts):
        assert re.search(rf"\b(texts|each|preferred\(.*\))\.{field.name}\b", written), field.name


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
