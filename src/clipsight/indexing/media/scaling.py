"""Values of any type to images of 8 bits.

Unsigned integers of up to 16 bits have a known range. Floats from 0 to 1 have one, too. Other integers have
the range of their type if they span more than half of it. All else, such as measured heights, has no standard
white and is stretched from its minimum to its maximum.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

Values = npt.NDArray[Any]


def black_and_white(parts: Iterable[Values], bits: int | None = None) -> tuple[float, float]:
    """Values of black and white of a picture of which `parts` are all values, of one type.

    `bits`, of unsigned integers, is their width if it is not that of the type. Parts are read only where the
    range depends on the values.
    """
    lowest = highest = None
    dtype: np.dtype[Any] | None = None
    for part in parts:
        dtype = part.dtype
        if dtype.kind == "u" and dtype.itemsize <= 2:
            return 0.0, float((1 << (bits or 8 * dtype.itemsize)) - 1)
        finite = part[np.isfinite(part)] if dtype.kind == "f" else part
        if finite.size:
            lowest = float(finite.min()) if lowest is None else min(lowest, float(finite.min()))
            highest = float(finite.max()) if highest is None else max(highest, float(finite.max()))
    if dtype is None or lowest is None or highest is None:
        return 0.0, 1.0
    if dtype.kind == "f":
        return (0.0, 1.0) if lowest >= 0 and highest <= 1 else (lowest, highest)
    black, white = float(np.iinfo(dtype).min), float(np.iinfo(dtype).max)
    return (black, white) if highest - lowest > (white - black) / 2 else (lowest, highest)


def to_8_bits(values: Values, black: float, white: float) -> npt.NDArray[np.uint8]:
    """Scale values so that `black` is 0 and `white` 255, without clipping what lies between."""
    if values.dtype.kind == "u" and values.dtype.itemsize <= 2 and black == 0:
        if white == 255:
            return values.astype(np.uint8)
        if white == 65535:
            return (values >> 8).astype(np.uint8)
    unit = (values.astype(np.float64) - black) / ((white - black) or 1.0)
    return np.nan_to_num(unit * 255, posinf=255, neginf=0).round().clip(0, 255).astype(np.uint8)


def to_image(channels: npt.NDArray[np.uint8], mode: str) -> Image.Image:
    """An image of `mode` from its channels, uint8[height, width, channels], as Pillow's raw mode has them."""
    height, width, count = channels.shape
    content = np.ascontiguousarray(channels[..., 0] if count == 1 else channels)
    return Image.frombuffer(mode, (width, height), content.tobytes(), "raw", mode, 0, 1)
