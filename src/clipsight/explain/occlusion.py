"""Occlusion: the decrease of the score without a word, or with regions of the photo covered.

Words: Shapley values. A word's contribution is the mean, over all permutations of the words, of the increase
of the score when the word is added to those before it (Shapley 1953, "A value for n-person games"; for
explanations, Strumbelj & Kononenko 2010, JMLR 11). Contributions add up to the score minus the empty text's.
For few words, every subset is embedded and the values are exact. For more, they are estimated, with a
standard error, from random permutations in antithetic pairs: each with its reverse (Mitchell et al. 2022,
JMLR 23, "Sampling permutations for Shapley value estimation"). A word is left out, not replaced:
`benchmarks/explain.py` compares the alternatives.

Regions: random halves of the photo are covered, each followed by its complement, and a linear model of the
decreases is the heat map. Random masks are from RISE (Petsiuk et al. 2018, arXiv:1806.07421), the linear
model is from LIME (Ribeiro et al. 2016, arXiv:1602.04938). Since few masks can't separate neighbouring cells,
both masks and heat map are smooth by a Gaussian process (Rasmussen & Williams 2006, "Gaussian Processes for
Machine Learning", chapter 2). Half a photo covers enough of an object that fills the photo, unlike a small
sliding square (Zeiler & Fergus 2014). Covered regions have the photo's mean colour, which is more faithful
than the grey of the model's normalisation (`benchmarks/explain.py`).
"""

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from itertools import accumulate
from math import factorial

import numpy as np
from numpy.typing import NDArray

from clipsight.core.arrays import Float32
from clipsight.explain.base import Model, Pixels, RegionExplanation, Settings, WordExplanation, WordShare
from clipsight.explain.text_segments import Word, keep

# -- words ------------------------------------------------------------------------------

TEXTS_PER_COST = 2
"""Altered texts for each altered photo of `Settings.cost`: a text takes a fraction of a photo's time."""

_MIN_PAIRS = 2
"""Minimum number of pairs of permutations: a standard error needs two."""

_TEXT_BATCH = 64

Coalition = int
"""Set of words, one bit per word."""

Permutation = tuple[int, ...]
"""Permutation of the words' indices."""

ShapleyValues = NDArray[np.float64]


class OcclusionWords:
    """Shapley values of a text's words; a word that is left out is replaced by `blank` (default: nothing)."""

    def __init__(self, model: Model, settings: Settings, *, blank: str = "") -> None:
        self._model, self._settings, self._blank = model, settings, blank

    @staticmethod
    def unsupported(model: Model) -> str | None:
        """None, since any model is supported."""
        return None

    def explain_words(self, text: str, words: Sequence[Word], pixels: Pixels) -> WordExplanation:
        """Exact Shapley values for up to `TEXTS_PER_COST` x cost subsets, otherwise sampled ones."""
        photo = self._model.encode_pixels([pixels])[0]
        count, limit = len(words), TEXTS_PER_COST * self._settings.cost
        everything = (1 << count) - 1
        without_one = [everything ^ (1 << word) for word in range(count)]
        if 1 << count <= limit:
            scores = self._scores(range(everything + 1), text, words, photo)
            values, errors = exact_shapley_values(scores, count), np.zeros(count)
        else:
            rng = np.random.default_rng(self._settings.seed)
            pairs = draw_permutation_pairs(count, limit - count, rng)
            needed = {each for pair in pairs for permutation in pair for each in coalitions(permutation)}
            scores = self._scores(needed.union(without_one), text, words, photo)
            values, errors = sampled_shapley_values(scores, pairs)
        return WordExplanation(
            "occlusion",
            tuple(
                WordShare(word.text, float(value), float(error), scores[everything] - scores[without])
                for word, value, error, without in zip(words, values, errors, without_one, strict=True)
            ),
            additive=True,
        )

    def _scores(
        self, needed: Iterable[Coalition], text: str, words: Sequence[Word], photo: Float32
    ) -> dict[Coalition, float]:
        """The cosine of each coalition's text with the photo; equal texts are embedded once."""
        texts = {
            each: keep(text, words, [bool(each >> place & 1) for place in range(len(words))], self._blank)
            for each in needed
        }
        unique = sorted(set(texts.values()), key=len)  # similar lengths in a batch need little padding
        cosines: dict[str, float] = {}
        for start in range(0, len(unique), _TEXT_BATCH):
            batch = unique[start : start + _TEXT_BATCH]
            vectors = self._model.encode_texts(batch).astype(np.float64)
            cosines.update(zip(batch, (vectors @ photo.astype(np.float64)).tolist(), strict=True))
            self._settings.progress("words", len(cosines), len(unique))
        return {each: cosines[text] for each, text in texts.items()}


def coalitions(permutation: Sequence[int]) -> list[Coalition]:
    """The sets of the first 0, 1, 2, ... words of a permutation."""
    return list(accumulate((1 << word for word in permutation), int.__or__, initial=0))


def draw_permutation_pairs(
    count: int, limit: int, rng: np.random.Generator
) -> list[tuple[Permutation, Permutation]]:
    """Draw random permutations of `count` words, each with its reverse, that need at most `limit` texts.

    At least two pairs are drawn, so that there is a standard error.
    """
    pairs: list[tuple[Permutation, Permutation]] = []
    needed: set[Coalition] = set()
    while True:
        permutation = tuple(rng.permutation(count).tolist())
        needed = needed.union(coalitions(permutation), coalitions(permutation[::-1]))
        if len(needed) > limit and len(pairs) >= _MIN_PAIRS:
            return pairs
        pairs.append((permutation, permutation[::-1]))


