"""Photos ranked by the words that were read in them, with the slips that reading makes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise

from clipsight.core.text import TextLine
from clipsight.store.catalog import Catalog
from clipsight.store.text_index import GRAM, PhotoText, candidates, fold

MAX_PHRASE = 200
"""Letters of a phrase that can be looked for."""

LETTERS_PER_ERROR = 8

_INSIDE, _INSIDE_LOOSELY = 6, GRAM
"""Letters from which a word may be part of another: "parking" of "NOPARKING", but not "cat" of "location"."""


class Fit(IntEnum):
    """Ways in which a text has a phrase, the best first."""

    WHOLE = 0
    """its words, one behind the other"""
    INSIDE = 1
    """its letters, one behind the other, spaces ignored"""
    SIMILAR = 2
    """the same with a wrong letter in eight at most"""
    WORDS = 3
    """each word somewhere"""


@dataclass(frozen=True, slots=True, order=True)
class TextMatch:
    """A text that has all phrases of a query; those that fit better are less."""

    fit: Fit
    """that of the phrase that fits worst"""
    errors: int
    """letters that differ"""
    rest: float
    """share of the text that is not the phrases, 0 to 1"""
    text_id: int

    @property
    def is_exact(self) -> bool:
        """True if the text has the letters of all phrases one behind the other."""
        return self.fit <= Fit.INSIDE


@dataclass(frozen=True, slots=True)
class Phrase:
    """Folded words to look for.

    `loosely` finds a word of three letters inside others, too, for queries that are about text alone.
    """

    words: tuple[str, ...]
    loosely: bool = False

    @classmethod
    def of(cls, text: str, *, loosely: bool = False) -> "Phrase":
        """The phrase of a text as typed; it has no words if the text has no letter or digit."""
        return cls(tuple(fold(text[: 4 * MAX_PHRASE]).split()), loosely)

    @property
    def letters(self) -> str:
        """The words without spaces."""
        return "".join(self.words)

    @property
    def is_too_long(self) -> bool:
        """True if it has more than `MAX_PHRASE` letters."""
        return len(self.letters) > MAX_PHRASE


def rank_texts(catalog: Catalog, phrases: Sequence[Phrase]) -> list[TextMatch]:
    """The texts that have all `phrases`, the best first; at most some thousand are compared."""
    matches: dict[int, TextMatch] | None = None
    for phrase in phrases:
        found = {text.id: match for text in _candidates(catalog, phrase) if (match := _match(phrase, text))}
        if matches is None:
            matches = found
        else:
            matches = {id_: _joined(matches[id_], found[id_]) for id_ in matches.keys() & found.keys()}
    return sorted((matches or {}).values())


def found_lines(lines: Sequence[TextLine], phrases: Iterable[Phrase]) -> list[TextLine]:
    """Those of the `lines` of a photo that hold words of `phrases`, in the order of reading."""
    words = [fold(line.text) for line in lines]
    places = {place for phrase in phrases for place in _places(words, phrase)}
    return [lines[place] for place in sorted(places)]


def allowed_errors(letters: str) -> int:
    """Number of letters that may be wrong: one in eight."""
    return len(letters) // LETTERS_PER_ERROR


def errors_in(letters: str, text: str, most: int) -> tuple[int, int] | None:
    """Edits between `letters` and the most similar part of `text`, and the end of that part.

    None if there are more than `most`. The algorithm is the bit-parallel one of Myers (1999).
    """
    start = text.find(letters)
    if start >= 0:
        return 0, start + len(letters)
    if most == 0 or not _may_be_in(letters, text, most):
        return None
    masks: dict[str, int] = {}
    for place, letter in enumerate(letters):
        masks[letter] = masks.get(letter, 0) | 1 << place
    every, last = (1 << len(letters)) - 1, 1 << (len(letters) - 1)
    plus, minus, errors = every, 0, len(letters)
    best, end = errors, 0  # of the empty part
    for place, letter in enumerate(text, start=1):
        equal = masks.get(letter, 0)
        vertical = equal | minus
        horizontal = (((equal & plus) + plus) ^ plus) | equal
        more, less = minus | (every & ~(horizontal | plus)), plus & horizontal
        errors += bool(more & last) - bool(less & last)
        more, less = more << 1, less << 1
        plus = (less | ~(vertical | more)) & every
        minus = more & vertical & every
        if errors < best:
            best, end = errors, place
    return (best, end) if best <= most else None


def _may_be_in(letters: str, text: str, most: int) -> bool:
    """False if too few trigrams of `letters` are in `text`: an error changes three of them at most."""
    grams = [letters[at : at + GRAM] for at in range(len(letters) - GRAM + 1)]
    return sum(gram in text for gram in grams) >= len(grams) - GRAM * most


# -- candidates ------------------------------------------------------------------------


def _candidates(catalog: Catalog, phrase: Phrase) -> list[PhotoText]:
    """Texts that may have the phrase: all letters together, or each word somewhere."""
    if not phrase.words or phrase.is_too_long:
        return []
    apart = candidates(catalog.database, [_parts(word, phrase) for word in dict.fromkeys(phrase.words)])
    if len(phrase.words) == 1:
        return apart
    together = candidates(catalog.database, [_pieces(phrase.letters)])
    return list({text.id: text for text in (*together, *apart)}.values())


def _parts(word: str, phrase: Phrase) -> list[str]:
    """The parts one of which a text with `word` holds."""
    return _pieces(word) if _may_be_inside(word, phrase) else [f" {word} "]


def _pieces(letters: str) -> list[str]:
    """`letters` cut into one piece more than letters may be wrong: one of the pieces is right, then."""
    count = allowed_errors(letters) + 1
    cuts = [len(letters) * number // count for number in range(count + 1)]
    return [letters[low:high] for low, high in pairwise(cuts)]


def _may_be_inside(letters: str, phrase: Phrase) -> bool:
    """True if these letters are looked for inside words, too; always in scripts without spaces."""
    return len(letters) >= (_INSIDE_LOOSELY if phrase.loosely else _INSIDE) or any(map(_is_unspaced, letters))


def _is_unspaced(char: str) -> bool:
    """True for letters of scripts that are written without spaces: Han, Kana, and those near them."""
    return char >= "\u2e80" or "\u0e00" <= char <= "\u0eff"


# -- matches ----------------------------------------------------------------------------


def _match(phrase: Phrase, text: PhotoText) -> TextMatch | None:
    spaced = f" {text.words.replace(chr(10), ' ')} "
    letters = spaced.replace(" ", "")
    rest = 1 - min(1.0, len(phrase.letters) / len(letters))
    fit = _fit(phrase, spaced, letters)
    if fit is None and len(phrase.words) > 1:
        each = [_fit(Phrase((word,), phrase.loosely), spaced, letters) for word in phrase.words]
        if None not in each:
            fit = Fit.WORDS, sum(found[1] for found in each if found is not None)
    return None if fit is None else TextMatch(*fit, rest, text.id)


def _fit(phrase: Phrase, spaced: str, letters: str) -> tuple[Fit, int] | None:
    """The way in which a text has the phrase in one place, and the number of wrong letters."""
    if f" {' '.join(phrase.words)} " in spaced:
        return Fit.WHOLE, 0
    if not _may_be_inside(phrase.letters, phrase):
        return None
    found = errors_in(phrase.letters, letters, allowed_errors(phrase.letters))
    return None if found is None else (Fit.SIMILAR if found[0] else Fit.INSIDE, found[0])


def _joined(one: TextMatch, other: TextMatch) -> TextMatch:
    """The match of two phrases of a query in the same text."""
    rest = max(0.0, one.rest + other.rest - 1)
    return TextMatch(max(one.fit, other.fit), one.errors + other.errors, rest, one.text_id)


def _places(lines: Sequence[str], phrase: Phrase) -> list[int]:
    """Indices of the lines that hold the phrase: in one line, across lines, or word by word."""
    best: dict[Fit, list[int]] = {}
    for place, words in enumerate(lines):
        if fit := _fit(phrase, f" {words} ", words.replace(" ", "")):
            best.setdefault(fit[0], []).append(place)
    if best:
        return best[min(best)]
    letters = [words.replace(" ", "") for words in lines]
    if across := errors_in(phrase.letters, "".join(letters), allowed_errors(phrase.letters)):
        return _lines_between(letters, across[1] - len(phrase.letters), across[1])
    apart = phrase.words if len(phrase.words) > 1 else ()
    return [place for word in apart for place in _places(lines, Phrase((word,), phrase.loosely))]


def _lines_between(lines: Sequence[str], start: int, end: int) -> list[int]:
    """Indices of the lines that hold the letters from `start` to `end` of all."""
    found, at = [], 0
    for place, letters in enumerate(lines):
        if at < end and at + len(letters) > start:
            found.append(place)
        at += len(letters)
    return found
