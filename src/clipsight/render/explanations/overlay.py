"""A photo with heat over it, as pixels: for the picture, the page and the terminal."""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from clipsight.explain.base import Explanation
from clipsight.render.heatmap import colour_of

if TYPE_CHECKING:
    from PIL.Image import Image

_COVER = 0.68
"""The share of the heat's colour over the photo's grey: enough to find it on the scale."""

_UNSEEN = 0.3
"""Brightness left to what the model does not see."""


def open_photo(photo: Path, longest: int) -> "Image":
    """The upright RGB photo, its longer side as long as that in pixels, never less than 1 on the other."""
    from PIL.Image import Resampling

    from clipsight.indexing.media.photo import open_picture

    image = open_picture(photo.expanduser(), min_side=longest)
    scale = longest / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Resampling.LANCZOS, reducing_gap=3.0)


@cache
def colours() -> NDArray[np.uint8]:
    """The scale, from no heat to most, in even steps of lightness (CIE 1976 L*): uint8[256, 3]."""
    places = np.linspace(0, 1, 1024)
    light = lightness(np.array([colour_of(place) for place in places], np.uint8))
    even = np.interp(np.linspace(light[0], light[-1], 256), light, places)
    return np.array([colour_of(place) for place in even], np.uint8)


def lightness(colours: NDArray[np.uint8]) -> NDArray[np.float64]:
    """CIE 1976 L*, 0 to 100, of sRGB colours: uint8[n, 3] to float64[n]."""
    shares = colours / 255
    linear = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
    luminance = linear @ [0.2126, 0.7152, 0.0722]
    light: NDArray[np.float64] = np.where(
        luminance > 216 / 24389, 116 * np.cbrt(luminance) - 16, luminance * 24389 / 27
    )
    return light


def highest(explanation: Explanation) -> float:
    """The heat that has the last colour of the scale; 0 has the first, and so has all below."""
    assert explanation.region is not None
    return max(float(explanation.region.heat.max()), 0.0)


def heat_over(image: "Image", explanation: Explanation) -> "Image":
    """The heat in colours over the photo in grey; what the model does not see is dark."""
    from PIL import Image
    from PIL.Image import Resampling

    assert explanation.region is not None
    left, top, right, bottom = _pixels(explanation.seen, image.size)
    heat = Image.fromarray(explanation.region.heat).resize((right - left, bottom - top), Resampling.BICUBIC)
    levels = np.asarray(heat, np.float64) / (highest(explanation) or 1.0)
    # What hangs over the photo's edge is a margin that only the model is shown.
    inside = (
        slice(max(0, -top), max(0, -top) + min(bottom, image.height) - max(0, top)),
        slice(max(0, -left), max(0, -left) + min(right, image.width) - max(0, left)),
    )
    coloured = colours()[(levels[inside].clip(0, 1) * 255).round().astype(np.uint8)]
    grey = np.asarray(image.convert("L"), np.float64)[..., None].repeat(3, axis=2)
    out = grey * _UNSEEN
    window = (slice(max(0, top), max(0, bottom)), slice(max(0, left), max(0, right)))
    out[window] = _COVER * coloured + (1 - _COVER) * grey[window]
    return Image.fromarray(out.round().astype(np.uint8))


def peak(explanation: Explanation) -> tuple[float, float]:
    """Where the heat is highest, in shares of the photo's width and height."""
    assert explanation.region is not None
    heat = explanation.region.heat
    row, column = np.unravel_index(int(heat.argmax()), heat.shape)
    left, top, right, bottom = explanation.seen
    across = left + (right - left) * (float(column) + 0.5) / heat.shape[1]
    down = top + (bottom - top) * (float(row) + 0.5) / heat.shape[0]
    return min(max(across, 0.0), 1.0), min(max(down, 0.0), 1.0)


def _pixels(seen: tuple[float, float, float, float], size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The box in whole pixels, of one at least on either side."""
    left, top = round(seen[0] * size[0]), round(seen[1] * size[1])
    return left, top, max(left + 1, round(seen[2] * size[0])), max(top + 1, round(seen[3] * size[1]))
