"""Text in aligned columns, within the width of a terminal, in which the last column is whole.

A column that may be folded is, at blanks, where the table is too wide. What stands last, such as a path, is
not: where the rest of a line is too narrow for it, it has a line of its own, from which it can be copied.
"""

import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple, TextIO

from clipsight.core import terminal
from clipsight.core.text import visible

_GAP = "  "
_LEAST, _LONGEST_WORD = 8, 24
"""Cells of a folded column: at least so many, or those of its longest word up to a limit."""

_INDENT = "    "


class Column(NamedTuple):
    """A column: its heading, alignment, and if its text may be folded."""

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
    """The text in bold or dim, which every terminal has; the text alone for any other style."""
    code = {"bold": "1", "dim": "2"}.get(style)
    return f"\33[{code}m{text}\33[0m" if code else text


def coloured(stream: TextIO) -> Paint:
    """Paint with the colours that the terminal behind `stream` has, without any if there is none."""
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
    usual = basic if terminal.has_colours(sys.stdout) else plain
    sys.stdout.write(format_table(columns, rows, width=terminal.width(sys.stdout), paint=paint or usual))


def cell_width(text: str) -> int:
    """Number of a terminal's cells that a printable text takes: two for wide letters, none for accents."""
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
    """A table as lines of text, each with its line end; control characters are escaped.

    `width` is that of a line in cells. Headings are bold, and left out if none has a text.
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
        from_below = has_header and number == 0
        if first and not columns[-1].fold and max(map(cell_width, (row[-1].text, *row[-1].more))) > rest:
            lines += _beside(blocks[:-1], first, from_below)
            lines += [(_INDENT + line).rstrip() for line in blocks[-1]]
        else:
            lines += _beside(blocks, widths, from_below)
    return "".join(f"{line}\n" for line in lines)


def fold(text: str, width: int) -> list[str]:
    """Fold text at blanks into lines of at most `width` cells; a longer word is cut."""
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
    """Widths of the columns: those of their texts, less where a column may be folded and the line is full."""
    widths, least = [], []
    for column, cells in zip(columns, zip(*table, strict=True), strict=True):
        lines = [line for cell in cells for line in (cell.text, *cell.more)]
        longest = max(map(cell_width, lines))
        word = max(cell_width(word) for line in lines for word in line.split(" "))
        widths.append(longest)
        least.append(min(longest, max(_LEAST, min(word, _LONGEST_WORD))) if column.fold else longest)
    if not columns[-1].fold:  # what is too long has a line of its own
        widths[-1] = least[-1] = min(widths[-1], width // 2)
    while sum(widths) + len(_GAP) * (len(widths) - 1) > width:
        foldable = [place for place in range(len(columns)) if widths[place] > least[place]]
        if not foldable:
            break
        widths[max(foldable, key=widths.__getitem__)] -= 1
    return widths


def _block(column: Column, cell: Cell, size: int, paint: Paint) -> list[str]:
    """The lines of a cell: folded, painted, and filled with blanks up to `size` cells."""
    lines = [cell.text, *cell.more]
    if column.fold:
        lines = [piece for line in lines for piece in fold(line, size)]
    fillers = [" " * (size - cell_width(line)) for line in lines]
    if column.right:
        return [paint(filler + line, cell.style) for line, filler in zip(lines, fillers, strict=True)]
    return [paint(line, cell.style) + filler for line, filler in zip(lines, fillers, strict=True)]


def _beside(blocks: Sequence[list[str]], widths: Sequence[int], from_below: bool) -> Iterator[str]:
    """Lines of blocks side by side, which begin at the top, or end at the bottom."""
    height = max(map(len, blocks))
    columns = []
    for block, size in zip(blocks, widths, strict=True):
        missing = [" " * size] * (height - len(block))
        columns.append(missing + block if from_below else block + missing)
    for pieces in zip(*columns, strict=True):
        yield _GAP.join(pieces).rstrip()
