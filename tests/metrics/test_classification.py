"""Metrics of classifiers, by hand and against scikit-learn."""

import json

import numpy as np
import pytest

from clipsight.metrics.classification import classification_metrics


def test_scores_by_hand() -> None:
    logits = np.array([[3, 2, 1], [1, 2, 0], [0, 5, 9], [2, 8, 1]], float)
    found = classification_metrics(logits, np.array([0, 0, 2, 1]), ("a", "b", "c"))
    assert found.confusion_matrix.tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 1]]
    assert found.accuracy == 0.75 and found.top5_accuracy is None and found.photos == 4
    assert found.recall.tolist() == [0.5, 1, 1] and found.precision.tolist() == [1, 0.5, 1]
    assert found.mean_per_class_recall == pytest.approx(2.5 / 3)
    assert found.most_confused_with(0) == ("b", 1) and found.most_confused_with(1) is None


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.slow
def test_scores_are_scikit_learns(seed: int) -> None:
    from sklearn import metrics

    rng = np.random.default_rng(seed)
    logits, labels = rng.standard_normal((200, 7)), rng.integers(0, 7, 200)
    guesses = logits.argmax(1)
    found = classification_metrics(logits, labels, "abcdefg")
    np.testing.assert_array_equal(
        found.confusion_matrix, metrics.confusion_matrix(labels, guesses, labels=range(7))
    )
    assert found.accuracy == (guesses == labels).mean()
    assert found.top5_accuracy == pytest.approx(metrics.top_k_accuracy_score(labels, logits, k=5))
    np.testing.assert_allclose(found.recall, metrics.recall_score(labels, guesses, average=None))
    np.testing.assert_allclose(found.precision, metrics.precision_score(labels, guesses, average=None))
    np.testing.assert_allclose(found.f1, metrics.f1_score(labels, guesses, average=None))
    assert found.macro_f1 == pytest.approx(metrics.f1_score(labels, guesses, average="macro"))


def test_the_first_of_equal_logits_is_the_likeliest() -> None:
    found = classification_metrics(np.zeros((2, 6)), np.array([0, 5]), "abcdef")
    assert found.accuracy == 0.5 and found.top5_accuracy == 0.5


def test_classes_without_photos_do_not_count() -> None:
    found = classification_metrics(np.eye(3)[[0, 1]], np.array([0, 0]), "abc")
    assert found.mean_per_class_recall == 0.5
    printed = found.to_dict()
    assert printed["per_class"] == {"a": 0.5, "b": None, "c": None}
    assert printed["per_class_f1"] == {"a": pytest.approx(2 / 3, abs=1e-6), "b": 0.0, "c": None}
    assert printed["confusion"] == {"classes": ["a", "b", "c"], "counts": [[1, 1, 0], [0, 0, 0], [0, 0, 0]]}
    assert json.loads(json.dumps(printed)) == printed
