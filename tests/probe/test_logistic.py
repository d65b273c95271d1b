"""The regression against scikit-learn, and how its settings are chosen."""

import numpy as np
import pytest

from clipsight.probe.head import Head
from clipsight.probe.logistic import (
    DEFAULT_ALPHA,
    DEFAULT_C,
    FINE_TUNE_C,
    SWEEP,
    best_alpha,
    fine_tune,
    fit_head,
    logistic_regression,
    sweep,
    validation_folds,
)
from tests.support.labelled import DIM, WORDS, points

ZERO = Head(np.zeros((3, DIM)), np.zeros(3))


# -- the regression ---------------------------------------------------------------


@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize("C", [0.1, 10.0])
def test_the_probe_agrees_with_scikit_learn(classes: int, C: float) -> None:
    from sklearn.linear_model import LogisticRegression

    train = points(10, classes)
    theirs = LogisticRegression(C=C, max_iter=1000).fit(train.vectors, train.labels)
    ours = logistic_regression(train.vectors, train.labels, C)
    unseen = points(10, classes, seed=1).vectors
    np.testing.assert_allclose(ours.probabilities(unseen), theirs.predict_proba(unseen), atol=1e-6)


@pytest.mark.parametrize("C", [0.1, 1.0, 100.0])
def test_fine_tuning_from_zero_agrees_with_scikit_learn(C: float) -> None:
    from sklearn.linear_model import LogisticRegression

    train = points(10)
    ones = np.column_stack([train.vectors, np.ones(len(train))])  # the bias is held to its start too
    theirs = LogisticRegression(C=C, max_iter=1000, fit_intercept=False, tol=1e-8).fit(ones, train.labels)
    ours = fine_tune(ZERO, train.vectors, train.labels, C)
    np.testing.assert_allclose(ours.weights, theirs.coef_[:, :-1], atol=1e-3 * C**0.5)
    np.testing.assert_allclose(ours.bias, theirs.coef_[:, -1], atol=1e-3 * C**0.5)


def test_regularisation_decides_how_far_fine_tuning_moves_from_its_start() -> None:
    train = points(10)
    held = fine_tune(WORDS, train.vectors, train.labels, 1e-9)
    np.testing.assert_allclose(held.weights, WORDS.weights, atol=1e-6)
    assert (
        fine_tune(WORDS, train.vectors, train.labels, 1e4).probabilities(train.vectors)[:10, 0] > 0.9
    ).all()


def test_fine_tuning_ends_at_a_minimum_of_the_loss() -> None:
    train, C = points(10), 3.0
    tuned = fine_tune(WORDS, train.vectors, train.labels, C)
    missed = tuned.probabilities(train.vectors.astype(float)) - np.eye(3)[train.labels]
    # The slope of C x cross entropy + half the squared distance, for weights and bias.
    assert np.abs(C * missed.T @ train.vectors + tuned.weights - WORDS.weights).max() < 1e-3
    assert np.abs(C * missed.sum(0) + tuned.bias).max() < 1e-3


# -- what is chosen ---------------------------------------------------------------


@pytest.mark.parametrize("peak", [0, 1, 7, 16, 40, 41, 63, 95, 96])
def test_the_sweep_finds_a_peak_at_the_resolution_of_the_paper(peak: int) -> None:
    asked: list[float] = []

    def judge(C: float) -> tuple[float, float]:
        asked.append(C)
        return -abs(np.log10(C) - np.log10(SWEEP[peak])), 0.0

    assert sweep(judge) == SWEEP[peak]
    assert asked[:7] == pytest.approx([1e-6, 1e-4, 1e-2, 1, 1e2, 1e4, 1e6])
    assert len(asked) == len(set(asked)) <= 7 + 2 * 4


def test_on_ties_the_sweep_chooses_the_strongest_regularisation() -> None:
    assert sweep(lambda C: (1.0, 0.0)) == SWEEP[0] == 1e-6


def test_likelihood_breaks_ties_of_accuracy() -> None:
    assert sweep(lambda C: (0.5, -abs(np.log10(C) - 2))) == pytest.approx(100)


def test_validation_takes_fifths_of_every_class() -> None:
    labels = np.repeat([0, 1, 2], [10, 5, 1])
    splits = validation_folds(labels)
    assert len(splits) == 5
    for training, validation in splits:
        assert sorted([*training, *validation]) == list(range(16))
        assert np.bincount(labels[validation], minlength=3).tolist() == [2, 1, 0]
    assert sorted(np.concatenate([validation for _, validation in splits])) == list(range(15))


