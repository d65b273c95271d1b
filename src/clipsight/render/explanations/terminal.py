"""Explanations in a terminal: coloured words, tables, and the heat map in half blocks."""

import os
import sys
from typing import TYPE_CHECKING

import numpy as np
from rich.text import Text

from clipsight.core.text import visible
from clipsight.explain.base import Explanation, WordShare
from clipsight.render.colors import signed_colour, text_colour
from clipsight.render.explanations.captions import region_caption, title, words_caption
from clipsight.render.explanations.overlay import open_photo, overlay_heat
from clipsight.render.tables import make_table, stdout_console, text_cell
from clipsight.render.terminal_images import ImageProtocol, half_blocks, image_protocol

if TYPE_CHECKING:
    from rich.table import Table

_HEAT = 38
"""Maximum width of the heat map in cells, and of its height in half cells."""


def print_explanation(explanation: Explanation) -> None:
    """Print an explanation on stdout; with colours and heat map if the terminal supports them."""
    out = stdout_console()
    out.print(text_cell(title(explanation), "bold"))
    if len(explanation.parts) > 1:
        out.print(_parts(explanation))
    if explanation.words:
        if out.is_terminal:
            out.print(_coloured(explanation))
        out.print(_words(explanation))
        out.print(text_cell(words_caption(explanation)))
    if explanation.region:
        _print_heat(explanation)
        out.print(text_cell(region_caption(explanation)))


def _parts(explanation: Explanation) -> "Table":
    header = ("part", "share", "cosine")
    table = make_table(*header, right=header[1:])
    for part in explanation.parts:
        table.add_row(text_cell(part.part), f"{part.share:+.3f}", f"{part.cosine:.3f}")
    return table


def _words(explanation: Explanation) -> "Table":
    """One row per word, without columns that the method does not fill."""
    errors = any(word.stderr is not None for word in explanation.words)
    alone = any(word.leave_one_out is not None for word in explanation.words)
    header = ("word", "share", *(["±"] * errors), *(["if left out"] * alone))
    table = make_table(*header, right=header[1:])
    for word in explanation.words:
        numbers = [f"{word.contribution:+.3f}", *([f"{word.stderr or 0:.3f}"] * errors)]
        numbers += [f"{-(word.leave_one_out or 0.0):+.3f}"] * alone
        table.add_row(text_cell(word.word), *numbers)
    return table


def _coloured(explanation: Explanation) -> Text:
    longest = max(abs(word.contribution) for word in explanation.words)
    line = Text()
    for word in explanation.words:
        line.append_text(_coloured_word(word, longest)).append(" ")
    return line


def _coloured_word(word: WordShare, longest: float) -> Text:
    red, green, blue = colour = signed_colour(word.contribution, longest)
    return Text(f" {visible(word.word)} ", style=f"{text_colour(colour)} on rgb({red},{green},{blue})")


def _print_heat(explanation: Explanation) -> None:
    """Print the photo with its heat map, if stdout is a terminal that can show it."""
    supported = image_protocol(sys.stdout, os.environ)
    if supported is None:
        return
    protocol = (
        ImageProtocol.COLOURS_256 if supported is ImageProtocol.COLOURS_256 else ImageProtocol.TRUECOLOR
    )
    picture = overlay_heat(open_photo(explanation.photo, _HEAT), explanation).convert("RGBA")
    pixels = np.asarray(picture)
    blank = np.zeros((len(pixels) % 2, pixels.shape[1], 4), np.uint8)
    for line in half_blocks(np.concatenate([pixels, blank]), protocol):
        print(line)
