"""Captions of an explanation, shared by the PNG, the HTML page and the terminal."""

import unicodedata

from clipsight.explain.base import Explanation
from clipsight.explain.registry import METHODS
from clipsight.render.explanations.overlay import max_heat, peak_position


def title(explanation: Explanation) -> str:
    """The score, with the names of photo and model."""
    return f"score {explanation.score:.3f} with {explanation.photo.name}, model {explanation.model}"


def words_caption(explanation: Explanation) -> str:
    """The method of the words' contributions, and their sum."""
    total = sum(word.contribution for word in explanation.words)
    if explanation.kind == "view":
        return f"words by {explanation.method}: a view of the model, not an explanation"
    if not explanation.additive:
        return f"words by {explanation.method}: relative to each other"
    rest = explanation.score - total
    return (
        f"words by {explanation.method}: they add up to {total:+.3f}; the score without words is {rest:.3f}"
    )


def text_caption(explanation: Explanation) -> str:
    """The lines of text in the photo that have words of the query."""
    return "text in the photo: " + " | ".join(line.text for line in explanation.text)


def region_caption(explanation: Explanation) -> str:
    """The method of the heat map, and its maximum with the position."""
    region = explanation.region
    assert region is not None
    across, down = peak_position(explanation)
    where = f"most {across:.0%} across, {down:.0%} down"
    view = "" if METHODS[region.method].kind == "explanation" else ": a view of the model, not an explanation"
    if region.unit == "score":
        drop = f"{max_heat(explanation):.3f}"
        where = f"covering a sixteenth of the photo lowers the score by up to {drop}, {where}"
    return f"region of {explanation.region_of!r} by {region.method}{view}; {where}"


def symbol_name(char: str) -> str:
    """The Unicode name of an emoji or symbol in brackets; "" for every other character."""
    if unicodedata.category(char) not in ("So", "Sk", "Sm"):
        return ""
    return f"[{unicodedata.name(char, '').lower()}]"
