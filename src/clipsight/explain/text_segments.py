"""A text into words as a person sees them, with their places in it.

Words are what white space separates. Scripts that write without spaces are cut further: every Han character
is a word together with the hiragana that follows it (its inflection or particle), a run of katakana or
hiragana is one, an emoji is one with all that modifies it. Runs of Thai, Lao, Khmer and Burmese stay whole:
their words can't be told without a dictionary. Punctuation belongs to the word before it (to the next, if
none is), so that leaving all words out leaves nothing.
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
_PIECE = re.compile(rf"{_UNSPACED}|(?:(?!{_UNSPACED})\S)+")


@dataclass(frozen=True, slots=True)
class Word:
    """A word, and the slice of the text (`start` to `end`, with its punctuation) that goes with it."""

    text: str
    start: int
    end: int


def one_line(text: str) -> str:
    """The text with runs of white space as one space, and none at its ends."""
    return " ".join(text.split())


def split(text: str) -> tuple[Word, ...]:
    """The words of a text on one line; every character but spaces belongs to exactly one of them."""
    pieces = [(match.start(), match.end()) for match in _PIECE.finditer(text)]
    groups: list[tuple[int, int]] = []
    opening: int | None = None
    for start, end in pieces:
        if _bare(text[start:end]):
            groups.append((start if opening is None else opening, end))
            opening = None
        elif groups:
            groups[-1] = (groups[-1][0], end)
        elif opening is None:
            opening = start
    if not groups:  # nothing but punctuation: the query may be "?"
        return tuple(Word(text[start:end], start, end) for start, end in pieces)
    return tuple(Word(_bare(text[start:end]), start, end) for start, end in groups)


def keep(text: str, words: Sequence[Word], kept: Sequence[bool], blank: str = "") -> str:
    """The text with the words that are not kept left out (or each replaced by `blank`), on one line."""
    out, place = [], 0
    for word, stays in zip(words, kept, strict=True):
        out += [text[place : word.start], text[word.start : word.end] if stays else blank]
        place = word.end
    return one_line("".join([*out, text[place:]]))


def _bare(piece: str) -> str:
    """The piece without punctuation and spaces at its ends; "" if it is nothing else."""
    first = next((at for at, char in enumerate(piece) if not _is_punctuation(char)), None)
    if first is None:
        return ""
    last = next(at for at in range(len(piece), 0, -1) if not _is_punctuation(piece[at - 1]))
    return piece[first:last]


def _is_punctuation(char: str) -> bool:
    return unicodedata.category(char)[0] == "P" or char == " "
