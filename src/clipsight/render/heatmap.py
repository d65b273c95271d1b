"""Heat maps of predictions, photos x labels, coloured by probability: in a terminal, as HTML, as PNG.

Few labels have a column each. With more labels, the columns are ranks: each photo's best label, its second,
and so on.
"""

import html
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from clipsight.classification.predictions import Prediction, PredictionStream, best_labels
from clipsight.core import paths, terminal
from clipsight.core.files import atomic_write, write_picture
from clipsight.core.text import visible
from clipsight.indexing.media.thumbnails import data_uri, thumbnails
from clipsight.render.colors import BACKGROUND, MUTED_TEXT, PLACEHOLDER, TEXT, heat_colour, text_colour
from clipsight.render.columns import Cell as TextCell
from clipsight.render.columns import Column, coloured, print_columns
from clipsight.render.fonts import TextRenderer
from clipsight.render.predictions import PredictionTally

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

TABLE_ROWS, HTML_ROWS, PNG_ROWS = 50, 200, 100
"""Maximum number of photos shown, the first ones."""

MAX_COLUMNS = 24
"""Maximum number of columns."""

_MATRIX, _RANKED = MAX_COLUMNS // 2, 5
"""Up to how many labels each has a column, and the number of ranks for more labels."""


@dataclass(frozen=True)
class Cell:
    """A label's probability for a photo; `best` if it is the highest."""

    label: str
    probability: float
    best: bool


