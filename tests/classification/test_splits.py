"""Splits: stratified, complete, and the same for the same seed."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipsight.classification.dataset import LabelledVectors
from clipsight.classification.splits import (
    sample_shots,
    split_halves,
    stratified_k_fold,
    train_test_split,
)
from clipsight.core.errors import LabelError

SIZES = st.lists(st.integers(2, 9), min_size=2, max_size=6)


def photos_of(sizes: list[int], seed: int = 0) -> LabelledVectors:
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    paths = tuple(Path(f"/{number}.jpg") for number in range(len(labels)))
    vectors = np.arange(len(labels), dtype=np.float32)[:, None]
    failures = ((Path("/broken.jpg"), "reason"),)
    return LabelledVectors(tuple("abcdef"[: len(sizes)]), paths, vectors, labels, failures)


def rows_of(part: LabelledVectors) -> list[int]:
    rows = [int(row) for row in part.vectors[:, 0]]
    assert part.paths == tuple(Path(f"/{row}.jpg") for row in rows)
    return rows


@given(SIZES, st.integers(0, 3))
def test_halves_are_stratified_and_complete(sizes: list[int], seed: int) -> None:
    photos = photos_of(sizes, seed)
    first, second = split_halves(photos)
    assert sorted(rows_of(first) + rows_of(second)) == list(range(len(photos)))
    assert abs(len(first) - len(second)) <= 1
    for number in range(len(sizes)):
        counts = [int((half.labels == number).sum()) for half in (first, second)]
        assert abs(counts[0] - counts[1]) <= 1 and min(counts) >= 1
    assert [rows_of(half) for half in split_halves(photos)] == [rows_of(first), rows_of(second)]


@given(SIZES, st.floats(0.05, 0.95), st.integers(0, 3))
def test_every_class_is_trained_and_tested(sizes: list[int], test_size: float, seed: int) -> None:
    photos = photos_of(sizes)
    train, test = train_test_split(photos, test_size, seed=seed)
    assert sorted(rows_of(train) + rows_of(test)) == list(range(len(photos)))
    counts = np.bincount(test.labels, minlength=len(sizes))
    assert counts.min() >= 1 and (np.array(sizes) - counts).min() >= 1
    assert np.abs(counts - test_size * np.array(sizes)).max() <= 1
    assert (train.failures, test.failures) == (photos.failures, ())


def test_a_class_of_one_photo_cannot_be_split() -> None:
    for split in (split_halves, train_test_split):
        with pytest.raises(LabelError, match="the class 'b' has one readable photo"):
            split(photos_of([2, 1]))


def test_splits_of_a_seed_are_the_same_in_every_version() -> None:
    photos = photos_of([5, 4])
    assert [rows_of(part) for part in split_halves(photos)] == [[1, 4, 6, 7, 8], [0, 2, 3, 5]]
    assert rows_of(train_test_split(photos, seed=3)[1]) == [6, 8]
    assert rows_of(sample_shots(photos, 2, seed=(1, 2))[0]) == [1, 2, 6, 8]
    folds = [validation.tolist() for _, validation in stratified_k_fold(photos.labels, 3)]
    assert folds == [[0, 1, 3, 4], [2, 6, 8], [5, 7]]


def test_a_fifth_of_every_class_is_held_out_by_default() -> None:
    photos = photos_of([10, 10, 10])
    train, test = train_test_split(photos)
    assert np.bincount(test.labels).tolist() == [2, 2, 2] and len(train) == 24
    assert rows_of(train_test_split(photos)[1]) == rows_of(test)
    assert rows_of(train_test_split(photos, seed=1)[1]) != rows_of(test)


def test_shots_are_sampled_from_every_class() -> None:
    photos = photos_of([10, 10, 10])
    sample, rest = sample_shots(photos, 4)
    assert np.bincount(sample.labels).tolist() == [4, 4, 4]
    assert sorted([*rows_of(sample), *rows_of(rest)]) == list(range(30))
    for shots in (0, 11):
        with pytest.raises(LabelError, match=f"`shots` is {shots}, but the class 'a' has 10 photos"):
            sample_shots(photos, shots)
