"""Predictions of a classifier (zero-shot or linear probe): photos with the probability of every label."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from clipsight.core.arrays import Float32
from clipsight.indexing.media.picture import Picture
from clipsight.search.results import Embeddings

NONE = "none of these"
"""The label of photos that no other label fits, with `unknown=True`."""


@dataclass(frozen=True)
class Prediction:
    """One photo with the probability of every label, float32[labels], in the order of the labels."""

    path: Path
    id: int
    """The photo's id in the library; 0 if it is not in the library."""
    labels: tuple[str, ...]
    probabilities: Float32
    given: Picture | None = field(default=None, repr=False, compare=False)
    """The photo as a picture, if it was given as one; it need not be a file."""

    @property
    def picture(self) -> Picture:
        """The photo as a `Picture`, which opens it."""
        return self.given or Picture(str(self.path), file=self.path)

    @property
    def label(self) -> str:
        """The most probable label; the first of equally probable ones."""
        return self.labels[int(self.probabilities.argmax())]

    @property
    def probability(self) -> float:
        """The probability of `label`."""
        return float(self.probabilities.max())


@dataclass(frozen=True)
class Predictions:
    """A chunk of classified photos, in order."""

    labels: tuple[str, ...]
    paths: tuple[Path, ...]
    ids: npt.NDArray[np.int64]
    probabilities: Float32
    """float32[n, labels]"""
    failures: tuple[tuple[Path, str], ...] = ()
    """Files that could not be read, with the reason."""
    pictures: tuple[Picture, ...] = ()
    """The photos as pictures, if they were given as such; empty for photos of the library."""

    @classmethod
    def of(cls, photos: Embeddings, labels: tuple[str, ...], probabilities: Float32) -> "Predictions":
        """Combine photos with their probabilities, float32[n, labels]."""
        return cls(labels, photos.paths, photos.ids, probabilities, photos.failures, photos.pictures)

    def __len__(self) -> int:
        return len(self.paths)

    def __iter__(self) -> Iterator[Prediction]:
        pictures = self.pictures or (None,) * len(self)
        columns = (self.paths, self.ids.tolist(), self.probabilities, pictures)
        for path, id_, row, picture in zip(*columns, strict=True):
            yield Prediction(path, id_, self.labels, row, picture)


class PredictionStream(Protocol):
    """Photos that are classified while `chunks` is iterated over; this is possible once."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels, in the order of the probabilities."""

    @property
    def chunks(self) -> Iterator[Predictions]:
        """The predictions, a chunk at a time."""

    @property
    def summary(self) -> str:
        """Model and scoring, as part of a line."""

    def describe(self) -> dict[str, object]:
        """Model, scoring and labels: the first fields of the output of `--json`."""


def best_labels(probabilities: Float32, count: int) -> npt.NDArray[np.int64]:
    """Indices of each photo's most probable labels, int64[n, count], ties in the order of the labels."""
    if count == 1:
        best: npt.NDArray[np.int64] = probabilities.argmax(axis=1)
        return best[:, None]
    count = min(count, probabilities.shape[1])
    rows = np.arange(len(probabilities))[:, None]
    if count < probabilities.shape[1]:
        # argpartition would pick any of several equal labels at the last rank.
        threshold = -np.partition(-probabilities, count - 1, axis=1)[:, count - 1 : count]
        above = probabilities > threshold
        remaining = count - above.sum(axis=1, keepdims=True)
        equal = probabilities == threshold
        chosen = above | (equal & (equal.cumsum(axis=1, dtype=np.int32) <= remaining))
        columns = np.nonzero(chosen)[1].reshape(len(probabilities), count)
    else:
        columns = np.broadcast_to(np.arange(count), (len(probabilities), count))
    order = np.argsort(-probabilities[rows, columns], axis=1, kind="stable")
    return columns[rows, order]
