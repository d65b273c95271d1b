"""Colours of pictures, pages and terminal output: the dark theme, the heat scale, the text on a colour."""

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Colour = tuple[int, int, int]
"""Red, green, blue of 0 to 255, in sRGB."""

BACKGROUND, TEXT, MUTED_TEXT, PLACEHOLDER = "#161618", "#f2f2f2", "#a2a2aa", "#34343a"
"""The dark theme; a placeholder stands for a photo that can't be read."""

POSITIVE, NEGATIVE = "#f07f3c", "#6f9df2"
"""Contributions that raise and lower a score: orange and blue, distinct with any colour vision."""

_HEAT_STOPS = (
    (0x21, 0x21, 0x24),
    (0x5B, 0x2A, 0x5E),
    (0xB4, 0x3C, 0x58),
    (0xF0, 0x7F, 0x3C),
    (0xFB, 0xE0, 0x8A),
)
"""Colours for 0, 0.25, ... 1. Lightness increases, so that the scale survives printing in grey."""

_NEUTRAL = (0x34, 0x34, 0x3A)


def heat_colour(value: float) -> Colour:
    """The colour of a value from 0 to 1 on the heat scale, interpolated linearly in sRGB."""
    position = min(max(value, 0.0), 1.0) * (len(_HEAT_STOPS) - 1)
    low = min(int(position), len(_HEAT_STOPS) - 2)
    return _mix(_HEAT_STOPS[low], _HEAT_STOPS[low + 1], position - low)


def signed_colour(value: float, limit: float) -> Colour:
    """The colour of a signed value: from grey at 0 to `POSITIVE` or `NEGATIVE` at +/- `limit`."""
    red, green, blue = bytes.fromhex((POSITIVE if value >= 0 else NEGATIVE)[1:])
    return _mix(_NEUTRAL, (red, green, blue), min(abs(value) / limit, 1.0) if limit else 0.0)


def text_colour(background: Colour) -> str:
    """Black or white, whichever has the higher contrast on `background` (WCAG 2: at least 4.5)."""
    fractions = [c / 255 for c in background]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in fractions]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "#000000" if (luminance + 0.05) ** 2 > 0.05 * 1.05 else "#ffffff"


@cache
def heat_palette() -> "NDArray[np.uint8]":
    """The heat scale in 256 steps of equal lightness (CIE 1976 L*): uint8[256, 3]."""
    import numpy as np

    values = np.linspace(0, 1, 1024)
    light = lightness(np.array([heat_colour(value) for value in values], np.uint8))
    even = np.interp(np.linspace(light[0], light[-1], 256), light, values)
    return np.array([heat_colour(value) for value in even], np.uint8)


def lightness(colours: "NDArray[np.uint8]") -> "NDArray[np.float64]":
    """CIE 1976 L*, 0 to 100, of sRGB colours: uint8[n, 3] to float64[n]."""
    import numpy as np

    fractions = colours / 255
    linear = np.where(fractions <= 0.04045, fractions / 12.92, ((fractions + 0.055) / 1.055) ** 2.4)
    luminance = linear @ [0.2126, 0.7152, 0.0722]
    light: NDArray[np.float64] = np.where(
        luminance > 216 / 24389, 116 * np.cbrt(luminance) - 16, luminance * 24389 / 27
    )
    return light


def _mix(start: Colour, end: Colour, fraction: float) -> Colour:
    red, green, blue = (round(a + (b - a) * fraction) for a, b in zip(start, end, strict=True))
    return red, green, blue
