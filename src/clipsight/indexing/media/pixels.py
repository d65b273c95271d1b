"""Conversion to 8-bit sRGB: deeper values are scaled, ICC profiles applied, transparency is composited."""

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from clipsight.indexing.media.color_profile import to_srgb

# TIFF 6.0 tags that change the meaning of grey values.
_BITS_PER_SAMPLE, _PHOTOMETRIC = 0x0102, 0x0106
_WHITE_IS_ZERO = 0

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
        picture = _to_8_bits(picture)
    if picture.has_transparency_data:
        image = _composite(picture.convert("RGBA"), profile, grey=picture.mode in ("L", "LA", "La"))
    else:
        if picture.mode not in ("RGB", "L", "CMYK"):
            picture = picture.convert("L" if picture.mode == "1" else "RGB")
        image = to_srgb(picture, profile)
        image = image._new(image.im) if image.mode == "RGB" else image.convert("RGB")
    image.info.pop("icc_profile", None)  # of the pixels as they were
    return image


def _composite(layer: Image.Image, profile: bytes | None, *, grey: bool) -> Image.Image:
    colours = to_srgb(layer.getchannel("R") if grey else layer.convert("RGB"), profile).convert("RGB")
    alpha = layer.getchannel("A")
    page = Image.new("RGB", layer.size, _background(colours, alpha))
    page.paste(colours, mask=alpha)
    return page


def _background(colours: Image.Image, alpha: Image.Image) -> tuple[int, int, int]:
    """The background, white, black or mid grey, that hides the smallest share of a picture.

    A pixel is hidden on a background whose luminance differs from its own by less than `_CONTRAST`; pixels
    count by their opacity. Of shares that are equal to a tenth, white's is chosen before black's and grey's.
    """
    size = (min(alpha.width, _SAMPLE), min(alpha.height, _SAMPLE))
    luminance = np.asarray(colours.resize(size, Image.Resampling.NEAREST).convert("L"), np.int16)
    weights = np.asarray(alpha.resize(size, Image.Resampling.NEAREST), np.float64)
    visible = weights.sum() or 1.0
    hidden = [
        round(float(weights[np.abs(luminance - grey) < _CONTRAST].sum() / visible), 1)
        for grey in _BACKGROUNDS
    ]
    grey = _BACKGROUNDS[hidden.index(min(hidden))]
    return grey, grey, grey


def _to_8_bits(picture: Image.Image) -> Image.Image:
    """Scale grey values of more than 8 bits to mode L, without clipping.

    16-bit values have a known range, and floats from 0 to 1 have one too. Other floats and 32-bit integers,
    which have no standard white, are stretched from their minimum to their maximum.
    """
    values = np.asarray(picture)
    tags = getattr(picture, "tag_v2", {})  # of a TIFF
    if picture.mode.startswith("I;16"):
        bits = tags.get(_BITS_PER_SAMPLE, (16,))[0]  # 12-bit values come as they are, below 4096
        grey = (values >> (bits - 8)).astype(np.uint8)
    else:
        low, high = _range(picture, values)
        unit = (values.astype(np.float64) - low) / ((high - low) or 1.0)
        grey = np.nan_to_num(unit * 255, posinf=255, neginf=0).round().clip(0, 255).astype(np.uint8)
    # Pillow inverts 8-bit grey values if 0 is white, but not deeper ones.
    return Image.fromarray(255 - grey if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO else grey)


def _range(picture: Image.Image, values: npt.NDArray[Any]) -> tuple[float, float]:
    """Values of black and white in a picture of mode I or F."""
    if picture.format == "PPM" and picture.mode == "I":  # Pillow has scaled it to 16 bits
        return 0.0, 65535.0
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    return (0.0, 1.0) if picture.mode == "F" and low >= 0 and high <= 1 else (low, high)
