"""Seeded, stratified splits of labelled photos: train and test, halves, few shots, cross-validation folds.

Each class is shuffled separately, so that every part has about the same share of each class. The same seed
gives the same split.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from clipsight.classification.dataset import LabelledVectors
from clipsight.core.errors import LabelError

Rows = npt.NDArray[np.int64]
Seed = int | Sequence[int]

TEST_SIZE = 0.2
"""Share of the photos of each class that is held out for testing."""


def train_test_split(
    photos: LabelledVectors, test_size: float = TEST_SIZE, *, seed: int = 0
) -> tuple[LabelledVectors, LabelledVectors]:
    """Split into training and test photos: the share `test_size` of every class, at least one, for testing.

    `failures` stay with the training photos. Raises `LabelError` for a class with only one photo.
    """
    _check_two_photos(photos)
    test, train = _split(photos, seed, lambda count: min(max(1, round(test_size * count)), count - 1))
    return train, replace(test, failures=())


def split_halves(photos: LabelledVectors, *, seed: int = 0) -> tuple[LabelledVectors, LabelledVectors]:
    """Split into two halves with the same share of every class.

    For classes with an odd number of photos, the first and the second half get the extra one in turn. Raises
    `LabelError` for a class with only one photo.
    """
    _check_two_photos(photos)
    extra = 0

    def half(count: int) -> int:
        nonlocal extra
        extra ^= count % 2
        return (count + extra) // 2

    return _split(photos, seed, half)


def sample_shots(
    photos: LabelledVectors, shots: int, *, seed: Seed = 0
) -> tuple[LabelledVectors, LabelledVectors]:
    """Split into `shots` random photos of every class, and the rest. Raises `LabelError` as `check_shots`."""
    check_shots(photos, shots)
    return _split(photos, seed, lambda _: shots)


def check_shots(photos: LabelledVectors, shots: int) -> None:
    """Raise `LabelError` unless `shots` is at least 1, and at most the size of the smallest class."""
    counts = np.bincount(photos.labels, minlength=len(photos.classes))
    if shots < 1 or shots > counts.min():
        smallest = photos.classes[int(counts.argmin())]
        raise LabelError(
            f"`shots` is {shots}, but the class {smallest!r} has {counts.min()} photos to train on: "
            f"choose a number from 1 to {counts.min()}"
        )


def stratified_k_fold(labels: Rows, folds: int, *, seed: int = 0) -> Iterator[tuple[Rows, Rows]]:
    """Yield rows, int64[k], for training and for validation, fold by fold; empty folds are left out.

    `labels` are int64[n]. The only photo of a class is never used for validation.
    """
    fold = np.full(len(labels), -1)
    for rows in _shuffled_classes(labels, labels.max() + 1, seed):
        if len(rows) > 1:
            fold[rows] = np.arange(len(rows)) % folds
    for number in range(folds):
        validation = np.flatnonzero(fold == number)
        if len(validation):
            yield np.flatnonzero(fold != number), validation


def _split(
    photos: LabelledVectors, seed: Seed, first_count: Callable[[int], int]
) -> tuple[LabelledVectors, LabelledVectors]:
    """Put `first_count(n)` of the n photos of each class in the first part, the others in the second."""
    first = np.zeros(len(photos), bool)
    for rows in _shuffled_classes(photos.labels, len(photos.classes), seed):
        first[rows[: first_count(len(rows))]] = True
    return photos.subset(np.flatnonzero(first)), photos.subset(np.flatnonzero(~first))


def _shuffled_classes(labels: Rows, classes: int, seed: Seed) -> Iterator[Rows]:
    """Yield the rows of each class in random order."""
    rng = np.random.default_rng(seed)
    for label in range(classes):
        yield rng.permutation(np.flatnonzero(labels == label))


def _check_two_photos(photos: LabelledVectors) -> None:
    counts = np.bincount(photos.labels, minlength=len(photos.classes))
    if counts.min() < 2:
        single = photos.classes[int(counts.argmin())]
        raise LabelError(
            f"the class {single!r} has one readable photo: a split needs two or more "
            "(a probe can be tested on another collection instead: `test`)"
        )
