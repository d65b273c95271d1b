"""A photo blended with the heat map of its explanation."""

from typing import TYPE_CHECKING

import numpy as np

from clipsight.explain.base import Explanation
from clipsight.render.colors import heat_palette

if TYPE_CHECKING:
    from PIL.Image import Image

_OPACITY = 0.68
"""Opacity of the heat's colour over the grey photo: enough to find the colour on the scale."""

FRAME = "#ffd400"
"""Colour of the frames around text."""

_OUTSIDE = 0.3
"""Brightness of the photo outside the box that the model sees."""


def open_photo(explanation: Explanation, longest: int) -> "Image":
    """Open the photo, upright in RGB, and scale its longer side to `longest` pixels. Raises PhotoError."""
    from PIL.Image import Resampling

    image = explanation.open_photo(min_side=longest)
    scale = longest / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Resampling.LANCZOS, reducing_gap=3.0)


def mark_text(image: "Image", explanation: Explanation) -> "Image":
    """The photo with a frame around each line of its text that has words of the query."""
    if not explanation.text:
        return image
    from PIL import ImageDraw

    marked = image.copy()
    canvas = ImageDraw.Draw(marked)
    for line in explanation.text:
        box = _pixels((line.left, line.top, line.right, line.bottom), image.size)
        canvas.rectangle(box, outline=FRAME, width=2)
    return marked


def max_heat(explanation: Explanation) -> float:
    """The heat at the upper end of the colour scale; the lower end is 0."""
    assert explanation.region is not None
    return max(float(explanation.region.heat.max()), 0.0)


def overlay_heat(image: "Image", explanation: Explanation) -> "Image":
    """Blend the coloured heat map with the photo in grey, which is dark where the model does not see it."""
    from PIL import Image
    from PIL.Image import Resampling

    assert explanation.region is not None
    left, top, right, bottom = _pixels(explanation.seen, image.size)
    heat = Image.fromarray(explanation.region.heat).resize((right - left, bottom - top), Resampling.BICUBIC)
    levels = np.asarray(heat, np.float64) / (max_heat(explanation) or 1.0)
    # Beyond the photo's edges is padding that only the model sees.
    inside = (
        slice(max(0, -top), max(0, -top) + min(bottom, image.height) - max(0, top)),
        slice(max(0, -left), max(0, -left) + min(right, image.width) - max(0, left)),
    )
    coloured = heat_palette()[(levels[inside].clip(0, 1) * 255).round().astype(np.uint8)]
    grey = np.asarray(image.convert("L"), np.float64)[..., None].repeat(3, axis=2)
    out = grey * _OUTSIDE
    window = (slice(max(0, top), max(0, bottom)), slice(max(0, left), max(0, right)))
    out[window] = _OPACITY * coloured + (1 - _OPACITY) * grey[window]
    return Image.fromarray(out.round().astype(np.uint8))


def peak_position(explanation: Explanation) -> tuple[float, float]:
    """The position of the highest heat, as fractions of the photo's width and height."""
    assert explanation.region is not None
    heat = explanation.region.heat
    row, column = np.unravel_index(int(heat.argmax()), heat.shape)
    left, top, right, bottom = explanation.seen
    across = left + (right - left) * (float(column) + 0.5) / heat.shape[1]
    down = top + (bottom - top) * (float(row) + 0.5) / heat.shape[0]
    return min(max(across, 0.0), 1.0), min(max(down, 0.0), 1.0)


def _pixels(seen: tuple[float, float, float, float], size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The box in whole pixels, at least one wide and high."""
    left, top = round(seen[0] * size[0]), round(seen[1] * size[1])
    return left, top, max(left + 1, round(seen[2] * size[0])), max(top + 1, round(seen[3] * size[1]))