def exact_shapley_values(scores: dict[Coalition, float], count: int) -> ShapleyValues:
    """Shapley values, float64[count], from the score of every subset."""
    weights = [factorial(size) * factorial(count - size - 1) / factorial(count) for size in range(count)]
    values = np.zeros(count)
    for subset in range(1 << count):
        for word in range(count):
            if not subset >> word & 1:
                values[word] += weights[subset.bit_count()] * (scores[subset | 1 << word] - scores[subset])
    return values


def sampled_shapley_values(
    scores: dict[Coalition, float], pairs: Sequence[tuple[Sequence[int], Sequence[int]]]
) -> tuple[ShapleyValues, ShapleyValues]:
    """Mean contribution of each word over the permutations, and its standard error over the pairs.

    `scores` has all `coalitions` of the permutations. Returns float64[words] each.
    """
    contributions = np.zeros((len(pairs), len(pairs[0][0])))
    for row, pair in zip(contributions, pairs, strict=True):
        for permutation in pair:
            row[list(permutation)] += np.diff([scores[each] for each in coalitions(permutation)]) / 2
    return contributions.mean(axis=0), contributions.std(axis=0, ddof=1) / np.sqrt(len(pairs))


# -- regions ----------------------------------------------------------------------------

GRID = 16
"""Rows and columns of the heat map."""

UNIT_CELLS = GRID * GRID // 16
"""Cells in a sixteenth of the photo, the unit of the heat."""

_MASK_LENGTH = 2.5
"""Length scale of the random masks, in cells."""

_HEAT_LENGTH = 1.5
"""Length scale of the heat's Gaussian process, in cells."""

_NOISE = 1.0
"""Variance of the decreases that the cells do not explain, relative to the variance that they explain."""

_PHOTO_BATCH = 32

Mask = NDArray[np.bool_]
"""bool[GRID, GRID]: True for covered cells."""

Heat = NDArray[np.float64]
"""float64[GRID, GRID]"""


class OcclusionRegions:
    """Heat map by random masks; `cover` maps a photo to the pixels that replace covered ones."""

    def __init__(
        self, model: Model, settings: Settings, *, cover: Callable[[Pixels], Pixels] | None = None
    ) -> None:
        self._model, self._settings, self._cover = model, settings, cover or mean_colour

    @staticmethod
    def unsupported(model: Model) -> str | None:
        """None, since any model is supported."""
        return None

    def explain_region(self, query: Float32, pixels: Pixels) -> RegionExplanation:
        """Heat map in units of the score; embeds the photo and `cost` altered ones (an even number)."""
        score = float(self._model.encode_pixels([pixels])[0] @ query)
        masks = draw_masks(self._settings.cost // 2, np.random.default_rng(self._settings.seed))
        heat = fit_heat(masks, score - self._scores(masks, query, pixels))
        return RegionExplanation("occlusion", (UNIT_CELLS * heat).astype(np.float32), "score")

    def _scores(self, masks: Sequence[Mask], query: Float32, pixels: Pixels) -> NDArray[np.float64]:
        """The cosine of the query with the photo under each mask: float64[n]."""
        cover, scores = self._cover(pixels), list[float]()
        for start in range(0, len(masks), _PHOTO_BATCH):
            altered = [apply_mask(pixels, cover, mask) for mask in masks[start : start + _PHOTO_BATCH]]
            scores += (self._model.encode_pixels(altered) @ query).tolist()
            self._settings.progress("region", len(scores), len(masks))
        return np.array(scores)


def draw_masks(pairs: int, rng: np.random.Generator) -> list[Mask]:
    """Draw `pairs` random, smooth halves of the grid, each followed by its complement."""
    root = np.linalg.cholesky(_covariance(_MASK_LENGTH) + 1e-6 * np.eye(GRID * GRID))
    masks = []
    for _ in range(pairs):
        field = root @ rng.standard_normal(GRID * GRID)
        half = (field > np.median(field)).reshape(GRID, GRID)
        masks += [half, ~half]
    return masks


def fit_heat(masks: Sequence[Mask], decreases: NDArray[np.float64]) -> Heat:
    """Fit a linear model of the score's decreases, float64[masks]: the decrease for each covered cell.

    The mean decrease is divided evenly; deviations from it are the posterior mean of a Gaussian process.
    """
    cells = np.stack(masks).reshape(len(masks), -1).astype(np.float64)
    level = decreases.mean() / cells.sum(axis=1).mean()
    cells -= cells.mean(axis=0)
    cross = cells @ _covariance(_HEAT_LENGTH)
    explained = cross @ cells.T
    noise = _NOISE * np.trace(explained) / len(masks) * np.eye(len(masks))
    heat: Heat = level + np.linalg.solve(explained + noise, decreases - decreases.mean()) @ cross
    return heat.reshape(GRID, GRID)


def apply_mask(pixels: Pixels, cover: Pixels, mask: Mask) -> Pixels:
    """Replace `pixels` by those of `cover` in the cells of `mask`, bool[rows, columns] of any grid."""
    height, width = pixels.shape[:2]
    rows = np.arange(height) * mask.shape[0] // height
    columns = np.arange(width) * mask.shape[1] // width
    return np.where(mask[np.ix_(rows, columns)][..., None], cover, pixels)


def mean_colour(pixels: Pixels) -> Pixels:
    """Pixels of the same shape, filled with the photo's mean colour."""
    return np.broadcast_to(pixels.mean(axis=(0, 1)).round().astype(np.uint8), pixels.shape)


@cache
def _covariance(length: float) -> NDArray[np.float64]:
    """Squared exponential kernel of the cells' distances: float64[GRID * GRID, GRID * GRID]."""
    places = np.indices((GRID, GRID)).reshape(2, -1).T
    squared = ((places[:, None] - places[None]) ** 2).sum(axis=-1)
    kernel: NDArray[np.float64] = np.exp(-squared / (2 * length**2))
    return kernel