def test_validation_with_one_or_two_photos_per_class() -> None:
    splits = validation_folds(np.array([0, 0, 1, 1]))
    assert [sorted(np.array([0, 0, 1, 1])[validation]) for _, validation in splits] == [[0, 1], [0, 1]]
    assert validation_folds(np.arange(4)) == []


def test_large_collections_are_validated_on_one_split() -> None:
    [(training, validation)] = validation_folds(np.repeat([0, 1], 2000))
    assert (len(training), len(validation)) == (3200, 800)


@pytest.mark.slow
def test_with_few_photos_only_alpha_is_chosen() -> None:
    few_photos = points(10)
    plain, tuned = (
        fit_head(few_photos.vectors, few_photos.labels, *start) for start in ((), (WORDS, "auto"))
    )
    assert (plain.C, plain.alpha, plain.validation_photos) == (DEFAULT_C, None, 0)
    assert (tuned.C, tuned.validation_photos) == (FINE_TUNE_C, 30)
    single = points(1)
    tuned = fit_head(single.vectors, single.labels, WORDS, "auto")
    assert (tuned.C, tuned.alpha, tuned.validation_photos) == (FINE_TUNE_C, DEFAULT_ALPHA, 0)
    given = fit_head(few_photos.vectors, few_photos.labels, WORDS, 0.3)
    assert given.alpha == 0.3


def test_alpha_needs_a_gain_of_more_than_a_standard_error() -> None:
    labels = np.zeros(4, int)
    begun, better = np.zeros((4, 2)), np.tile([1.0, 0.0], (4, 1))
    assert best_alpha(begun, better, labels) == 1.0
    assert best_alpha(begun, -better, labels) == 0.0
    mixed = better * np.array([[3], [3], [3], [-2]])  # better on the whole, but not clearly
    assert best_alpha(begun, mixed, labels) == 0.0
    # Of opposite errors the middle is best: p = sigmoid(8 - 12 alpha) and sigmoid(12 alpha - 4) at once.
    begun, tuned = np.array([[8.0, 0], [-4, 0]] * 9), np.array([[-4.0, 0], [8, 0]] * 9)
    assert best_alpha(begun, tuned, np.zeros(18, int)) == 0.5


@pytest.mark.slow
def test_with_many_photos_the_best_alpha_on_validation_is_chosen() -> None:
    many = points(40, noise=0.5)
    found = fit_head(many.vectors, many.labels)
    assert found.validation_photos == 120 and found.C in SWEEP
    splits = validation_folds(many.labels)

    def accuracy(C: float) -> float:
        right = [
            logistic_regression(many.vectors[a].astype(float), many.labels[a], C)
            .logits(many.vectors[b]).argmax(1) == many.labels[b]
            for a, b in splits
        ]  # fmt: skip
        return float(np.concatenate(right).mean())

    assert accuracy(found.C) >= max(accuracy(C) for C in SWEEP[::16])


@pytest.mark.slow
def test_alpha_depends_on_whether_the_class_names_are_right() -> None:
    many = points(40, noise=0.5)
    wrong = Head(np.roll(WORDS.weights, 1, axis=0), WORDS.bias)
    found = fit_head(many.vectors, many.labels, wrong, "auto")
    assert found.alpha is not None and found.alpha > 0.5
    right = (found.head.logits(many.vectors).argmax(1) == many.labels).mean()
    assert right > 0.8 > (wrong.logits(many.vectors).argmax(1) == many.labels).mean()
    assert fit_head(many.vectors, many.labels, WORDS, 0.0).head.weights == pytest.approx(WORDS.weights)


@pytest.mark.slow
def test_with_good_class_names_an_intermediate_alpha_is_best() -> None:
    test = points(300, noise=0.5, seed=9)

    def accuracy(head: Head) -> float:
        return float((head.logits(test.vectors).argmax(1) == test.labels).mean())

    blunt = Head(WORDS.weights + 6 * np.random.default_rng(0).standard_normal((3, DIM)), WORDS.bias)
    for shots in (1, 2):
        trains = [points(shots, noise=0.5, seed=seed) for seed in range(10)]
        plain = float(np.mean([accuracy(fit_head(each.vectors, each.labels).head) for each in trains]))
        tuned = np.mean(
            [accuracy(fit_head(each.vectors, each.labels, blunt, "auto").head) for each in trains]
        )
        assert float(tuned) >= max(plain, accuracy(blunt))


@pytest.mark.slow
def test_the_same_seed_fits_the_same_probe() -> None:
    many = points(40)
    one, other = (fit_head(many.vectors, many.labels, seed=3) for _ in range(2))
    np.testing.assert_allclose(one.head.weights, other.head.weights, rtol=1e-6)
