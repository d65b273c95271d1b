"""Thumbnails in the terminal: as pictures if it supports them, else as coloured half blocks.

The terminal's capabilities are detected from environment variables alone: a query to the terminal could hang,
or leave its response in the shell's input. No variable reveals support of sixel, so it is not used. In tmux
and screen, which do not pass pictures on, thumbnails are half blocks too.
"""

import base64
import io
import os
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from typing import TYPE_CHECKING, TextIO

from clipsight.core.text import visible
from clipsight.indexing.media.thumbnails import thumbnails
from clipsight.render.columns import cell_width
from clipsight.render.fonts import ELLIPSIS
from clipsight.search.results import Match, Matches

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from PIL.Image import Image

    Pixels = npt.NDArray[np.uint8]


class ImageProtocol(Enum):
    """Protocol for pictures in a terminal."""

    KITTY = "kitty"
    """https://sw.kovidgoyal.net/kitty/graphics-protocol/: kitty, Ghostty."""
    ITERM = "iterm"
    """https://iterm2.com/documentation-images.html: iTerm2, WezTerm, mintty, Rio, Konsole from 22.04."""
    TRUECOLOR = "truecolor"
    """Half blocks in 24-bit colour."""
    COLOURS_256 = "256"
    """Half blocks in the 240 fixed colours of xterm's palette."""


_PICTURE = (26, 12)
"""Width of a thumbnail in cells, and pixels per cell, which the terminal scales to its cell size."""
_BLOCKS = (38, 1)
_GAP = 2
_GREY = "#6c6c6c"


def image_protocol(stream: TextIO, environ: Mapping[str, str]) -> ImageProtocol | None:
    """The best protocol for `stream`; None if it is not a terminal, or supports none."""
    encoding = (getattr(stream, "encoding", None) or "").lower().replace("-", "")
    if not stream.isatty() or not encoding.startswith("utf8"):
        return None
    term, program = environ.get("TERM", ""), environ.get("TERM_PROGRAM", "")
    if term in ("", "dumb"):
        return None
    multiplexed = "TMUX" in environ or "STY" in environ or term.startswith(("tmux", "screen"))
    if not multiplexed:
        if term in ("xterm-kitty", "xterm-ghostty") or program == "ghostty":
            return ImageProtocol.KITTY
        if program in ("iTerm.app", "WezTerm", "mintty", "rio") or environ.get("LC_TERMINAL") == "iTerm2":
            return ImageProtocol.ITERM
        konsole = environ.get("KONSOLE_VERSION", "")  # 220400 is 22.04.0
        if konsole.isdecimal() and int(konsole) >= 220400:
            return ImageProtocol.ITERM
    if (
        environ.get("COLORTERM") in ("truecolor", "24bit")
        or term.endswith("-direct")
        or "WT_SESSION" in environ
    ):
        return ImageProtocol.TRUECOLOR
    return ImageProtocol.COLOURS_256 if "256color" in term else None


