"""Unicode forms of text: normalised, compared without case, and printable."""

import json
import re
import unicodedata
from dataclasses import dataclass

JOINERS = "\u200c\u200d"
"""Zero-width joiners: not printable, but part of Persian and Indic spelling."""

_SURROGATE = re.compile("[\ud800-\udfff]")
_INVISIBLE = re.compile(
    "[\x7f-\x9f\xad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
"""Control characters, line breaks and directions of writing that JSON allows and a terminal obeys."""


@dataclass(frozen=True, slots=True)
class TextLine:
    """A line of text in a picture: its characters, confidence (0 to 1), and box as shares of the sides."""

    text: str
    confidence: float
    left: float
    top: float
    right: float
    bottom: float


def is_url(text: str) -> bool:
    """True for an http(s) URL."""
    return text[:8].lower().startswith(("http://", "https://"))


def nfc(text: str) -> str:
    """Return text in Unicode's composed form, NFC; file names from macOS are decomposed."""
    return unicodedata.normalize("NFC", text)


def is_utf8(text: str) -> bool:
    """True unless the text has lone surrogates: bytes of a command line or file name that are not UTF-8."""
    return _SURROGATE.search(text) is None


def caseless(text: str) -> str:
    """Return text in the form in which names are compared: case-folded, in NFC."""
    return nfc(nfc(text).casefold())


def to_json(content: object, indent: int | None = 2) -> str:
    """Return JSON in which bytes that are not UTF-8 (lone surrogates) and control characters are escaped."""
    text = json.dumps(content, indent=indent, ensure_ascii=False)
    return _INVISIBLE.sub(lambda char: json.dumps(char[0])[1:-1], text)


def visible(text: str) -> str:
    r"""Normalise text to one printable line in NFC: control characters and invalid bytes become escapes.

    Bytes of a file name that are not UTF-8 (lone surrogates) become `\xe9`. Spaces of other widths, as in
    the names of macOS screenshots, become plain ones.
    """
    try:
        text = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # surrogates of no byte, as in file names on Windows
        text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return "".join(map(_visible, nfc(text)))


def _visible(char: str) -> str:
    if unicodedata.category(char) == "Zs":
        return " "
    return char if char.isprintable() or char in JOINERS else escape(char)


def escape(char: str) -> str:
    r"""Escape a character as `\n`, `\xad`, `\u82b1` or `\U0001f600`."""
    return char.encode("unicode_escape").decode()