@dataclass(frozen=True)
class Grid:
    """Columns of the heat map: all labels if `ranked` is 0, else each photo's `ranked` best ones."""

    labels: tuple[str, ...]
    ranked: int

    @classmethod
    def of(
        cls, labels: tuple[str, ...], top: int | None, *, matrix: int = _MATRIX, ranked: int = _RANKED
    ) -> "Grid":
        """All labels if there are at most `matrix`, else the `ranked` best; or the `top` best, if given."""
        if top is None:
            return cls(labels, 0 if len(labels) <= matrix else ranked)
        if top >= len(labels) and len(labels) <= matrix:
            return cls(labels, 0)
        return cls(labels, min(top, len(labels), MAX_COLUMNS))

    @property
    def header(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(map(str, range(1, self.ranked + 1))) if self.ranked else self.labels

    def cells(self, prediction: Prediction) -> list[Cell]:
        """The cells of a photo, in the order of the columns."""
        row = prediction.probabilities
        best = int(row.argmax())
        order = best_labels(row[None], self.ranked)[0].tolist() if self.ranked else range(len(row))
        return [Cell(self.labels[index], float(row[index]), index == best) for index in order]


def summary(result: PredictionStream, grid: Grid, shown: int, count: int) -> str:
    """One line: model and scoring, and the numbers of photos and labels shown."""
    photos = f"{count:,} photo{'s' if count > 1 else ''}"
    if shown < count:
        photos = f"the first {shown:,} of {photos}"
    if grid.ranked:
        photos += f", the best {grid.ranked} of {len(grid.labels):,} labels each"
    return f"{result.summary}: {photos}"


def print_table(tally: PredictionTally, top: int | None, *, inside: Path | None = None) -> None:
    """Print the first photos as a table, best cells marked by `*`, coloured if stdout supports it.

    Paths are relative to the folder `inside`, or to `~`. Beyond `TABLE_ROWS` photos, a second table counts
    all photos by their best label.
    """
    labels = tally.result.labels
    available = terminal.width(sys.stdout) - 24  # without the path; a number takes 8 cells, with its label 16
    grid = Grid.of(
        labels, top, matrix=max(2, min(_MATRIX, available // 8)), ranked=max(1, min(_RANKED, available // 16))
    )
    columns = [Column(name, right=True, fold=True) for name in grid.header]
    rows = [
        [
            *(_terminal_cell(cell, named=bool(grid.ranked)) for cell in grid.cells(prediction)),
            TextCell(paths.short(prediction.path, inside)),
        ]
        for prediction in tally.first[:TABLE_ROWS]
    ]
    print_columns([*columns, Column("(* best)  photo")], rows, paint=coloured(sys.stdout))
    if tally.count > TABLE_ROWS:
        print()
        _print_counts(tally)


def _print_counts(tally: PredictionTally) -> None:
    """Print the number of photos by best label, most frequent first."""
    rows = [(f"{count:,}", label) for label, count in tally.photos_of.most_common(TABLE_ROWS)]
    print_columns([Column(f"of all {tally.count:,}", right=True), Column("best label", fold=True)], rows)


def _terminal_cell(cell: Cell, *, named: bool) -> TextCell:
    red, green, blue = colour = heat_colour(cell.probability)
    mark = "*" if cell.best else " "
    text = f"{visible(cell.label)} {cell.probability:.2f}" if named else f"{cell.probability:.2f}"
    bold = "bold " if cell.best else ""
    return TextCell(f" {text}{mark}", f"{bold}{text_colour(colour)} on rgb({red},{green},{blue})")


# -- HTML ---------------------------------------------------------------------------

_STYLE = """
:root { color-scheme: dark }
body { margin: 2rem; font: 14px/1.4 system-ui, sans-serif; color: #f2f2f2; background: #161618 }
p { color: #a2a2aa }
table { border-collapse: separate; border-spacing: 2px }
thead th { position: sticky; top: 0; padding: .4rem; background: #161618; vertical-align: bottom;
  max-width: 9rem; overflow-wrap: anywhere; font-weight: 600 }
tbody th { text-align: left; font-weight: 400; max-width: 18rem; overflow-wrap: anywhere;
  padding-right: .6rem }
td { min-width: 4.2rem; padding: .4rem; text-align: center; font-variant-numeric: tabular-nums }
td.best { outline: 2px solid #f2f2f2; outline-offset: -2px; font-weight: 700 }
td span { display: block; overflow-wrap: anywhere }
img { display: block; max-width: 112px; max-height: 84px; margin: auto }
.missing { max-width: 112px; color: #a2a2aa; font-size: 11px }
"""


def write_html(tally: PredictionTally, file: Path, top: int | None) -> None:
    """Write the first photos as one self-contained HTML file with thumbnails, atomically.

    Raises `LibraryError` if it can't be written.
    """
    with atomic_write(file) as temporary, temporary.open("xb") as out:
        for line in _html(tally, Grid.of(tally.result.labels, top)):
            out.write(line.encode())


def _html(tally: PredictionTally, grid: Grid) -> Iterator[str]:
    rows = tally.first[:HTML_ROWS]
    yield '<!DOCTYPE html>\n<html lang="en">\n<meta charset="utf-8">\n<title>clipsight classify</title>\n'
    yield f"<style>{_STYLE}</style>\n<h1>Classification</h1>\n"
    yield f"<p>{html.escape(visible(summary(tally.result, grid, len(rows), tally.count)))}</p>\n<table>\n"
    heading = "".join(f'<th scope="col">{html.escape(visible(name))}</th>' for name in grid.header)
    yield f"<thead><tr><th></th><th></th>{heading}</tr></thead>\n<tbody>\n"
    for prediction, thumbnail in zip(rows, _thumbnails(rows), strict=True):
        path = visible(str(prediction.path))
        yield f'<tr><td>{_html_picture(thumbnail)}</td><th scope="row">{html.escape(path)}</th>'
        yield "".join(_html_cell(cell, named=bool(grid.ranked)) for cell in grid.cells(prediction))
        yield "</tr>\n"
    yield "</tbody>\n</table>\n</html>\n"


def _html_cell(cell: Cell, *, named: bool) -> str:
    red, green, blue = colour = heat_colour(cell.probability)
    best = ' class="best"' if cell.best else ""
    name = f"<span>{html.escape(visible(cell.label))}</span>" if named else ""
    style = f"background: rgb({red} {green} {blue}); color: {text_colour(colour)}"
    return f'<td{best} style="{style}">{name}{cell.probability:.3f}</td>'


def _html_picture(thumbnail: "Image | str") -> str:
    if isinstance(thumbnail, str):
        return f'<div class="missing">{html.escape(visible(thumbnail))}</div>'
    return f'<img alt="" src="{data_uri(thumbnail)}">'


# -- PNG ----------------------------------------------------------------------------

_MARGIN, _GAP, _LINE = 32, 2, 20
_THUMBNAIL = (112, 84)
_NAME, _MATRIX_CELL, _RANKED_CELL = 208, 96, 144
_SMALL = 14


def write_png(tally: PredictionTally, file: Path, top: int | None) -> None:
    """Write the first photos as a picture, one row per photo with thumbnail and name, atomically.

    Raises `LibraryError` if it can't be written.
    """
    write_picture(lambda: _draw(tally, Grid.of(tally.result.labels, top)), file, "PNG")


def _draw(tally: PredictionTally, grid: Grid) -> "Image":
    from PIL import Image, ImageDraw

    rows = tally.first[:PNG_ROWS]
    caption = summary(tally.result, grid, len(rows), tally.count)
    renderer = TextRenderer([caption, *tally.result.labels, *(row.path.name for row in rows)])
    cell = _RANKED_CELL if grid.ranked else _MATRIX_CELL
    left = _MARGIN + _THUMBNAIL[0] + _NAME
    width = left + len(grid.header) * (cell + _GAP) + _MARGIN
    caption_lines = renderer.wrap(renderer.legible(caption), _SMALL, width - 2 * _MARGIN, 4)
    header_lines = [renderer.wrap(renderer.legible(name), _SMALL, cell - 8, 4) for name in grid.header]
    top = _MARGIN + (len(caption_lines) + max(map(len, header_lines))) * _LINE + 24
    step = _THUMBNAIL[1] + _GAP
    picture = Image.new("RGB", (width, top + len(rows) * step + _MARGIN), BACKGROUND)
    canvas = ImageDraw.Draw(picture)
    for number, line in enumerate(caption_lines):
        renderer.draw(canvas, (_MARGIN, _MARGIN + number * _LINE + 12), line, _SMALL, MUTED_TEXT)
    for column, lines in enumerate(header_lines):
        _centred(canvas, renderer, lines, left + column * (cell + _GAP) + cell / 2, top - 8, TEXT)

    @cache
    def label_lines(label: str) -> list[str]:
        return renderer.wrap(renderer.legible(label), _SMALL, cell - 16, 2)

    for number, (prediction, photo) in enumerate(zip(rows, _thumbnails(rows), strict=True)):
        y = top + number * step
        _draw_photo(picture, canvas, photo, y)
        name = renderer.wrap(renderer.legible(prediction.path.name), _SMALL, _NAME - 24, 3)
        base = y + (_THUMBNAIL[1] - len(name) * _LINE) // 2 + 15
        for line_number, line in enumerate(name):
            place = (_MARGIN + _THUMBNAIL[0] + 12, base + line_number * _LINE)
            renderer.draw(canvas, place, line, _SMALL, TEXT)
        for column, each in enumerate(grid.cells(prediction)):
            lines = [*(label_lines(each.label) if grid.ranked else ()), f"{each.probability:.3f}"]
            _draw_cell(canvas, renderer, (left + column * (cell + _GAP), y, cell), each, lines)
    return picture


def _draw_photo(picture: "Image", canvas: "ImageDraw", photo: "Image | str", y: int) -> None:
    width, height = _THUMBNAIL
    if isinstance(photo, str):
        canvas.rectangle((_MARGIN, y, _MARGIN + width - 1, y + height - 1), fill=PLACEHOLDER)
        renderer = TextRenderer([photo])
        lines = renderer.wrap(renderer.legible(photo), 11, width - 12, 5)
        for number, line in enumerate(lines):
            renderer.draw(canvas, (_MARGIN + 6, y + 16 + 14 * number), line, 11, MUTED_TEXT)
    else:
        picture.paste(photo, (_MARGIN + (width - photo.width) // 2, y + (height - photo.height) // 2))


def _draw_cell(
    canvas: "ImageDraw", renderer: TextRenderer, box: tuple[int, int, int], cell: Cell, lines: Sequence[str]
) -> None:
    """Draw a cell at `box` (left, top, width), with a frame around the best of the photo."""
    left, top, width = box
    height, colour = _THUMBNAIL[1], heat_colour(cell.probability)
    outline = TEXT if cell.best else None
    canvas.rectangle((left, top, left + width - 1, top + height - 1), colour, outline, width=3)
    base = top + (height + len(lines) * _LINE) // 2 - 5
    _centred(canvas, renderer, lines, left + width / 2, base, text_colour(colour))


def _centred(
    canvas: "ImageDraw", renderer: TextRenderer, lines: Sequence[str], middle: float, base: float, colour: str
) -> None:
    """Draw lines centred at `middle`, with the last baseline at `base`."""
    for number, line in enumerate(reversed(lines)):
        x = middle - renderer.width(line, _SMALL) / 2
        renderer.draw(canvas, (x, base - number * _LINE), line, _SMALL, colour)


def _thumbnails(rows: Sequence[Prediction]) -> "Iterator[Image | str]":
    return thumbnails((row.picture for row in rows), _THUMBNAIL)
