"""Thumbnails in the terminal: as pictures where it can draw them, as coloured half blocks elsewhere.

What a terminal can is told by environment variables alone: a question to the terminal could hang, or
leave its answer in the shell's input. Sixel has no variable of its own, so it isn't used; terminals
that have it and 24-bit colour show half blocks. So do those in tmux and screen, which pass no pictures.
"""

import base64
import io
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from itertools import batched
from typing import TYPE_CHECKING, TextIO

import numpy as np
import numpy.typing as npt

from clipsight.errors import PhotoError
from clipsight.lettering import ELLIPSIS, visible
from clipsight.results import Match, Matches

if TYPE_CHECKING:
    from PIL.Image import Image

Pixels = npt.NDArray[np.uint8]


class Protocol(Enum):
    """How pictures are written to a terminal."""

    KITTY = "kitty"
    """https://sw.kovidgoyal.net/kitty/graphics-protocol/: kitty, Ghostty."""
    ITERM = "iterm"
    """https://iterm2.com/documentation-images.html: iTerm2, WezTerm, mintty, Rio, Konsole from 22.04."""
    TRUECOLOR = "truecolor"
    """Half blocks in 24-bit colour."""
    COLOURS_256 = "256"
    """Half blocks in the 240 fixed colours of xterm's palette."""
