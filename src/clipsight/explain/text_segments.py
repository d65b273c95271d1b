"""Segmentation of a text into words with their spans.

White space separates words. Scripts without spaces are split further: a Han character and the hiragana after
it (its inflection or particle) are one word, as are a run of katakana, a run of hiragana, and an emoji with
its modifiers. Runs of Thai, Lao, Khmer and Burmese are one word, since splitting them needs a dictionary.
Punctuation belongs to the preceding word (to the following one at the start of the text), so that the text
without all its words is empty.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

_MARK = r"[\u0300-\u036f\u3099\u309a\ufe00-\ufe0f\u20e3\U000e0020-\U000e007f\U000e0100-\U000e01ef]"
_HAN = r"[\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
_HIRAGANA = r"[\u3041-\u3096\u309d-\u309f]"
_KATAKANA = r"[\u30a1-\u30fa\u30fc-\u30ff\uff66-\uff9f]"
_SYMBOL = (
    r"[\u00a9\u00ae\u203c\u2049\u2139\u231a-\u23ff\u25aa-\u27bf\u2934\u2935\u2b05-\u2b55\u3030\u303d"
    r"\u3297\u3299\U0001f000-\U0001f1e5\U0001f200-\U0001f3fa\U0001f400-\U0001faff]"
)
_EMOJI = (
    rf"(?:[\U0001f1e6-\U0001f1ff]{{1,2}}|{_SYMBOL}[\U0001f3fb-\U0001f3ff]?{_MARK}*"
    rf"(?:\u200d{_SYMBOL}[\U0001f3fb-\U0001f3ff]?{_MARK}*)*)"
)
_UNSPACED = rf"{_EMOJI}|{_HAN}{_MARK}*{_HIRAGANA}*{_MARK}*|{_KATAKANA}(?:{_KATAKANA}|{_MARK})*"
_UNSPACED += rf"|{_HIRAGANA}(?:{_HIRAGANA}|{_MARK})*"
_SEGMENT = re.compile(rf"{_UNSPACED}|(?:(?!{_UNSPACED})\S)+")


@dataclass(frozen=True, slots=True)
class Word:
    """A word without punctuation, and its slice of the text (`start` to `end`) with punctuation."""

    text: str
    start: int
    end: int


def one_line(text: str) -> str:
    """Replace runs of white space by one space, and strip the text."""
    return " ".join(text.split())


def split(text: str) -> tuple[Word, ...]:
    """Split a text on one line into words; every character except spaces is in exactly one span."""
    segments = [(match.start(), match.end()) for match in _SEGMENT.finditer(text)]
    groups: list[tuple[int, int]] = []
    opening: int | None = None
    for start, end in segments:
        if _bare(text[start:end]):
            groups.append((start if opening is None else opening, end))
            opening = None
        elif groups:
            groups[-1] = (groups[-1][0], end)
        elif opening is None:
            opening = start
    if not groups:  # only punctuation: the query may be "?"
        return tuple(Word(text[start:end], start, end) for start, end in segments)
    return tuple(Word(_bare(text[start:end]), start, end) for start, end in groups)


def keep(text: str, words: Sequence[Word], kept: Sequence[bool], blank: str = "") -> str:
    """Replace the words whose `kept` is False by `blank`; the result is on one line."""
    out, place = [], 0
    for word, stays in zip(words, kept, strict=True):
        out += [text[place : word.start], text[word.start : word.end] if stays else blank]
        place = word.end
    return one_line("".join([*out, text[place:]]))


def _bare(segment: str) -> str:
    """The segment without punctuation and spaces at its ends."""
    first = next((at for at, char in enumerate(segment) if not _is_punctuation(char)), None)
    if first is None:
        return ""
    last = next(at for at in range(len(segment), 0, -1) if not _is_punctuation(segment[at - 1]))
    return segment[first:last]


def _is_punctuation(char: str) -> bool:
    return unicodedata.category(char)[0] == "P" or char == " "
