"""Explanations in a terminal: coloured words, tables, and the heat map in half blocks."""

import os
import sys
from collections.abc import Iterator

import numpy as np

from clipsight.core import terminal
from clipsight.core.text import visible
from clipsight.explain.base import Explanation
from clipsight.render.colors import signed_colour, text_colour
from clipsight.render.columns import Paint, coloured, fold
from clipsight.render.explanations.captions import region_caption, text_caption, title, words_caption
from clipsight.render.explanations.overlay import open_photo, overlay_heat
from clipsight.render.tables import print_table
from clipsight.render.terminal_images import ImageProtocol, half_blocks, image_protocol

_HEAT = 38
"""Maximum width of the heat map in cells, and maximum height in half cells."""


def print_explanation(explanation: Explanation) -> None:
    """Print an explanation on stdout; with colours and heat map if the terminal supports them."""
    paint = coloured(sys.stdout)
    print(paint(visible(title(explanation)), "bold"))
    if len(explanation.parts) > 1:
        _print_parts(explanation)
    if explanation.words:
        if terminal.has_colours(sys.stdout):
            print(" ".join(_coloured_words(explanation, paint)))
        _print_words(explanation)
        _print_folded(words_caption(explanation))
    if explanation.text:
        _print_folded(text_caption(explanation))
    if explanation.region:
        _print_heat(explanation)
        _print_folded(region_caption(explanation))


def _print_folded(text: str) -> None:
    print("\n".join(fold(visible(text), terminal.width(sys.stdout))))


def _print_parts(explanation: Explanation) -> None:
    rows = [(part.part, f"{part.share:+.3f}", f"{part.cosine:.3f}") for part in explanation.parts]
    print_table(("part", "share", "cosine"), rows)


def _print_words(explanation: Explanation) -> None:
    """Print a row for each word, without columns that the method does not compute."""
    errors = any(word.stderr is not None for word in explanation.words)
    alone = any(word.leave_one_out is not None for word in explanation.words)
    rows = []
    for word in explanation.words:
        numbers = [f"{word.contribution:+.3f}", *([f"{word.stderr or 0:.3f}"] * errors)]
        numbers += [f"{-(word.leave_one_out or 0.0):+.3f}"] * alone
        rows.append((word.word, *numbers))
    print_table(("word", "share", *(["±"] * errors), *(["if left out"] * alone)), rows)


def _coloured_words(explanation: Explanation, paint: Paint) -> Iterator[str]:
    longest = max(abs(word.contribution) for word in explanation.words)
    for word in explanation.words:
        red, green, blue = colour = signed_colour(word.contribution, longest)
        yield paint(f" {visible(word.word)} ", f"{text_colour(colour)} on rgb({red},{green},{blue})")


def _print_heat(explanation: Explanation) -> None:
    """Print the photo with its heat map, if stdout is a terminal that can show it."""
    supported = image_protocol(sys.stdout, os.environ)
    if supported is None:
        return
    protocol = (
        ImageProtocol.COLOURS_256 if supported is ImageProtocol.COLOURS_256 else ImageProtocol.TRUECOLOR
    )
    picture = overlay_heat(open_photo(explanation, _HEAT), explanation).convert("RGBA")
    pixels = np.asarray(picture)
    blank = np.zeros((len(pixels) % 2, pixels.shape[1], 4), np.uint8)
    for line in half_blocks(np.concatenate([pixels, blank]), protocol):
        print(line)
