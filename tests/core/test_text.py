"""Any text is shown on one printable line."""

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipsight.core.text import caseless, is_url, nfc, to_json, visible

ANY_TEXT = st.text(st.characters(exclude_categories=[]), max_size=40)


def test_forms_of_one_name() -> None:
    assert nfc("cafe\u0301") == "caf\u00e9" == nfc("caf\u00e9")
    assert caseless("CAFE\u0301") == caseless("Caf\u00e9")


def test_urls_are_recognised() -> None:
    assert is_url("HTTPS://a") and not is_url("ftp://a") and not is_url("https:/a")


@given(ANY_TEXT)
def test_names_compare_alike_in_every_form_and_case(text: str) -> None:
    assert caseless(unicodedata.normalize("NFD", text)) == caseless(text)
    assert caseless(caseless(text)) == caseless(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a cat.jpg", "a cat.jpg"),
        ("花.jpg", "花.jpg"),
        ("cafe\u0301.jpg", "café.jpg"),  # macOS keeps names decomposed
        ("two\nlines\t", "two\\nlines\\t"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("caf\udce9.jpg", "caf\\xe9.jpg"),  # Latin-1 bytes in a name
        ("a\ud800b", "a\\ud800b"),
        ("at 10.11\u202fPM", "at 10.11 PM"),
        ("exe.\u202egpj", "exe.\\u202egpj"),  # would turn what follows around
        ("می\u200cخواهم", "می\u200cخواهم"),
    ],
)
def test_visible(text: str, shown: str) -> None:
    assert visible(text) == shown


@given(ANY_TEXT)
def test_visible_is_one_printable_line(text: str) -> None:
    assert all(char.isprintable() or char in "\u200c\u200d" for char in visible(text))


@given(ANY_TEXT.filter(lambda text: not any("\ud800" <= char <= "\udbff" for char in text)))
def test_json_is_utf8_and_round_trips(text: str) -> None:
    assert json.loads(to_json({"path": text}).encode()) == {"path": text}


def test_json_does_not_escape_letters() -> None:
    assert to_json(["花", "caf\udce9"]) == '[\n  "花",\n  "caf\\udce9"\n]'


@pytest.mark.parametrize(
    "char", ["\x1b", "\x7f", "\x9b", "\u2028", "\u202e", "\ufeff", "\udce9", "\U000e0041"]
)
def test_json_shows_no_control_character_and_means_it(char: str) -> None:
    text = to_json({"path": f"caf\u00e9 \u82b1{char}.jpg"}, indent=None)
    assert text.isprintable() and "caf\u00e9 \u82b1" in text
    assert json.loads(text) == {"path": f"caf\u00e9 \u82b1{char}.jpg"}
