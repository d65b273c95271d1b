"""Regions by occlusion: what the score loses where the photo is covered.

Halves of the photo are covered, drawn at random in patches, each and then its other half; the heat is the
linear model of what the losses say of each place. Random masks are from RISE (Petsiuk et al. 2018,
arXiv:1806.07421), the linear model from LIME (Ribeiro et al. 2016, arXiv:1602.04938). That near places are
much alike, which a few masks can't tell, is put into both as a Gaussian process (Rasmussen & Williams 2006,
"Gaussian Processes for Machine Learning", chapter 2). A thing that fills the photo is found so, where a
small square that slides over it (Zeiler & Fergus 2014) covers too little to cost anything.

The cover is the photo's mean colour: more faithful than the grey of the model's normalisation
(`benchmarks/explain.py`).
"""

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from clipsight.explain.base import Model, Pixels, RegionExplanation, Settings, Vector

GRID = 16
"""Rows and columns of the heat."""

UNIT_CELLS = GRID * GRID // 16
"""Cells that 1 of the heat is told for: a sixteenth of the photo."""

_PATCH = 2.5
"""Length of the patches that masks are drawn in, in cells."""

_NEAR = 1.5
"""Length over which places are taken to be alike, in cells."""

_NOISE = 1.0
"""Variance of the losses that places don't explain, for 1 that they do."""

_BATCH = 32

Mask = NDArray[np.bool_]
"""bool[GRID, GRID]: cells that are covered."""

Heat = NDArray[np.float64]
"""float64[GRID, GRID]"""


class OcclusionRegions:
    """`cover` makes of a photo what its covered places show."""

    def __init__(
        self, model: Model, settings: Settings, *, cover: Callable[[Pixels], Pixels] | None = None
    ) -> None:
        self._model, self._settings, self._cover = model, settings, cover or mean_colour

    @staticmethod
    def obstacle(model: Model) -> str | None:
        """None: any model that embeds will do."""
        return None

    def explain_region(self, query: Vector, pixels: Pixels) -> RegionExplanation:
        """Embeds `cost` changed photos, or one less."""
        score = float(self._model.encode_pixels([pixels])[0] @ query)
        masks = draw_masks(self._settings.cost // 2, np.random.default_rng(self._settings.seed))
        heat = fit(masks, score - self._scores(masks, query, pixels))
        return RegionExplanation("occlusion", (UNIT_CELLS * heat).astype(np.float32), "score")

    def _scores(self, masks: Sequence[Mask], query: Vector, pixels: Pixels) -> NDArray[np.float64]:
        """The cosine of the query with the photo, covered by each of the masks: float64[n]."""
        cover, scores = self._cover(pixels), list[float]()
        for start in range(0, len(masks), _BATCH):
            changed = [covered(pixels, cover, mask) for mask in masks[start : start + _BATCH]]
            scores += (self._model.encode_pixels(changed) @ query).tolist()
            self._settings.progress("region", len(scores), len(masks))
        return np.array(scores)


def draw_masks(pairs: int, rng: np.random.Generator) -> list[Mask]:
    """Random halves of the cells in patches, each followed by its complement."""
    root = np.linalg.cholesky(_likeness(_PATCH) + 1e-6 * np.eye(GRID * GRID))
    masks = []
    for _ in range(pairs):
        field = root @ rng.standard_normal(GRID * GRID)
        half = (field > np.median(field)).reshape(GRID, GRID)
        masks += [half, ~half]
    return masks


def fit(masks: Sequence[Mask], losses: NDArray[np.float64]) -> Heat:
    """What covering each cell loses, if losses add up over cells.

    All alike lose their part of what masks do on average; what places lose more or less than that is the
    mean of the Gaussian process.
    """
    cells = np.stack(masks).reshape(len(masks), -1).astype(np.float64)
    level = losses.mean() / cells.sum(axis=1).mean()
    cells -= cells.mean(axis=0)
    across = cells @ _likeness(_NEAR)
    explained = across @ cells.T
    noise = _NOISE * np.trace(explained) / len(masks) * np.eye(len(masks))
    heat: Heat = level + np.linalg.solve(explained + noise, losses - losses.mean()) @ across
    return heat.reshape(GRID, GRID)


def covered(pixels: Pixels, cover: Pixels, mask: Mask) -> Pixels:
    """`pixels` with those of `cover` in the cells of `mask`, of any grid."""
    height, width = pixels.shape[:2]
    rows = np.arange(height) * mask.shape[0] // height
    columns = np.arange(width) * mask.shape[1] // width
    return np.where(mask[np.ix_(rows, columns)][..., None], cover, pixels)


def mean_colour(pixels: Pixels) -> Pixels:
    """The photo with its mean colour everywhere."""
    return np.broadcast_to(pixels.mean(axis=(0, 1)).round().astype(np.uint8), pixels.shape)


@cache
def _likeness(length: float) -> NDArray[np.float64]:
    """How alike two cells are, 1 to 0 by their distance: float64[GRID * GRID, GRID * GRID]."""
    places = np.indices((GRID, GRID)).reshape(2, -1).T
    distance = ((places[:, None] - places[None]) ** 2).sum(axis=-1)
    alike: NDArray[np.float64] = np.exp(-distance / (2 * length**2))
    return alike
