"""Scores of a classifier on photos with known classes: plain arrays in, figures out.

Called by `zeroshot`, `shift` and `probe`, so that all of them mean the same by the same word.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Scores:
    """What a classifier got right. Shares are from 0 to 1."""

    classes: tuple[str, ...]
    confusion: Ints
    """int64[classes, classes]: photos of the class of the row that were taken for that of the column"""
    top5: float | None
    """Share of photos whose class is among the five likeliest; None for fewer than five classes."""

    @property
    def photos(self) -> int:
        return int(self.confusion.sum())

    @property
    def top1(self) -> float:
        """Accuracy: the share of photos whose class is the likeliest."""
        return float(self.confusion.trace() / self.photos)

    @property
    def recall(self) -> npt.NDArray[np.float64]:
        """float64[classes]: the share of a class's photos that were found; NaN where it has none."""
        return _share(self.confusion.diagonal(), self.confusion.sum(1))

    @property
    def precision(self) -> npt.NDArray[np.float64]:
        """float64[classes]: the share of the guesses of a class that were right; NaN where it has none."""
        return _share(self.confusion.diagonal(), self.confusion.sum(0))

    @property
    def f1(self) -> npt.NDArray[np.float64]:
        """float64[classes]: 2 x right / (photos + guesses); NaN where a class has neither."""
        return _share(2 * self.confusion.diagonal(), self.confusion.sum(0) + self.confusion.sum(1))

    @property
    def mean_per_class(self) -> float:
        """Mean recall of the classes that have photos."""
        return float(np.nanmean(self.recall))

    @property
    def macro_f1(self) -> float:
        """Mean F1 of the classes that have photos or guesses, as scikit-learn counts it."""
        return float(np.nanmean(self.f1))

    def worst_mistake(self, row: int) -> tuple[str, int] | None:
        """What the class of this row was most often taken for, and how often; None if never mistaken."""
        others = self.confusion[row].copy()
        others[row] = 0
        column = int(others.argmax())
        return (self.classes[column], int(others[column])) if others[column] else None

    def to_dict(self) -> dict[str, Any]:
        """The scores as `--json` prints them; `per_class` is the recall of each."""
        return {
            "photos": self.photos,
            "top1": _rounded(self.top1),
            "top5": None if self.top5 is None else _rounded(self.top5),
            "mean_per_class": _rounded(self.mean_per_class),
            "macro_f1": _rounded(self.macro_f1),
            "per_class": self._by_class(self.recall),
            "per_class_precision": self._by_class(self.precision),
            "per_class_f1": self._by_class(self.f1),
            "confusion": {"classes": list(self.classes), "counts": self.confusion.tolist()},
        }

    def _by_class(self, values: npt.NDArray[np.float64]) -> dict[str, float | None]:
        return {
            name: None if np.isnan(value) else _rounded(value)
            for name, value in zip(self.classes, values, strict=True)
        }


def score(logits: Floats, labels: Ints, classes: Sequence[str]) -> Scores:
    """Judge logits or probabilities float[n, classes] by the right classes int64[n].

    Of equal entries the first class counts as the likelier one.
    """
    count = len(classes)
    likeliest = np.argsort(-logits, axis=1, kind="stable")
    confusion = np.zeros((count, count), np.int64)
    np.add.at(confusion, (labels, likeliest[:, 0]), 1)
    among = (likeliest[:, :5] == labels[:, None]).any(1)
    return Scores(tuple(classes), confusion, float(among.mean()) if count >= 5 else None)


def _share(part: Ints, whole: Ints) -> npt.NDArray[np.float64]:
    shares = np.full(len(whole), np.nan)
    np.divide(part, whole, out=shares, where=whole > 0)
    return shares


def _rounded(value: float) -> float:
    return round(float(value), 6)
