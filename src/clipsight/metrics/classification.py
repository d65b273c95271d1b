"""Classification metrics: confusion matrix, accuracy, recall, precision and F1 by class."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from clipsight.core.arrays import Float, Int64


@dataclass(frozen=True, eq=False)
class ClassificationMetrics:
    """Metrics of one classifier on photos with known classes; proportions are from 0 to 1."""

    classes: tuple[str, ...]
    confusion_matrix: Int64
    """int64[classes, classes]: photos by true class (row) and predicted class (column)"""
    top5_accuracy: float | None
    """Share of photos whose class is among the five likeliest; None for fewer than five classes."""

    @property
    def photos(self) -> int:
        """Number of photos."""
        return int(self.confusion_matrix.sum())

    @property
    def accuracy(self) -> float:
        """Top-1 accuracy: share of photos whose class is the likeliest."""
        return float(self.confusion_matrix.trace() / self.photos)

    @property
    def recall(self) -> npt.NDArray[np.float64]:
        """float64[classes]: share of a class's photos predicted as that class; NaN without photos."""
        return _ratio(self.confusion_matrix.diagonal(), self.confusion_matrix.sum(1))

    @property
    def precision(self) -> npt.NDArray[np.float64]:
        """float64[classes]: share of a class's predictions that are right; NaN without predictions."""
        return _ratio(self.confusion_matrix.diagonal(), self.confusion_matrix.sum(0))

    @property
    def f1(self) -> npt.NDArray[np.float64]:
        """float64[classes]: 2 x right / (photos + predictions); NaN for a class with neither."""
        matrix = self.confusion_matrix
        return _ratio(2 * matrix.diagonal(), matrix.sum(0) + matrix.sum(1))

    @property
    def mean_per_class_recall(self) -> float:
        """Mean recall of the classes that have photos."""
        return float(np.nanmean(self.recall))

    @property
    def macro_f1(self) -> float:
        """Mean F1 of the classes that have photos or predictions, as in scikit-learn."""
        return float(np.nanmean(self.f1))

    def most_confused_with(self, row: int) -> tuple[str, int] | None:
        """Return the most frequent wrong prediction for the class of `row` and its count, or None."""
        mistakes = self.confusion_matrix[row].copy()
        mistakes[row] = 0
        column = int(mistakes.argmax())
        return (self.classes[column], int(mistakes[column])) if mistakes[column] else None

    def to_dict(self) -> dict[str, Any]:
        """Return the metrics as `--json` prints them; `per_class` is the recall of each class."""
        return {
            "photos": self.photos,
            "top1": _rounded(self.accuracy),
            "top5": None if self.top5_accuracy is None else _rounded(self.top5_accuracy),
            "mean_per_class": _rounded(self.mean_per_class_recall),
            "macro_f1": _rounded(self.macro_f1),
            "per_class": self._by_class(self.recall),
            "per_class_precision": self._by_class(self.precision),
            "per_class_f1": self._by_class(self.f1),
            "confusion": {"classes": list(self.classes), "counts": self.confusion_matrix.tolist()},
        }

    def _by_class(self, values: npt.NDArray[np.float64]) -> dict[str, float | None]:
        return {
            name: None if np.isnan(value) else _rounded(value)
            for name, value in zip(self.classes, values, strict=True)
        }


def classification_metrics(logits: Float, labels: Int64, classes: Sequence[str]) -> ClassificationMetrics:
    """Compare logits or probabilities float[n, classes] with the true classes int64[n].

    Of equal logits, the first class counts as the likelier one.
    """
    count = len(classes)
    predictions = np.argsort(-logits, axis=1, kind="stable")
    confusion_matrix = np.zeros((count, count), np.int64)
    np.add.at(confusion_matrix, (labels, predictions[:, 0]), 1)
    in_top5 = (predictions[:, :5] == labels[:, None]).any(1)
    return ClassificationMetrics(
        tuple(classes), confusion_matrix, float(in_top5.mean()) if count >= 5 else None
    )


def _ratio(part: Int64, whole: Int64) -> npt.NDArray[np.float64]:
    ratios = np.full(len(whole), np.nan)
    np.divide(part, whole, out=ratios, where=whole > 0)
    return ratios


def _rounded(value: float) -> float:
    return round(float(value), 6)
