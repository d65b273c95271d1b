"""Tables as text in aligned columns, within the width of a terminal.

Where a table is too wide, the text of columns with `fold` is wrapped at spaces. A last column without `fold`,
such as a path, is printed on a line of its own where the rest of the line is too narrow, so that it can be
copied in one piece.
"""

import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple, TextIO

from clipsight.core import terminal
from clipsight.core.text import visible

_GAP = "  "
_MIN_WIDTH, _LONGEST_WORD = 8, 24
"""Minimum width of a folded column, in cells: 8, or that of its longest word, which counts for up to 24."""

_INDENT = "    "


class Column(NamedTuple):
    """A column: its heading, if it is aligned at the right, and if its text may be wrapped."""

    name: str
    right: bool = False
    fold: bool = False


class Cell(NamedTuple):
    """A text with a style, such as "bold" or "black on yellow", and more lines below it."""

    text: str
    style: str = ""
    more: tuple[str, ...] = ()


Paint = Callable[[str, str], str]
"""Function that applies a style to a text."""


def plain(text: str, style: str) -> str:
    """The text without a style."""
    return text


def basic(text: str, style: str) -> str:
    """The text in bold or dim, which every terminal supports; without a style for any other."""
    code = {"bold": "1", "dim": "2"}.get(style)
    return f"\33[{code}m{text}\33[0m" if code else text


def coloured(stream: TextIO) -> Paint:
    """Paint with the colours that the terminal of `stream` supports; `plain` if it is not a terminal."""
    if not terminal.has_colours(stream):
        return plain
    from rich.console import COLOR_SYSTEMS, Console
    from rich.style import Style

    system = COLOR_SYSTEMS.get(Console(file=stream, force_terminal=True).color_system or "")
    return lambda text, style: Style.parse(style).render(text, color_system=system) if style else text


def print_columns(
    columns: Sequence[Column], rows: Iterable[Sequence[str | Cell]], *, paint: Paint | None = None
) -> None:
    """Print a table on stdout, by default with headings in bold if that is a terminal."""
    paint = paint or (basic if terminal.has_colours(sys.stdout) else plain)
    sys.stdout.write(format_table(columns, rows, width=terminal.width(sys.stdout), paint=paint))


def cell_width(text: str) -> int:
    """Width of a printable text in cells of a terminal: two for a wide character, none for an accent."""
    if text.isascii():
        return len(text)
    return sum(map(_char_width, text))


def _char_width(char: str) -> int:
    if unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def format_table(
    columns: Sequence[Column], rows: Iterable[Sequence[str | Cell]], *, width: int, paint: Paint = plain
) -> str:
    """A table as lines of at most `width` cells, each with a newline; control characters are escaped.

    Headings are bold; there is no heading line if all names are empty.
    """
    has_header = any(column.name for column in columns)
    header = [[Cell(column.name, "bold") for column in columns]] if has_header else []
    table = [[_visible(cell) for cell in row] for row in (*header, *rows)]
    if not table:
        return ""
    widths = _widths(columns, table, width)
    first = widths[:-1]
    rest = width - sum(first) - len(_GAP) * len(first)
    lines: list[str] = []
    for number, row in enumerate(table):
        blocks = [
            _block(column, cell, size, paint) for column, cell, size in zip(columns, row, widths, strict=True)
        ]
        at_bottom = has_header and number == 0
        if first and not columns[-1].fold and max(map(cell_width, (row[-1].text, *row[-1].more))) > rest:
            lines += _side_by_side(blocks[:-1], first, at_bottom)
            lines += [(_INDENT + line).rstrip() for line in blocks[-1]]
        else:
            lines += _side_by_side(blocks, widths, at_bottom)
    return "".join(f"{line}\n" for line in lines)


def fold(text: str, width: int) -> list[str]:
    """Wrap text at spaces into lines of at most `width` cells; a longer word is split."""
    if cell_width(text) <= width:
        return [text]
    lines: list[str] = []
    for word in text.split():
        joined = f"{lines[-1]} {word}" if lines else word
        if cell_width(joined) <= width:
            lines[-1:] = [joined]
        else:
            lines += _cut(word, width)
    return lines


def _cut(word: str, width: int) -> Iterator[str]:
    start = taken = 0
    for place, char in enumerate(word):
        if taken + _char_width(char) > width and place > start:
            yield word[start:place]
            start, taken = place, 0
        taken += _char_width(char)
    yield word[start:]


def _visible(cell: str | Cell) -> Cell:
    text, style, more = cell if isinstance(cell, Cell) else Cell(cell)
    return Cell(visible(text), style, tuple(map(visible, more)))


def _widths(columns: Sequence[Column], table: Sequence[Sequence[Cell]], width: int) -> list[int]:
    """Widths of the columns in cells: those of their texts; columns with `fold` shrink to fit `width`."""
    widths, minima = [], []
    for column, cells in zip(columns, zip(*table, strict=True), strict=True):
        lines = [line for cell in cells for line in (cell.text, *cell.more)]
        longest = max(map(cell_width, lines))
        word = max(cell_width(word) for line in lines for word in line.split(" "))
        widths.append(longest)
        minima.append(min(longest, max(_MIN_WIDTH, min(word, _LONGEST_WORD))) if column.fold else longest)
    if not columns[-1].fold:  # a longer text is printed on a line of its own
        widths[-1] = minima[-1] = min(widths[-1], width // 2)
    while sum(widths) + len(_GAP) * (len(widths) - 1) > width:
        foldable = [place for place in range(len(columns)) if widths[place] > minima[place]]
        if not foldable:
            break
        widths[max(foldable, key=widths.__getitem__)] -= 1
    return widths


def _block(column: Column, cell: Cell, size: int, paint: Paint) -> list[str]:
    """The lines of a cell: wrapped, painted, and padded with spaces to `size` cells."""
    lines = [cell.text, *cell.more]
    if column.fold:
        lines = [piece for line in lines for piece in fold(line, size)]
    fillers = [" " * (size - cell_width(line)) for line in lines]
    if column.right:
        return [paint(filler + line, cell.style) for line, filler in zip(lines, fillers, strict=True)]
    return [paint(line, cell.style) + filler for line, filler in zip(lines, fillers, strict=True)]


def _side_by_side(blocks: Sequence[list[str]], widths: Sequence[int], at_bottom: bool) -> Iterator[str]:
    """Lines of the blocks next to each other, aligned at the top or at the bottom."""
    height = max(map(len, blocks))
    columns = []
    for block, size in zip(blocks, widths, strict=True):
        missing = [" " * size] * (height - len(block))
        columns.append(missing + block if at_bottom else block + missing)
    for pieces in zip(*columns, strict=True):
        yield _GAP.join(pieces).rstrip()
