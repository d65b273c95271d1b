"""Regions by occlusion: what the score loses where the photo is covered, coarse to fine.

A grey square slides over the photo (Zeiler & Fergus 2014, arXiv:1311.2901, section 4.2): a large one first,
then smaller ones where it cost most, as many as the cost allows. Its grey is the photo's mean colour: more
faithful than the grey of the model's normalisation, and in the pointing game than the photo itself, blurred
(`benchmarks/explain.py`).
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from clipsight.explain.protocol import Model, Pixels, RegionExplanation, Settings, Vector

GRID = 16
"""Rows and columns of the heat."""

LEVELS = ((5, 3), (2, 2), (1, 1))
"""Side and step of the windows, in cells: 36, 64 and 256 of them."""

_BATCH = 32

Mask = NDArray[np.bool_]
"""bool[GRID, GRID]: cells that are covered."""


class OcclusionRegions:
    """Mean loss of the score over the windows that cover a place, and over the levels.

    `cover` makes of a photo what its covered places show.
    """

    def __init__(
        self, model: Model, settings: Settings, *, cover: Callable[[Pixels], Pixels] | None = None
    ) -> None:
        self._model, self._settings, self._cover = model, settings, cover or mean_colour

    @staticmethod
    def obstacle(model: Model) -> str | None:
        """None: any model that embeds will do."""
        return None

    def explain_region(self, query: Vector, pixels: Pixels) -> RegionExplanation:
        """Embeds `cost` changed photos at most, but all windows of the first level."""
        score = float(self._model.encode_pixels([pixels])[0] @ query)
        cover = self._cover(pixels)
        heat, levels, left = np.zeros((GRID, GRID)), 0, self._settings.cost
        for side, step in LEVELS:
            masks = windows(side, step)
            if levels:
                masks = sorted(masks, key=lambda mask: -float(heat[mask].mean()))[: max(left, 0)]
            if masks:
                heat += mean_over(masks, score - self._scores(masks, query, pixels, cover))
                levels, left = levels + 1, left - len(masks)
        return RegionExplanation("occlusion", (heat / levels).astype(np.float32), "score")

    def _scores(
        self, masks: Sequence[Mask], query: Vector, pixels: Pixels, cover: Pixels
    ) -> NDArray[np.float64]:
        """The cosine of the query with the photo, covered by each of the masks: float64[n]."""
        scores: list[float] = []
        for start in range(0, len(masks), _BATCH):
            changed = [covered(pixels, cover, mask) for mask in masks[start : start + _BATCH]]
            scores += (self._model.encode_pixels(changed) @ query).tolist()
            self._settings.progress("region", len(scores), len(masks))
        return np.array(scores)


def windows(side: int, step: int) -> list[Mask]:
    """Squares of `side` cells, every `step` cells, also over the edges, so that all cells count alike."""
    starts = range(step - side, GRID, step)
    return [_square(top, left, side) for top in starts for left in starts]


def covered(pixels: Pixels, cover: Pixels, mask: Mask) -> Pixels:
    """`pixels` with those of `cover` in the cells of `mask`, of any grid."""
    height, width = pixels.shape[:2]
    rows = np.arange(height) * mask.shape[0] // height
    columns = np.arange(width) * mask.shape[1] // width
    return np.where(mask[np.ix_(rows, columns)][..., None], cover, pixels)


def mean_colour(pixels: Pixels) -> Pixels:
    """The photo with its mean colour everywhere."""
    return np.broadcast_to(pixels.mean(axis=(0, 1)).round().astype(np.uint8), pixels.shape)


def mean_over(masks: Sequence[Mask], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """For each cell the mean value of the masks that cover it; 0 where none does: float64[GRID, GRID]."""
    stack = np.stack(masks).astype(np.float64)
    total: NDArray[np.float64] = np.tensordot(values, stack, 1)
    mean: NDArray[np.float64] = total / np.maximum(stack.sum(axis=0), 1)
    return mean


def _square(top: int, left: int, side: int) -> Mask:
    mask = np.zeros((GRID, GRID), np.bool_)
    mask[max(top, 0) : top + side, max(left, 0) : left + side] = True
    return mask
