"""Retrieval metrics, by hand and against a plain sort."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipsight.metrics import retrieval
from clipsight.metrics.retrieval import RetrievalMetrics, retrieval_metrics
from tests.support.arrays import random_unit


def test_recall_by_hand() -> None:
    images = np.eye(3, dtype=np.float32)
    texts = np.array([[1, 0.5, 0], [0.9, 1, 0], [0, 0.2, 1], [0.3, 0.2, 0.1]], dtype=np.float32)
    by_text, by_image = retrieval_metrics(images, texts, [0, 0, 1, 2])
    # Captions rank their photo 1st, 2nd, 2nd, 3rd.
    assert by_text == RetrievalMetrics(0.25, 1.0, 1.0, 2.0)
    # Photo 0's best caption is first; photo 1's (0.2) is behind two others; photo 2's (0.1) behind one.
    assert by_image == RetrievalMetrics(pytest.approx(1 / 3), 1.0, 1.0, 2.0)  # type: ignore[arg-type]


@pytest.mark.slow
@given(st.integers(1, 30), st.integers(1, 4), st.integers(0, 999), st.booleans())
def test_recall_is_that_of_the_plain_sort(photos: int, most: int, seed: int, shuffled: bool) -> None:
    rng = np.random.default_rng(seed)
    owner = np.repeat(np.arange(photos), rng.integers(1, most + 1, photos))
    if shuffled:
        rng.shuffle(owner)
    images, texts = random_unit(photos, 6, seed), random_unit(len(owner), 6, seed + 1)
    by_text, by_image = retrieval_metrics(images, texts, owner.tolist())
    cosines = texts @ images.T
    places = [int(np.argsort(-row).tolist().index(mine)) for row, mine in zip(cosines, owner, strict=True)]
    assert by_text == RetrievalMetrics.from_ranks(np.array(places))
    places = [min(np.flatnonzero(owner[np.argsort(-column)] == row)) for row, column in enumerate(cosines.T)]  # type: ignore[misc]
    assert by_image == RetrievalMetrics.from_ranks(np.array(places))


@pytest.mark.parametrize("block", [1, 100, 1 << 24])
def test_the_block_size_does_not_change_the_metrics(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = np.random.default_rng(0).permutation(np.repeat(np.arange(40), 3)).tolist()
    images, texts = random_unit(40, 5, 0), random_unit(120, 5, 1)
    expected = retrieval_metrics(images, texts, owner)
    monkeypatch.setattr(retrieval, "_MAX_COSINES", block)
    assert retrieval_metrics(images, texts, owner) == expected


def test_every_photo_needs_a_caption() -> None:
    with pytest.raises(ValueError, match="every photo a caption"):
        retrieval_metrics(random_unit(3, 4, 0), random_unit(2, 4, 1), [0, 1])