def print_previews(matches: Matches, stream: TextIO, *, width: int) -> bool:
    """Print a thumbnail of each match with its name and score, in rows of at most `width` cells.

    Returns False, and prints nothing, if `stream` can't show pictures (see `image_protocol`). A photo
    that can't be read is grey, with the reason below.
    """
    protocol = image_protocol(stream, os.environ)
    if protocol is None:
        return False
    cells, pixels_a_cell = _PICTURE if protocol in (ImageProtocol.KITTY, ImageProtocol.ITERM) else _BLOCKS
    cells = max(4, min(cells, width))  # some terminals report a width of 0
    columns = max(1, (width + _GAP) // (cells + _GAP))
    for start in range(0, len(matches), columns):
        row = matches.matches[start : start + columns]
        strip, captions = _strip(row, cells, pixels_a_cell)
        stream.write(_picture(strip, strip.width // pixels_a_cell, protocol))
        stream.writelines(f"{line}\n" for line in captions)
        stream.write("\n")
        stream.flush()
    return True


def half_blocks(pixels: "Pixels", protocol: ImageProtocol) -> Iterator[str]:
    """Yield lines of text that show `pixels`, uint8[2 * lines, columns, RGBA].

    A cell shows two pixels, the upper one as foreground, the lower one as background. Pixels of
    alpha < 128 are blank.
    """
    codes = _codes(pixels[..., :3], protocol)
    opaque = pixels[..., 3] >= 128
    for top in range(0, len(pixels), 2):
        line, last = [], ""
        for upper, lower, has_upper, has_lower in zip(
            codes[top], codes[top + 1], opaque[top], opaque[top + 1], strict=True
        ):
            if has_upper:
                style, sign = f"38;{upper}" + (f";48;{lower}" if has_lower else ";49"), "▀"
            else:
                style, sign = (f"38;{lower};49", "▄") if has_lower else ("0", " ")
            line.append(sign if style == last else f"\x1b[{style}m{sign}")
            last = style
        yield "".join(line) + "\x1b[0m"


def nearest_256(rgb: "Pixels") -> "Pixels":
    """Index of the nearest fixed colour of xterm's palette, uint8[...], for uint8[..., RGB].

    16 to 231 are a cube of 6 x 6 x 6, 232 to 255 greys. Nearest by squared distance; on a tie, the cube's.
    """
    import numpy as np

    levels = np.array([0, 95, 135, 175, 215, 255])
    wide = rgb.astype(np.int64)
    steps = np.abs(wide[..., None] - levels).argmin(axis=-1)
    grey = ((wide.sum(axis=-1) / 3 - 8) / 10).round().clip(0, 23).astype(np.int64)
    to_cube = ((wide - levels[steps]) ** 2).sum(axis=-1)
    to_grey = ((wide - (8 + 10 * grey)[..., None]) ** 2).sum(axis=-1)
    cube = 16 + steps @ np.array([36, 6, 1])
    nearest: Pixels = np.where(to_grey < to_cube, 232 + grey, cube).astype(np.uint8)
    return nearest


def _codes(rgb: "Pixels", protocol: ImageProtocol) -> Sequence[Sequence[str]]:
    """The parameters of the escape sequence for each pixel's colour."""
    if protocol is ImageProtocol.COLOURS_256:
        return [[f"5;{index}" for index in row] for row in nearest_256(rgb).tolist()]
    return [["2;{};{};{}".format(*colour) for colour in row] for row in rgb.tolist()]


def _picture(strip: "Image", cells: int, protocol: ImageProtocol) -> str:
    """Escape sequences and text that show `strip`, `cells` wide, with a final newline."""
    if protocol is ImageProtocol.KITTY:
        return _kitty(_png(strip), cells) + "\n"
    if protocol is ImageProtocol.ITERM:
        return _iterm(_png(strip), cells) + "\n"
    import numpy as np

    return "".join(f"{line}\n" for line in half_blocks(np.asarray(strip), protocol))


def _kitty(png: bytes, cells: int) -> str:
    """The picture in chunks of 4096 characters; q=2 suppresses responses of the terminal."""
    data = base64.b64encode(png).decode()
    chunks = [data[start : start + 4096] for start in range(0, len(data), 4096)]
    keys = [f"a=T,f=100,c={cells},q=2", *["q=2"] * (len(chunks) - 1)]
    more = [1] * (len(chunks) - 1) + [0]
    return "".join(
        f"\x1b_G{key},m={m};{chunk}\x1b\\" for key, m, chunk in zip(keys, more, chunks, strict=True)
    )


def _iterm(png: bytes, cells: int) -> str:
    data = base64.b64encode(png).decode()
    return (
        f"\x1b]1337;File=inline=1;size={len(png)};width={cells};height=auto;preserveAspectRatio=1:{data}\x07"
    )


def _png(picture: "Image") -> bytes:
    file = io.BytesIO()
    picture.save(file, "PNG", compress_level=1)
    return file.getvalue()


def _strip(row: Sequence[Match], cells: int, pixels_a_cell: int) -> "tuple[Image, list[str]]":
    """One row: thumbnails side by side (RGBA, transparent, of even height), and the caption lines."""
    from PIL import Image

    step, width = (cells + _GAP) * pixels_a_cell, cells * pixels_a_cell
    size = (width, width * 3 // 4)
    photos: list[Image.Image] = []
    names, scores = [], []
    for match, photo in zip(row, thumbnails([match.picture for match in row], size), strict=True):
        score = f"{match.score:.3f}"
        if isinstance(photo, str):
            score, photo = f"{score} {photo}", Image.new("RGB", size, _GREY)
        photos.append(photo)
        names.append(_fit(visible(match.path.name), cells))
        scores.append(_fit(visible(score), cells))
    height = max(photo.height for photo in photos)
    height += height % 2
    strip = Image.new("RGBA", (step * len(row) - _GAP * pixels_a_cell, height))
    for number, photo in enumerate(photos):
        strip.paste(photo, (number * step, height - photo.height))
    return strip, [(" " * _GAP).join(names).rstrip(), (" " * _GAP).join(scores).rstrip()]


def _fit(text: str, cells: int) -> str:
    """Pad `text` to exactly `cells` cells, or shorten it in the middle."""
    for kept in range(len(text), -1, -1):
        tail = kept // 2
        short = text if kept == len(text) else text[: kept - tail] + ELLIPSIS + text[len(text) - tail :]
        if cell_width(short) <= cells:
            return short + " " * (cells - cell_width(short))
    return " " * cells
