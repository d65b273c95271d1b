"""HTML tables of photos for notebooks, with embedded thumbnails and of bounded size."""

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clipsight.core.text import visible
from clipsight.indexing.media.picture import Picture
from clipsight.indexing.media.thumbnails import data_uri, thumbnails

if TYPE_CHECKING:
    from PIL.Image import Image

SHOWN = 20
"""Maximum number of photos in a table, some 100 KB."""

_THUMBNAIL = (128, 96)
_MAX_TEXT = 300
"""Maximum number of characters in a cell."""


@dataclass(frozen=True, slots=True)
class Row:
    """A table row: a photo and the texts of the other cells."""

    photo: Picture
    cells: tuple[str, ...]


def table(caption: str, header: Sequence[str], rows: Sequence[Row], *, more: int | bool) -> str:
    """A self-contained HTML table: thumbnail, file name, and the rows' cells under `header`.

    `more` is the number of photos that are not shown, or True if it is unknown. A photo that can't be read
    is replaced by the reason.
    """
    heads = "".join(f"<th>{_safe(name)}</th>" for name in ("", "photo", *header))
    body = "".join(
        f"<tr><td>{_picture(thumbnail)}</td>{_name(row.photo)}"
        + "".join(f"<td>{_safe(cell)}</td>" for cell in row.cells)
        + "</tr>"
        for row, thumbnail in zip(rows, thumbnails((row.photo for row in rows), _THUMBNAIL), strict=True)
    )
    rest = "" if not more else f"<p>and {'more' if more is True else f'{more:,} more'}</p>"
    return f"<div><p>{_safe(caption)}</p><table><tr>{heads}</tr>{body}</table>{rest}</div>"


def _picture(thumbnail: "Image | str") -> str:
    if isinstance(thumbnail, str):
        return f"<small>{_safe(thumbnail)}</small>"
    return f'<img alt="" src="{data_uri(thumbnail)}">'


def _name(photo: Picture) -> str:
    return f'<td title="{_safe(photo.name)}">{_safe(photo.path.name or photo.name)}</td>'


def _safe(text: str) -> str:
    shown = visible(text)
    return html.escape(shown if len(shown) <= _MAX_TEXT else f"{shown[:_MAX_TEXT]}...")
