"""An explanation as a PNG: the words as a strip of bars, below them the photo and the same with its heat."""

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from clipsight.core.files import atomic_write
from clipsight.explain.base import Explanation
from clipsight.render.colors import BACKGROUND, MUTED_TEXT, NEGATIVE, POSITIVE, TEXT, heat_palette
from clipsight.render.explanations.captions import region_caption, symbol_name, title, words_caption
from clipsight.render.explanations.overlay import max_heat, open_photo, overlay_heat
from clipsight.render.fonts import Letters, visible

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

_AXIS = "#4a4a52"
_WIDTH, _MARGIN, _GAP = 1024, 32, 20
_INSIDE = _WIDTH - 2 * _MARGIN
_TITLE, _TEXT, _SMALL = 24, 16, 13

_BARS = 88
"""Height of the longest bars, up and down together."""
_NARROWEST, _WIDEST, _BETWEEN = 44, 280, 12

_PHOTO = (_INSIDE - _GAP) // 2
_SCALE = 12


def write_png(explanation: Explanation, file: Path) -> None:
    """Write the explanation as a picture; it appears whole or not at all.

    Raises LibraryError where it can't be written, PhotoError if the photo can't be read any more.
    """
    drawn = draw(explanation)
    with atomic_write(file) as temporary, temporary.open("xb") as out:
        drawn.save(out, "PNG")


def draw(explanation: Explanation) -> "Image":
    """The picture, mode RGB, 1024 pixels wide and as high as its words and photo ask for."""
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
    """Something as wide as the page."""

    @property
    def height(self) -> int: ...

    def draw(self, picture: "Image", canvas: "ImageDraw", top: int) -> None: ...


def _blocks(explanation: Explanation) -> Iterator[_Block]:
    """What is on the picture, from above."""
    told = [title(explanation), *explanation.notes]
    words = words_caption(explanation) if explanation.words else ""
    region = region_caption(explanation) if explanation.region else ""
    parts = [part.part for part in explanation.parts]
    letters = Letters([explanation.query, *told, words, region, *parts, "±−"])
    yield _Lines.of(letters, [" ".join(explanation.query.split())], _TITLE, TEXT)
    yield _Lines.of(letters, told, _SMALL, MUTED_TEXT)
    if len(parts) > 1:
        yield _Lines.of(letters, ["parts: they add up to the score"], _SMALL, MUTED_TEXT)
        shares = [_Bar(part.part, part.share, 0.0) for part in explanation.parts]
        yield from _Strip.rows(letters, shares)
    if explanation.words:
        yield _Lines.of(letters, [words], _SMALL, MUTED_TEXT)
        bars = [_Bar(word.word, word.contribution, word.stderr or 0.0) for word in explanation.words]
        yield from _Strip.rows(letters, bars)
    photo = open_photo(explanation.photo, _PHOTO)
    if explanation.region:
        yield _Photos((photo, overlay_heat(photo, explanation)))
        yield _Scale(letters, max_heat(explanation))
        yield _Lines.of(letters, [region], _SMALL, MUTED_TEXT)
    else:
        yield _Photos((photo,))


@dataclass(frozen=True)
class _Lines:
    """Text, wrapped."""

    letters: Letters
    lines: Sequence[str]
    size: int
    colour: str

    @classmethod
    def of(cls, letters: Letters, texts: Sequence[str], size: int, colour: str) -> "_Lines":
        wrapped = [line for text in texts for line in letters.wrap(_legible(letters, text), size, _INSIDE, 3)]
        return cls(letters, wrapped, size, colour)

    @property
    def height(self) -> int:
        return len(self.lines) * _line(self.size)

    def draw(self, picture: "Image", canvas: "ImageDraw", top: int) -> None:
        for number, line in enumerate(self.lines):
            base = top + number * _line(self.size) + self.size
            self.letters.draw(canvas, (_MARGIN, base), line, self.size, self.colour)


@dataclass(frozen=True)
class _Bar:
    label: str
    value: float
    error: float


