"""An explanation as a PNG: a bar chart of the words, the photo, and the photo with its heat map."""

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from clipsight.core.files import write_picture
from clipsight.core.text import visible
from clipsight.explain.base import Explanation
from clipsight.render.colors import BACKGROUND, MUTED_TEXT, NEGATIVE, POSITIVE, TEXT, heat_palette
from clipsight.render.explanations.captions import (
    region_caption,
    symbol_name,
    text_caption,
    title,
    words_caption,
)
from clipsight.render.explanations.overlay import mark_text, max_heat, open_photo, overlay_heat
from clipsight.render.fonts import TextRenderer

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

_AXIS = "#4a4a52"
_WIDTH, _MARGIN, _GAP = 1024, 32, 20
_INSIDE = _WIDTH - 2 * _MARGIN
_TITLE, _TEXT, _SMALL = 24, 16, 13

_BARS = 88
"""Height of the chart in pixels, from the highest to the lowest bar."""
_NARROWEST, _WIDEST, _BETWEEN = 44, 280, 12

_PHOTO = (_INSIDE - _GAP) // 2
_SCALE = 12


def write_png(explanation: Explanation, file: Path) -> None:
    """Write the explanation as a picture, atomically.

    Raises LibraryError if it can't be written, PhotoError if the photo can't be read.
    """
    write_picture(lambda: draw(explanation), file, "PNG")


def draw(explanation: Explanation) -> "Image":
    """The picture, mode RGB, 1024 pixels wide; its height depends on words and photo."""
    from PIL import Image, ImageDraw

    blocks = list(_blocks(explanation))
    height = sum(block.height + _GAP for block in blocks) - _GAP + 2 * _MARGIN
    picture = Image.new("RGB", (_WIDTH, height), BACKGROUND)
    canvas, top = ImageDraw.Draw(picture), _MARGIN
    for block in blocks:
        block.draw(picture, canvas, top)
        top += block.height + _GAP
    return picture


class _Block(Protocol):
    """Part of the picture, of full width."""

    @property
    def height(self) -> int: ...

    def draw(self, picture: "Image", canvas: "ImageDraw", top: int) -> None: ...


def _blocks(explanation: Explanation) -> Iterator[_Block]:
    """The blocks of the picture, from top to bottom."""
    header = [title(explanation), *explanation.notes]
    words = words_caption(explanation) if explanation.words else ""
    region = region_caption(explanation) if explanation.region else ""
    text = text_caption(explanation) if explanation.text else ""
    parts = [part.part for part in explanation.parts]
    renderer = TextRenderer([explanation.query, *header, words, region, text, *parts, "±−"])
    yield _Lines.of(renderer, [" ".join(explanation.query.split())], _TITLE, TEXT)
    yield _Lines.of(renderer, header, _SMALL, MUTED_TEXT)
    if len(parts) > 1:
        yield _Lines.of(renderer, ["parts: they add up to the score"], _SMALL, MUTED_TEXT)
        shares = [_Bar(part.part, part.share, 0.0) for part in explanation.parts]
        yield from _Strip.rows(renderer, shares)
    if explanation.words:
        yield _Lines.of(renderer, [words], _SMALL, MUTED_TEXT)
        bars = [_Bar(word.word, word.contribution, word.stderr or 0.0) for word in explanation.words]
        yield from _Strip.rows(renderer, bars)
    photo = open_photo(explanation, _PHOTO)
    if explanation.text:
        yield _Lines.of(renderer, [text], _SMALL, MUTED_TEXT)
    if explanation.region:
        yield _Photos((mark_text(photo, explanation), overlay_heat(photo, explanation)))
        yield _Scale(renderer, max_heat(explanation))
        yield _Lines.of(renderer, [region], _SMALL, MUTED_TEXT)
    else:
        yield _Photos((mark_text(photo, explanation),))


@dataclass(frozen=True)
class _Lines:
    """Wrapped text."""

    renderer: TextRenderer
    lines: Sequence[str]
    size: int
    colour: str

    @classmethod
    def of(cls, renderer: TextRenderer, texts: Sequence[str], size: int, colour: str) -> "_Lines":
        wrapped = [
            line for text in texts for line in renderer.wrap(_legible(renderer, text), size, _INSIDE, 3)
        ]
        return cls(renderer, wrapped, size, colour)

    @property
    def height(self) -> int:
        return len(self.lines) * _line(self.size)

    def draw(self, picture: "Image", canvas: "ImageDraw", top: int) -> None:
        for number, line in enumerate(self.lines):
            base = top + number * _line(self.size) + self.size
            self.renderer.draw(canvas, (_MARGIN, base), line, self.size, self.colour)


@dataclass(frozen=True)
class _Bar:
    label: str
    value: float
    error: float


