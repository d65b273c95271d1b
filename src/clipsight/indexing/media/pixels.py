"""Conversion to 8-bit sRGB: deeper values are scaled, ICC profiles applied, transparency is composited."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from clipsight.indexing.media.color_profile import to_srgb
from clipsight.indexing.media.tiff import BITS, PHOTOMETRIC, WHITE_IS_ZERO, correction, integer_range

Correction = Callable[[npt.NDArray[Any]], npt.NDArray[Any]]

_STRIP_PIXELS = 1 << 20
_BACKGROUNDS = (255, 0, 128)
_CONTRAST = 48
_SAMPLE = 512
"""Pixels a side of the sample that decides on the background."""


def to_rgb(picture: Image.Image) -> Image.Image:
    """Convert a loaded picture of any Pillow mode to RGB in sRGB.

    The result is a plain image and never the reader's own, whose methods may decode the file anew: pi-heif's
    does so after `thumbnail()` if the file has several images. Pixels that need no conversion are shared, not
    copied. An embedded ICC profile is applied (`color_profile`). Transparency is composited (`_background`).
    """
    profile = picture.info.get("icc_profile")
    correct = correction(picture)
    if correct or picture.mode.startswith("I") or picture.mode == "F":
        picture = _to_8_bits(picture, correct)
    if picture.has_transparency_data:
        image = _composite(picture, profile)
    else:
        if picture.mode not in ("RGB", "L", "CMYK"):
            picture = picture.convert("L" if picture.mode == "1" else "RGB")
        image = to_srgb(picture, profile)
        image = image._new(image.im) if image.mode == "RGB" else image.convert("RGB")
    image.info.pop("icc_profile", None)  # of the pixels as they were
    return image


def _composite(picture: Image.Image, profile: bytes | None) -> Image.Image:
    picture = picture._new(picture.im)  # whose `crop` decodes nothing
    size = (min(picture.width, _SAMPLE), min(picture.height, _SAMPLE))
    sample = picture.resize(size, Image.Resampling.NEAREST)
    page = Image.new("RGB", picture.size, _background(*_split(sample, profile)))
    for top, strip in _strips(picture):
        colours, alpha = _split(strip, profile)
        page.paste(colours, (0, top), mask=alpha)
    return page


def _split(picture: Image.Image, profile: bytes | None) -> tuple[Image.Image, Image.Image]:
    """The colours, RGB in sRGB, and the opacity, L, of a picture with transparency."""
    layer = picture.convert("RGBA")
    is_grey = picture.mode in ("L", "LA", "La")
    colours = to_srgb(layer.getchannel("R") if is_grey else layer.convert("RGB"), profile)
    return colours.convert("RGB"), layer.getchannel("A")


def _background(colours: Image.Image, alpha: Image.Image) -> tuple[int, int, int]:
    """The background, white, black or mid grey, that hides the smallest share of a picture.

    A pixel is hidden on a background whose luminance differs from its own by less than `_CONTRAST`; pixels
    count by their opacity. Of shares that are equal to a tenth, white's is chosen before black's and grey's.
    """
    luminance = np.asarray(colours.convert("L"), np.int16)
    weights = np.asarray(alpha, np.float64)
    visible = weights.sum() or 1.0
    hidden = [
        round(float(weights[np.abs(luminance - grey) < _CONTRAST].sum() / visible), 1)
        for grey in _BACKGROUNDS
    ]
    grey = _BACKGROUNDS[hidden.index(min(hidden))]
    return grey, grey, grey


def _to_8_bits(picture: Image.Image, correct: Correction | None) -> Image.Image:
    """Scale grey values of other types than 8 bits without sign to mode L, without clipping.

    Unsigned 16-bit values have a known range, and floats from 0 to 1 have one too. Other integers have the
    range of their type if they span more than half of it. All else, such as measured heights, has no standard
    white and is stretched from its minimum to its maximum.
    """
    tags = getattr(picture, "tag_v2", {})  # of a TIFF
    if picture.mode == "L":
        scale = _identity
    elif picture.mode.startswith("I;16"):
        bits = tags.get(BITS, (16,))[0]  # 12-bit values come as they are, below 4096
        scale = partial(_shift, bits - 8)
    else:
        scale = partial(_stretch, *_range(picture, correct))
    page = Image.new("L", picture.size)
    for top, values in _values(picture, correct):
        grey = scale(values)
        # Pillow inverts 8-bit grey values if 0 is white, but not deeper ones.
        inverted = tags.get(PHOTOMETRIC) == WHITE_IS_ZERO and picture.mode != "L"
        page.paste(Image.fromarray(255 - grey if inverted else grey), (0, top))
    return page


def _strips(picture: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """Yield the offset and the pixels of strips of rows, whose size bounds the memory of conversions."""
    rows = max(1, _STRIP_PIXELS // picture.width)
    for top in range(0, picture.height, rows):
        yield top, picture.crop((0, top, picture.width, min(top + rows, picture.height)))


def _values(picture: Image.Image, correct: Correction | None) -> Iterator[tuple[int, npt.NDArray[Any]]]:
    for top, strip in _strips(picture):
        values = np.asarray(strip)
        yield top, correct(values) if correct else values


def _identity(values: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    return values.astype(np.uint8)


def _shift(bits: int, values: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    return (values >> bits).astype(np.uint8)


def _stretch(low: float, high: float, values: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    unit = (values.astype(np.float64) - low) / ((high - low) or 1.0)
    return np.nan_to_num(unit * 255, posinf=255, neginf=0).round().clip(0, 255).astype(np.uint8)


def _range(picture: Image.Image, correct: Correction | None) -> tuple[float, float]:
    """Values of black and white in a picture of mode I or F."""
    if picture.format == "PPM" and picture.mode == "I":  # Pillow has scaled it to 16 bits
        return 0.0, 65535.0
    lows, highs = [], []
    for _, values in _values(picture, correct):
        finite = values[np.isfinite(values)]
        if finite.size:
            lows.append(float(finite.min()))
            highs.append(float(finite.max()))
    low, high = (min(lows), max(highs)) if lows else (0.0, 1.0)
    if picture.mode == "F":
        return (0.0, 1.0) if low >= 0 and high <= 1 else (low, high)
    lowest, highest = integer_range(picture) or (low, high)
    return (lowest, highest) if high - low > (highest - lowest) / 2 else (low, high)
