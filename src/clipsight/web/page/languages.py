"""The language of the page: what the reader chose before, else what the browser asks for."""

import json
from collections.abc import Mapping
from functools import cache
from http.cookies import CookieError, SimpleCookie
from pathlib import Path

STATIC = Path(__file__).parents[1] / "static"
COOKIE = "clipsight-language"
LANGUAGES = ("en", "zh-Hant", "zh-Hans", "ja", "de", "es", "fr")
"""BCP 47 tags; each has a file of texts in `static/locales/`."""

_TRADITIONAL = {"hant", "tw", "hk", "mo"}


def chosen_language(headers: Mapping[str, str]) -> str:
    """The language for a request with these headers."""
    try:
        saved = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        saved = None
    if saved is not None and saved.value in LANGUAGES:
        return saved.value
    return preferred_language(headers.get("accept-language", ""))


def preferred_language(accept_language: str) -> str:
    """The best language for an Accept-Language header; English if none of its languages is available."""
    for tag in _by_preference(accept_language):
        language, *subtags = tag.lower().split("-")
        if language == "zh":
            return "zh-Hant" if _TRADITIONAL & set(subtags) else "zh-Hans"
        if language in LANGUAGES:
            return language
    return "en"


@cache
def texts(language: str) -> Mapping[str, str]:
    """The texts of a language by their keys."""
    loaded: dict[str, str] = json.loads((STATIC / "locales" / f"{language}.json").read_text(encoding="utf-8"))
    return loaded


def _by_preference(accept_language: str) -> list[str]:
    """The language tags of the header by descending quality (RFC 9110, 12.5.4); invalid items are ignored."""
    tags = []
    for item in accept_language[:1000].split(","):
        tag, _, quality = item.strip().partition(";q=")
        try:
            weight = float(quality or 1)
        except ValueError:
            continue
        if tag and 0 < weight <= 1:
            tags.append((-weight, tag))
    return [tag for _, tag in sorted(tags, key=lambda pair: pair[0])]
