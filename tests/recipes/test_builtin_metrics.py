"""The measures, against values worked out by hand."""

import numpy as np
import pytest

from recipes.builtin import metrics


def test_recall_by_hand() -> None:
    images = np.eye(3, dtype=np.float32)
    texts = np.array([[1, 0.5, 0], [0.9, 1, 0], [0, 0.2, 1], [0.3, 0.2, 0.1]], dtype=np.float32)
    found = metrics.percent_recall(images, texts, [0, 0, 1, 2])
    # Captions rank their photo 1st, 2nd, 2nd, 3rd.
    assert found["text_to_image"] == [25.0, 100.0, 100.0]
    # Photo 0's best caption is first; photo 1's (0.2) is behind two others; photo 2's (0.1) behind one.
    assert found["image_to_text"] == [33.3, 100.0, 100.0]


def test_recall_of_a_perfect_model() -> None:
    vectors = np.linalg.qr(np.random.default_rng(0).normal(size=(20, 20)))[0].astype(np.float32)
    found = metrics.percent_recall(vectors, vectors, range(20))
    assert found == {"text_to_image": [100.0] * 3, "image_to_text": [100.0] * 3}


def test_calibration_error_by_hand() -> None:
    probabilities = np.array([[0.8, 0.2]] * 10)
    assert metrics.calibration_error(probabilities, [0] * 8 + [1] * 2) == 0.0
    assert metrics.calibration_error(probabilities, [0] * 5 + [1] * 5) == 30.0


@pytest.mark.slow
def test_calibrated_scale_recovers_the_scale_that_made_the_answers() -> None:
    rng = np.random.default_rng(0)
    cosines = rng.uniform(-0.2, 0.4, (20000, 5)).astype(np.float32)
    chances = metrics.softmax(12 * cosines).cumsum(1)
    right = (rng.random(20000)[:, None] > chances).sum(1).clip(max=4)
    assert metrics.calibrated_scale([(cosines, right.tolist())]) == pytest.approx(12, rel=0.05)


def test_softmax_rows_sum_to_one_even_for_large_logits() -> None:
    assert metrics.softmax(np.array([[1000.0, 0.0], [3.0, 3.0]], np.float32)).sum(1) == pytest.approx([1, 1])


def test_principal_axes_keep_what_lies_in_few_directions() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(50, 4)).astype(np.float32) @ rng.normal(size=(4, 32)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    short = metrics.shorten(vectors, metrics.principal_axes(vectors, 4))
    assert short.shape == (50, 4)
    assert short @ short.T == pytest.approx(vectors @ vectors.T, abs=1e-4)


def test_accuracy() -> None:
    assert metrics.accuracy(np.array([[1, 2], [3, 1], [0, 1]], np.float32), [1, 0, 0]) == 66.7


def test_average_precision_by_hand() -> None:
    scores = np.array([0.9, 0.8, 0.7, 0.6], np.float32)
    # The right ones are ranked 1st and 3rd: (1/1 + 2/3) / 2.
    assert metrics.average_precision(scores, np.array([True, False, True, False])) == pytest.approx(5 / 6)
    assert metrics.average_precision(scores, np.array([True, True, False, False])) == 1.0


def test_equal_scores_keep_their_order() -> None:
    equal = np.ones(3, np.float32)
    assert metrics.average_precision(equal, np.array([False, False, True])) == pytest.approx(1 / 3)


def test_found_within_counts_queries_with_any_right_item() -> None:
    scores = np.array([[3, 2, 1], [1, 2, 3]], np.float32)
    right = np.array([[False, True, False], [True, False, False]])
    assert [metrics.found_within(scores, right, k) for k in (1, 2, 3)] == [0.0, 50.0, 100.0]
