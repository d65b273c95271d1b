"""Contact sheets: the results of a query as thumbnails with captions in one picture."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, sqrt
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from clipsight.core.arguments import whole_number
from clipsight.core.errors import LibraryError
from clipsight.core.files import write_picture
from clipsight.indexing.media.thumbnails import thumbnails
from clipsight.render.colors import BACKGROUND, MUTED_TEXT, PLACEHOLDER, TEXT
from clipsight.render.fonts import TextRenderer

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

    from clipsight.indexing.media.picture import Picture
    from clipsight.search.results import Matches

TILE = (264, 212)
"""Maximum width and height of a thumbnail, in pixels."""

MAX_SIDE = 65_000
"""Maximum side of a contact sheet in pixels; JPEG allows 65,535."""

MAX_PIXELS = 64_000_000
"""Maximum size: about 750 photos, and 256 MB of memory."""

_FORMATS: dict[str, Literal["JPEG", "PNG"]] = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG"}

_MARGIN = 32
_GAP = 24
_CAPTION = 44
"""Height of the two lines below a thumbnail."""

_TILE_COLOUR = "#212124"
_TITLE_SIZE, _TITLE_LINE, _TITLE_LINES = 24, 32, 3
_TEXT_SIZE, _TEXT_LINE = 14, 20


def write_contact_sheet(matches: "Matches", file: Path, *, columns: int | None = None) -> None:
    """Write a contact sheet of `matches` to `file`, atomically, as JPEG or PNG by its suffix.

    The title is the query, with the model below it; each caption has the file name and the score.
    Thumbnails keep their aspect ratio and are not enlarged. A photo that can't be read is a grey tile with
    the reason. Without matches, the sheet says so. By default, `columns` is chosen to fill the rows.

    Raises as `write_sheet`.
    """
    count = f"{len(matches):,} photo{'s' if len(matches) > 1 else ''}" if matches else "no photo matches"
    items = [Item(match.path, match.picture, f"{match.score:.3f}") for match in matches]
    write_sheet(Sheet(matches.query, f"model {matches.model}: {count}", items), file, columns=columns)


@dataclass(frozen=True, slots=True)
class Item:
    """A photo of a sheet, with the line below its file's name."""

    path: Path
    picture: "Picture"
    note: str


@dataclass(frozen=True, slots=True)
class Sheet:
    """The contents of a contact sheet."""

    title: str
    subtitle: str
    items: Sequence[Item]


def write_sheet(sheet: Sheet, file: Path, *, columns: int | None = None) -> None:
    """Write a contact sheet to `file`; see `write_contact_sheet`.

    Raises LibraryError for another suffix, a folder that can't be written to, too many photos, or a `file`
    that is one of the photos.
    """
    file = Path(os.path.realpath(file))
    format_ = _FORMATS.get(file.suffix.lower())
    if format_ is None:
        raise LibraryError(f"can't write a contact sheet as {file.name}: name it .jpg or .png")
    if any(os.path.realpath(item.path) == str(file) for item in sheet.items):
        raise LibraryError(
            f"{file} is one of the photos that were found: choose another name for the contact sheet"
        )
    whole_number(columns, "columns", minimum=1, error=LibraryError)
    across = columns or choose_columns(len(sheet.items))
    write_picture(lambda: _draw(sheet, across), file, format_)


@dataclass(frozen=True, slots=True)
class Box:
    """Rectangle in pixels, from the upper left corner."""

    left: int
    top: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Layout:
    """Size of a contact sheet, and its tiles row by row; captions are below the tiles."""

    width: int
    height: int
    tiles: tuple[Box, ...]


def lay_out(count: int, columns: int, title_lines: int) -> Layout:
    """Arrange `count` photos; the width is at least three columns, for the title."""
    width, height = TILE
    top = _MARGIN + title_lines * _TITLE_LINE + _TEXT_LINE + _GAP
    tiles = tuple(
        Box(_MARGIN + column * (width + _GAP), top + row * (height + _CAPTION + _GAP), width, height)
        for row, column in (divmod(index, columns) for index in range(count))
    )
    rows = ceil(count / columns)
    return Layout(
        width=page_width(columns),
        height=top + (rows * (height + _CAPTION + _GAP) - _GAP if rows else _TEXT_LINE) + _MARGIN,
        tiles=tiles,
    )


