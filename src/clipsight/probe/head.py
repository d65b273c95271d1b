"""Linear classification heads: logits and probabilities, the zero-shot head, interpolation."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from clipsight.core.arrays import Float

if TYPE_CHECKING:
    from clipsight.classification.prompts import TemplateSet
    from clipsight.models.encoder import Encoder


@dataclass(frozen=True, eq=False)
class Head:
    """Linear classifier: logits are `vectors @ weights.T + bias`, probabilities their softmax."""

    weights: Float
    """float[classes, dim]."""
    bias: Float
    """float[classes]."""

    def logits(self, vectors: Float) -> Float:
        """Logits float[n, classes] of unit vectors float[n, dim]."""
        return vectors @ self.weights.T + self.bias

    def probabilities(self, vectors: Float) -> Float:
        """Probabilities float[n, classes] for unit vectors float[n, dim]; rows add up to 1."""
        logits = self.logits(vectors)
        probabilities: Float = np.exp(logits - logits.max(1, keepdims=True))
        probabilities /= probabilities.sum(1, keepdims=True)
        return probabilities


def zero_shot_head(classes: Sequence[str], encoder: "Encoder", templates: "TemplateSet") -> Head:
    """Make the head whose logits are those of zero-shot classification: logit scale x cosine.

    Underscores in class names are replaced by spaces. Raises `LabelError` as `check_labels` does.
    """
    from clipsight.classification.prompts import labels_of_classes
    from clipsight.classification.zero_shot import Classifier

    classifier = Classifier.from_labels(labels_of_classes(classes), encoder, templates)
    weights = np.float64(classifier.logit_scale) * classifier.weights.astype(np.float64)
    return Head(weights, np.zeros(len(classes)))


def interpolate(start: Head, end: Head, alpha: float) -> Head:
    """Interpolate linearly from `start` (alpha 0) to `end` (alpha 1): WiSE-FT (Wortsman et al. 2022)."""
    return Head(
        (1 - alpha) * start.weights + alpha * end.weights, (1 - alpha) * start.bias + alpha * end.bias
    )
