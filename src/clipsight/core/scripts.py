"""Languages by the script they are written in."""

import unicodedata
from collections.abc import Mapping
from functools import cache

_LANGUAGES: Mapping[str, frozenset[str]] = {
    "CJK": frozenset(("zh", "ja")),
    "HIRAGANA": frozenset(("ja",)),
    "KATAKANA": frozenset(("ja",)),
    "HANGUL": frozenset(("ko",)),
    "CYRILLIC": frozenset(("ru", "uk", "bg", "sr")),
    "ARABIC": frozenset(("ar", "fa", "ur")),
    "GREEK": frozenset(("el",)),
    "HEBREW": frozenset(("he",)),
    "THAI": frozenset(("th",)),
    "DEVANAGARI": frozenset(("hi", "mr")),
    "LATIN": frozenset(
        ("en", "de", "fr", "es", "pt", "it", "nl", "sv", "da", "no", "fi", "pl", "cs", "sk", "sl", "hr")
    )
    | frozenset(("hu", "ro", "tr", "vi", "id", "ms", "ca", "lt", "lv", "et")),
}
"""First word of the Unicode names of a script's letters -> languages written in it."""


@cache
def languages_with(letter: str) -> frozenset[str]:
    """Languages that use `letter`; all languages for digits and signs."""
    if not letter.isalpha():
        return frozenset().union(*_LANGUAGES.values())
    return _LANGUAGES.get(unicodedata.name(letter, "").split(" ")[0].split("-")[0], frozenset())