@dataclass(frozen=True)
class _Strip:
    """Vertical bars on a common axis; `low` and `high` are the limits of the scale."""

    renderer: TextRenderer
    bars: Sequence[_Bar]
    low: float
    high: float

    @classmethod
    def rows(cls, renderer: TextRenderer, bars: Sequence[_Bar]) -> "Iterator[_Strip]":
        """Strips of about equal width, with one scale; several if the bars are too wide for one."""
        low = min(0.0, *(bar.value - bar.error for bar in bars))
        high = max(0.0, *(bar.value + bar.error for bar in bars))
        widths = [_cell(renderer, bar) for bar in bars]
        room = _INSIDE + _BETWEEN
        room = min(room, sum(widths) // ceil(sum(widths) / room) + max(widths))
        start = used = 0
        for number, width in enumerate(widths):
            if used and used + width > room:
                yield cls(renderer, bars[start:number], low, high)
                start, used = number, 0
            used += width
        yield cls(renderer, bars[start:], low, high)

    @property
    def height(self) -> int:
        below = _line(_SMALL) if self.low < 0 else 0
        return _line(_SMALL) + _BARS + below + _line(_TEXT)

    def draw(self, picture: "Image", canvas: "ImageDraw", top: int) -> None:
        """Draw each bar with its value, its standard error as a line, and its word below."""
        scale = _BARS / ((self.high - self.low) or 1.0)
        zero = top + _line(_SMALL) + round(self.high * scale)
        left = _MARGIN
        for bar in self.bars:
            width = _cell(self.renderer, bar) - _BETWEEN
            end = zero - round(bar.value * scale)
            box = (left, min(zero, end), left + width - 1, max(zero, end))
            canvas.rectangle(box, fill=POSITIVE if bar.value >= 0 else NEGATIVE)
            middle = left + width // 2
            reach = round(bar.error * scale)
            if reach:
                canvas.line((middle, end - reach, middle, end + reach), fill=TEXT, width=2)
            tip = min(end - reach, zero) - 5 if bar.value >= 0 else max(end + reach, zero) + _SMALL + 2
            self._centred(canvas, f"{bar.value:+.3f}", middle, tip, _SMALL, MUTED_TEXT)
            self._centred(canvas, _label(self.renderer, bar), middle, top + self.height - 6, _TEXT, TEXT)
            left += width + _BETWEEN
        canvas.line((_MARGIN, zero, left - _BETWEEN, zero), fill=_AXIS)

    def _centred(
        self, canvas: "ImageDraw", text: str, middle: float, base: int, size: int, colour: str
    ) -> None:
        x = middle - self.renderer.width(text, size) / 2
        self.renderer.draw(canvas, (x, base), text, size, colour)


@dataclass(frozen=True)
class _Photos:
    """Photos side by side."""

    photos: "Sequence[Image]"

    @property
    def height(self) -> int:
        return self.photos[0].height

    def draw(self, picture: "Image", canvas: "ImageDraw", top: int) -> None:
        for number, photo in enumerate(self.photos):
            left = _MARGIN + number * (_PHOTO + _GAP) + (_PHOTO - photo.width) // 2
            picture.paste(photo, (left, top))


@dataclass(frozen=True)
class _Scale:
    """Colour scale of the heat map, with its limits."""

    renderer: TextRenderer
    highest: float

    @property
    def height(self) -> int:
        return _SCALE + _line(_SMALL)

    def draw(self, picture: "Image", canvas: "ImageDraw", top: int) -> None:
        from PIL import Image

        left = _MARGIN + _PHOTO + _GAP
        band = Image.fromarray(np.broadcast_to(heat_palette()[None], (_SCALE, 256, 3)).copy())
        picture.paste(band.resize((_PHOTO, _SCALE)), (left, top))
        base, end = top + _SCALE + _SMALL + 4, f"{self.highest:.3f}"
        self.renderer.draw(canvas, (left, base), "0 or less", _SMALL, MUTED_TEXT)
        width = self.renderer.width(end, _SMALL)
        self.renderer.draw(canvas, (left + _PHOTO - width, base), end, _SMALL, MUTED_TEXT)


def _label(renderer: TextRenderer, bar: _Bar) -> str:
    return renderer.shorten(_legible(renderer, bar.label), _TEXT, _WIDEST)


def _legible(renderer: TextRenderer, text: str) -> str:
    """Legible text, with names in place of escapes for symbols that no font has."""
    drawn = renderer.legible(text)
    if drawn == visible(text):
        return drawn
    characters = ((char, renderer.legible(char)) for char in visible(text))
    return "".join(
        drawn if drawn == char or unicodedata.category(char)[0] == "L" else symbol_name(char)
        for char, drawn in characters
    )


def _cell(renderer: TextRenderer, bar: _Bar) -> int:
    """Width of a bar with its label and the gap after it, in pixels."""
    return max(_NARROWEST, round(renderer.width(_label(renderer, bar), _TEXT))) + _BETWEEN


def _line(size: int) -> int:
    """Height of a line of text."""
    return round(size * 1.5)
