"""Probability that a photo shows what a text says: the calibration of `unknown` and `sure`.

Cosines have no zero: every photo has a nearest label, and every query has a best photo. A cosine is therefore
compared with those of the library's own photos with general prompts (`BACKGROUND`): its *level* is its
distance from their mean, in their standard deviations. The best of many is high by chance, so the probability
that a text fits falls with the number of alternatives it was chosen from:

    log odds(the text fits) = SLOPE x level - CROWD x ln(alternatives) + OFFSET

One logistic regression, fitted on photos that the builtin model has not seen:
`python -m benchmarks.rejection` fits it again and measures what docs/sorting.md says.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from clipsight.core.arrays import Float

SAMPLE = 1000
"""Photos of the library to calibrate with."""

SLOPE = 2.2
CROWD = 0.3
OFFSET = -7.7

SURE = 0.5
"""Least probability at which a search with `sure` keeps a photo."""

BACKGROUND: tuple[str, ...] = (
    *("a man", "a woman", "a child", "a crowd of people", "a portrait of a face", "people at a party"),
    *("a person working at a desk", "a musician playing an instrument", "people playing football"),
    *("a dog", "a cat", "a horse", "a cow", "a bird", "a fish", "a snake", "an insect", "a wild animal"),
    *("a tree", "a flower", "grass", "fruit", "vegetables", "a plate of food", "a cake", "a cup of coffee"),
    *("a house", "a church", "a tall building", "a bridge", "a statue", "ruins", "a street", "a shop"),
    *("a road", "a garden", "a field", "a desert", "a river", "a cave", "the sky", "a sunset", "fire"),
    *("a car", "a train", "an aeroplane", "a boat", "a bicycle", "a living room", "a kitchen", "a chair"),
    *("a bottle", "a box", "a toy", "a ball", "a computer", "a clock", "a tool", "a machine", "jewellery"),
    *("clothes", "a book", "a page of text", "a sign", "a map", "a screenshot", "a drawing", "a painting"),
    *("a pattern", "a blurred photo", "a white background", "a galaxy"),
)
"""General prompts, embedded without a template."""


@dataclass(frozen=True)
class Calibration:
    """Mean and standard deviation of the photos' cosines with the background prompts."""

    mean: float
    deviation: float

    @classmethod
    def of(cls, photos: Float, background: Float) -> "Calibration":
        """Calibrate with unit vectors of photos, float[n, dim], and of `BACKGROUND`, float[prompts, dim]."""
        cosines = photos.astype(np.float32) @ background.astype(np.float32).T
        return cls(float(cosines.mean()), max(float(cosines.std()), 1e-6))

    def probability(self, cosines: Float, alternatives: int) -> npt.NDArray[np.float32]:
        """Probability that a text fits a photo, for each of their cosines: float32, same shape.

        `alternatives` is the number of labels, or photos, from which each was chosen as the best.
        """
        level = (cosines.astype(np.float64) - self.mean) / self.deviation
        odds = SLOPE * level - CROWD * math.log(alternatives) + OFFSET
        return (0.5 * (1 + np.tanh(odds / 2))).astype(np.float32)

    def none_fits(self, cosines: Float) -> npt.NDArray[np.float32]:
        """Probability that no label fits the photo, float32[n], from its cosines with all, [n, labels]."""
        return 1 - self.probability(cosines.max(axis=1), cosines.shape[1])

    def least_score(self, photos: int) -> float:
        """Least cosine with words at which one of `photos` photos is kept by a search with `sure`."""
        odds = math.log(SURE / (1 - SURE))
        level = (odds - OFFSET + CROWD * math.log(max(photos, 1))) / SLOPE
        return self.mean + self.deviation * level
