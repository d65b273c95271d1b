"""Conversion to 8-bit sRGB: deeper values are scaled, ICC profiles applied, transparency is composited."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from clipsight.indexing.media.color_profile import lab_to_srgb, to_srgb
from clipsight.indexing.media.scaling import black_and_white, to_8_bits

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
    if picture.mode.startswith("I") or picture.mode == "F":
        picture = _to_grey(picture)
    if picture.mode == "LAB":
        return lab_to_srgb(picture)
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


def _to_grey(picture: Image.Image) -> Image.Image:
    """Scale grey values of other types than 8 bits to mode L (`scaling`)."""
    black, white = black_and_white(values for _, values in _values(picture))
    page = Image.new("L", picture.size)
    for top, values in _values(picture):
        page.paste(Image.fromarray(to_8_bits(values, black, white)), (0, top))
    return page


def _strips(picture: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """Yield the offset and the pixels of strips of rows, whose size bounds the memory of conversions."""
    rows = max(1, _STRIP_PIXELS // picture.width)
    for top in range(0, picture.height, rows):
        yield top, picture.crop((0, top, picture.width, min(top + rows, picture.height)))


def _values(picture: Image.Image) -> Iterator[tuple[int, npt.NDArray[Any]]]:
    for top, strip in _strips(picture):
        yield top, np.asarray(strip)