@dataclass(frozen=True)
class _Strip:
    """Bars side by side, up and down from one line; `low` and `high` are the ends of their common scale."""

    letters: Letters
    bars: Sequence[_Bar]
    low: float
    high: float

    @classmethod
    def rows(cls, letters: Letters, bars: Sequence[_Bar]) -> "Iterator[_Strip]":
        """As many strips as the bars need, about equally full, all of one scale."""
        low = min(0.0, *(bar.value - bar.error for bar in bars))
        high = max(0.0, *(bar.value + bar.error for bar in bars))
        widths = [_cell(letters, bar) for bar in bars]
        room = _INSIDE + _BETWEEN
        room = min(room, sum(widths) // ceil(sum(widths) / room) + max(widths))
        start = used = 0
        for number, width in enumerate(widths):
            if used and used + width > room:
                yield cls(letters, bars[start:number], low, high)
                start, used = number, 0
            used += width
        yield cls(letters, bars[start:], low, high)

    @property
    def height(self) -> int:
        below = _line(_SMALL) if self.low < 0 else 0
        return _line(_SMALL) + _BARS + below + _line(_TEXT)

    def draw(self, picture: "Image", canvas: "ImageDraw", top: int) -> None:
        """Each bar with its number at its end, its standard error as a thin line, its word underneath."""
        scale = _BARS / ((self.high - self.low) or 1.0)
        zero = top + _line(_SMALL) + round(self.high * scale)
        left = _MARGIN
        for bar in self.bars:
            width = _cell(self.letters, bar) - _BETWEEN
            end = zero - round(bar.value * scale)
            box = (left, min(zero, end), left + width - 1, max(zero, end))
            canvas.rectangle(box, fill=POSITIVE if bar.value >= 0 else NEGATIVE)
            middle = left + width // 2
            reach = round(bar.error * scale)
            if reach:
                canvas.line((middle, end - reach, middle, end + reach), fill=TEXT, width=2)
            tip = min(end - reach, zero) - 5 if bar.value >= 0 else max(end + reach, zero) + _SMALL + 2
            self._centred(canvas, f"{bar.value:+.3f}", middle, tip, _SMALL, MUTED_TEXT)
            self._centred(canvas, _label(self.letters, bar), middle, top + self.height - 6, _TEXT, TEXT)
            left += width + _BETWEEN
        canvas.line((_MARGIN, zero, left - _BETWEEN, zero), fill=_AXIS)

    def _centred(
        self, canvas: "ImageDraw", text: str, middle: float, base: int, size: int, colour: str
    ) -> None:
        x = middle - self.letters.width(text, size) / 2
        self.letters.draw(canvas, (x, base), text, size, colour)


@dataclass(frozen=True)
class _Photos:
    """The photo, and beside it the one with heat."""

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
    """The colours of the heat, with the numbers at their ends."""

    letters: Letters
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
        self.letters.draw(canvas, (left, base), "0 or less", _SMALL, MUTED_TEXT)
        width = self.letters.width(end, _SMALL)
        self.letters.draw(canvas, (left + _PHOTO - width, base), end, _SMALL, MUTED_TEXT)


def _label(letters: Letters, bar: _Bar) -> str:
    return letters.shorten(_legible(letters, bar.label), _TEXT, _WIDEST)


def _legible(letters: Letters, text: str) -> str:
    """The text as it can be drawn: emoji that no font has by name, rather than by number."""
    whole = letters.legible(text)
    if whole == visible(text):
        return whole
    pieces = ((char, letters.legible(char)) for char in visible(text))
    return "".join(
        drawn if drawn == char or unicodedata.category(char)[0] == "L" else symbol_name(char)
        for char, drawn in pieces
    )


def _cell(letters: Letters, bar: _Bar) -> int:
    """The width of a bar with what is written at it, and the gap to the next."""
    return max(_NARROWEST, round(letters.width(_label(letters, bar), _TEXT))) + _BETWEEN


def _line(size: int) -> int:
    """The height of a line of text."""
    return round(size * 1.5)