def page_width(columns: int) -> int:
    """Width in pixels of a contact sheet with `columns` columns."""
    return 2 * _MARGIN + max(columns, 3) * (TILE[0] + _GAP) - _GAP


def choose_columns(count: int) -> int:
    """The number of columns, 1 to 8, for few empty places and an aspect ratio of about 3:2."""
    if count <= 3:
        return max(count, 1)
    ideal = min(8, max(3, round(sqrt(1.5 * count))))
    near = range(max(3, ideal - 1), min(8, ideal + 1) + 1)
    return min(near, key=lambda columns: (-count % columns, abs(columns - ideal), -columns))


def _draw(sheet: Sheet, columns: int) -> "Image":
    """The contact sheet, mode RGB."""
    from PIL import Image, ImageDraw

    items = sheet.items
    renderer = TextRenderer([sheet.title, sheet.subtitle, *(item.path.name for item in items)])
    title = renderer.wrap(
        renderer.legible(" ".join(sheet.title.split())),
        _TITLE_SIZE,
        page_width(columns) - 2 * _MARGIN,
        _TITLE_LINES,
    )
    layout = lay_out(len(items), columns, len(title))
    _check_size(layout, len(items))
    page = Image.new("RGB", (layout.width, layout.height), BACKGROUND)
    canvas = ImageDraw.Draw(page)
    _draw_title(canvas, renderer, title, renderer.legible(sheet.subtitle))
    for item, tile, photo in zip(
        items, layout.tiles, thumbnails((item.picture for item in items), TILE), strict=True
    ):
        if isinstance(photo, str):
            _draw_missing(canvas, tile, photo)
        else:
            _fill(canvas, tile, _TILE_COLOUR)
            left = tile.left + (tile.width - photo.width) // 2
            page.paste(photo, (left, tile.top + (tile.height - photo.height) // 2))
        _draw_caption(canvas, renderer, tile, item)
    return page


def _check_size(layout: Layout, count: int) -> None:
    if max(layout.width, layout.height) > MAX_SIDE or layout.width * layout.height > MAX_PIXELS:
        raise LibraryError(
            f"a contact sheet of {count:,} photos would have {layout.width:,} x {layout.height:,} pixels, "
            f"more than the maximum: choose a smaller `top`, and for the next photos an `offset`"
        )


def _draw_title(canvas: "ImageDraw", renderer: TextRenderer, title: Sequence[str], subtitle: str) -> None:
    base = _MARGIN - 8
    for line in title:
        base += _TITLE_LINE
        renderer.draw(canvas, (_MARGIN, base), line, _TITLE_SIZE, TEXT)
    renderer.draw(canvas, (_MARGIN, base + _TEXT_LINE + 4), subtitle, _TEXT_SIZE, MUTED_TEXT)


def _draw_caption(canvas: "ImageDraw", renderer: TextRenderer, tile: Box, item: Item) -> None:
    name = renderer.shorten(renderer.legible(item.path.name), _TEXT_SIZE, tile.width)
    base = tile.top + tile.height + _TEXT_LINE
    renderer.draw(canvas, (tile.left, base), name, _TEXT_SIZE, TEXT)
    renderer.draw(canvas, (tile.left, base + _TEXT_LINE), item.note, _TEXT_SIZE, MUTED_TEXT)


def _draw_missing(canvas: "ImageDraw", tile: Box, reason: str) -> None:
    """Draw a grey tile with the reason why the photo can't be shown."""
    _fill(canvas, tile, PLACEHOLDER)
    renderer = TextRenderer([reason])
    lines = renderer.wrap(renderer.legible(reason), _TEXT_SIZE, tile.width - 2 * _GAP, 6)
    base = tile.top + (tile.height - len(lines) * _TEXT_LINE) // 2 + 15
    for number, line in enumerate(lines):
        left = tile.left + (tile.width - renderer.width(line, _TEXT_SIZE)) / 2
        renderer.draw(canvas, (left, base + number * _TEXT_LINE), line, _TEXT_SIZE, MUTED_TEXT)


def _fill(canvas: "ImageDraw", box: Box, colour: str) -> None:
    last = (box.left + box.width - 1, box.top + box.height - 1)  # inclusive in Pillow
    canvas.rectangle(((box.left, box.top), last), fill=colour)
