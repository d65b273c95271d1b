"""Width and colours of the terminal behind a stream. Imports are kept light, as in `core.paths`."""

import os
from contextlib import suppress

TYPE_CHECKING = False  # importing typing.TYPE_CHECKING would take 10 ms of each start
if TYPE_CHECKING:
    from typing import TextIO

UNLIMITED = 1000
"""Width, in cells, of output that is not a terminal: lines for other programs are never wrapped."""


def width(stream: "TextIO") -> int:
    """Number of cells in a line: $COLUMNS, else the terminal's; `UNLIMITED` for a pipe or a file."""
    if not stream.isatty():
        return UNLIMITED
    try:
        columns = int(os.environ["COLUMNS"])
    except (KeyError, ValueError):
        columns = 0
    if columns <= 0:
        with suppress(OSError, ValueError):
            columns = os.get_terminal_size(stream.fileno()).columns
    return min(max(columns or 80, 20), UNLIMITED)


def has_colours(stream: "TextIO") -> bool:
    """True for a terminal that shows colours, or with $FORCE_COLOR, unless $NO_COLOR forbids them."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") in ("dumb", "unknown")
    return not plain and (stream.isatty() or bool(os.environ.get("FORCE_COLOR")))
