"""The heat scale is ordered by lightness, and text on it legible."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from clipsight.render.colors import (
    NEGATIVE,
    POSITIVE,
    heat_colour,
    heat_palette,
    lightness,
    signed_colour,
    text_colour,
)


@given(st.floats(0, 1), st.floats(0, 1))
def test_heat_colours_increase_in_lightness_and_text_is_legible(one: float, other: float) -> None:
    def light(probability: float) -> float:
        red, green, blue = heat_colour(probability)
        return 0.299 * red + 0.587 * green + 0.114 * blue

    low, high = sorted((one, other))
    assert light(low) <= light(high) + 1.5  # rounding
    ink = tuple(int(text_colour(heat_colour(one))[at : at + 2], 16) for at in (1, 3, 5))
    assert _contrast(ink, heat_colour(one)) >= 4.5  # what WCAG 2 asks for


def _contrast(one: tuple[int, ...], other: tuple[int, ...]) -> float:
    def luminance(colour: tuple[int, ...]) -> float:
        linear = [c / 255 / 12.92 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in colour]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_the_scale_grows_lighter_in_even_steps() -> None:
    steps = np.diff(lightness(heat_palette()))
    even = steps.mean()
    assert lightness(heat_palette())[-1] - lightness(heat_palette())[0] > 70
    assert (np.abs(steps - even) < 0.6).all() and (steps > -0.35).all()


def test_shades_run_from_grey_to_both_colours() -> None:
    assert signed_colour(1, 1) == tuple(bytes.fromhex(POSITIVE[1:]))
    assert signed_colour(-2, 2) == tuple(bytes.fromhex(NEGATIVE[1:]))
    assert signed_colour(0, 1) == signed_colour(0, 0) == signed_colour(3, 0)
