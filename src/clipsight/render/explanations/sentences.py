"""What the picture, the page and the terminal say of an explanation, in the same sentences."""

import unicodedata

from clipsight.explain.base import Explanation
from clipsight.explain.registry import METHODS
from clipsight.render.explanations.overlay import highest, peak

PLUS, MINUS = "#f07f3c", "#6f9df2"
"""What raises the score, and what lowers it: orange and blue are told apart with any colour vision."""

_NEUTRAL = (0x34, 0x34, 0x3A)


def heading(explanation: Explanation) -> str:
    """The score, and whose it is."""
    return f"score {explanation.score:.3f} with {explanation.photo.name}, model {explanation.model}"


def about_words(explanation: Explanation) -> str:
    """How the words' numbers were made, and what they add up to."""
    total = sum(word.contribution for word in explanation.words)
    if explanation.kind == "view":
        return f"words by {explanation.method}: a view of the model, not an explanation"
    if not explanation.additive:
        return f"words by {explanation.method}: relative to each other"
    empty = explanation.score - total
    return f"words by {explanation.method}: they add up to {total:+.3f}, all but the {empty:.3f} of no words"


def about_region(explanation: Explanation) -> str:
    """How the heat was made, what its highest place is and where."""
    region = explanation.region
    assert region is not None
    across, down = peak(explanation)
    where = f"most {across:.0%} across, {down:.0%} down"
    view = "" if METHODS[region.method].kind == "explanation" else ": a view of the model, not an explanation"
    if region.unit == "score":
        where = f"covering a sixteenth of the photo costs up to {highest(explanation):.3f}, {where}"
    return f"region of {explanation.region_of!r} by {region.method}{view}; {where}"


def spoken(char: str) -> str:
    """The name of an emoji or sign, in brackets; "" for every other character."""
    if unicodedata.category(char) not in ("So", "Sk", "Sm"):
        return ""
    return f"[{unicodedata.name(char, '').lower()}]"


def shade(value: float, longest: float) -> tuple[int, int, int]:
    """The ground of a word, RGB of 0 to 255: from grey at 0 to `PLUS` or `MINUS` at `longest`."""
    end = bytes.fromhex((PLUS if value >= 0 else MINUS)[1:])
    share = min(abs(value) / longest, 1.0) if longest else 0.0
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(_NEUTRAL, end, strict=True))
    return red, green, blue
