"""The choice of the page's language."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipsight.web.page.languages import LANGUAGES, chosen_language, preferred_language, texts


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", "en"),
        ("zh-TW,zh;q=0.9,en;q=0.5", "zh-Hant"),
        ("zh-HK", "zh-Hant"),
        ("zh-Hant-CN", "zh-Hant"),
        ("zh", "zh-Hans"),
        ("zh-SG", "zh-Hans"),
        ("en;q=0.1, de-AT", "de"),
        ("fr-CA;q=0.8, ja;q=0.9", "ja"),
        ("pt-BR, es;q=0.3", "es"),
        ("de;q=0, fr;q=0.2", "fr"),
        ("de;q=x, *", "en"),
        ("it, ko", "en"),
    ],
)
def test_the_browser_says_what_its_reader_reads(accept: str, expected: str) -> None:
    assert preferred_language(accept) == expected


@given(st.text(max_size=200), st.text(max_size=200))
def test_any_header_has_a_language(accept: str, cookie: str) -> None:
    assert chosen_language({"accept-language": accept, "cookie": cookie}) in LANGUAGES


def test_every_language_has_its_texts() -> None:
    assert len({texts(language)["search"] for language in LANGUAGES}) > 4
