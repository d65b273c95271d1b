"""Conversion to 8-bit RGB: deeper values are scaled, transparency is composited on white."""

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

# TIFF 6.0 tags that change the meaning of grey values.
_BITS_PER_SAMPLE, _PHOTOMETRIC = 0x0102, 0x0106
_WHITE_IS_ZERO = 0


def to_rgb(picture: Image.Image) -> Image.Image:
    """Convert a loaded picture of any Pillow mode to RGB.

    The result is a plain image and never the reader's own, whose methods may decode the file anew: pi-heif's
    does so after `thumbnail()` if the file has several images. Pixels in mode RGB are shared, not copied.
    """
    if picture.mode.startswith("I") or picture.mode == "F":
        picture = _to_8_bits(picture)
    if not picture.has_transparency_data:
        return picture._new(picture.im) if picture.mode == "RGB" else picture.convert("RGB")
    layer = picture.convert("RGBA")
    page = Image.new("RGB", layer.size, "white")
    page.paste(layer, mask=layer.getchannel("A"))
    return page


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
