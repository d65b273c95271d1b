"""Does a photo show what a text says at all? The calibration behind `--unknown` and `search --sure`.

Cosines have no zero: every photo is nearest to some label, and every query has a best photo. What a cosine
means is told by many that mean nothing: those of the library's own photos with general prompts that have no
bearing on what was asked. A cosine in standard deviations of these is its *level*. The best of many is
high by chance, so the chance that a text fits falls with the number of alternatives it was chosen from:

    log odds(the text fits) = SLOPE x level - CROWD x ln(alternatives) + OFFSET

One logistic regression, fitted on photos that the builtin model has not seen:
`python -m benchmarks.rejection` fits it again and measures what docs/sorting.md says.
Called by `library` and `classify`.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

SAMPLE = 1000
"""Photos of the library that are enough to calibrate with."""

SLOPE = 2.2
CROWD = 0.3
OFFSET = -7.7

SURE = 0.5
"""The chance from which a search with `--sure` keeps a photo."""

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
"""General prompts, to be embedded as they are."""

Floats = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Calibration:
    """What cosines of a model mean among these photos: mean and deviation of those that mean nothing."""

    mean: float
    deviation: float

    @classmethod
    def of(cls, photos: Floats, background: Floats) -> "Calibration":
        """From unit vectors of a photo or more, [n, dim], and of the `BACKGROUND` prompts, [prompts, dim]."""
        cosines = photos.astype(np.float32) @ background.astype(np.float32).T
        return cls(float(cosines.mean()), max(float(cosines.std()), 1e-6))

    def probability(self, cosines: Floats, alternatives: int) -> npt.NDArray[np.float32]:
        """The chance that a text fits a photo, for each of any number of their cosines: float32, same shape.

        `alternatives` is how many labels, or photos, the one looked at was chosen from as the best.
        """
        level = (cosines.astype(np.float64) - self.mean) / self.deviation
        odds = SLOPE * level - CROWD * math.log(alternatives) + OFFSET
        return (0.5 * (1 + np.tanh(odds / 2))).astype(np.float32)

    def none(self, cosines: Floats) -> npt.NDArray[np.float32]:
        """The chance, float32[n], that no label fits the photo, given its cosines [n, labels] with all."""
        return 1 - self.probability(cosines.max(axis=1), cosines.shape[1])

    def sure_score(self, photos: int) -> float:
        """The cosine with words from which one of `photos` photos is kept by `search --sure`."""
        odds = math.log(SURE / (1 - SURE))
        level = (odds - OFFSET + CROWD * math.log(max(photos, 1))) / SLOPE
        return self.mean + self.deviation * level
