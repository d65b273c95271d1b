"""Logistic regression on frozen embeddings, and the choice of its regularisation. Needs scikit-learn.

The inverse regularisation C is chosen as in CLIP (Radford et al. 2021, arXiv:2103.00020, appendix A.3): a
parametric binary search over 97 values from 1e-6 to 1e6, by accuracy on validation photos. The last fit uses
training and validation photos. A regression that starts from a zero-shot head is regularised towards its
weights instead of zero, and then interpolated with them (Wortsman et al. 2022, arXiv:2109.01903).
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np

from clipsight.classification.splits import stratified_k_fold
from clipsight.core.arguments import number
from clipsight.core.arrays import Float, Int64
from clipsight.core.errors import LabelError
from clipsight.core.extras import require
from clipsight.probe.head import Head, interpolate

Alpha = float | Literal["auto"] | None
"""None: a plain probe. A number, or "auto": a probe that starts from the zero-shot weights, interpolated with
them."""

Quality = tuple[float, float]
"""Accuracy and mean log likelihood on validation photos; higher is better."""

Learner = Callable[[Float, Int64, float], Head]
"""Function that fits a head to vectors float[n, dim] of classes int64[n], with C."""

STEPS_PER_DECADE = 8
SWEEP = 10.0 ** (np.arange(12 * STEPS_PER_DECADE + 1) / STEPS_PER_DECADE - 6)
"""Values of C that are considered; C is 1 / lambda of the paper."""

MIN_VALIDATION = 100
"""Validation photos needed to choose C of a plain probe: for fewer, accuracy has an error of over 3 %."""

MAX_VALIDATION = 500
"""Number of validation photos from which no further fold is used: large collections need only one fold."""

DEFAULT_C, FINE_TUNE_C = 10.0**0.5, 10.0**-0.5
"""C of a plain probe with few photos; and of one that starts from zero-shot, unless another is better."""

DEFAULT_ALPHA = 0.5
"""Alpha without validation photos (one photo per class), as WiSE-FT recommends."""

ALPHAS = np.linspace(0, 1, 11)

_FOLDS = 5
_MAX_ITERATIONS = 1000


@dataclass(frozen=True, eq=False)
class Fit:
    """A head and its hyperparameters."""

    head: Head
    C: float
    alpha: float | None
    """Interpolation between zero-shot (0) and the regression that starts from it (1); None: a plain probe."""
    validation_photos: int
    """Number of validation photos by which C or alpha was chosen; 0 if there were too few."""


def check_alpha(alpha: Alpha) -> None:
    """Raise `LabelError` unless `alpha` is None, "auto", or a number from 0 to 1."""
    if alpha is None or alpha == "auto":
        return
    number(alpha, "alpha", error=LabelError)
    if not 0 <= alpha <= 1:
        raise LabelError(f"`alpha` is {alpha:g}: choose a number from 0 (zero-shot) to 1, or auto")


def fit_head(
    vectors: Float, labels: Int64, zero_shot: Head | None = None, alpha: Alpha = None, *, seed: int = 0
) -> Fit:
    """Fit a head to vectors float[n, dim] of classes int64[n], 0, 1, ..., each with at least one photo.

    Without `alpha`, it is a plain probe. With `alpha`, it starts from the head `zero_shot` and is
    interpolated with it, for "auto" at the result of `best_alpha` on the validation photos. `seed` selects
    the validation photos. Raises `LabelError` as `check_alpha` does.
    """
    check_alpha(alpha)
    vectors = vectors.astype(np.float64)
    folds = validation_folds(labels, seed=seed)
    validation_photos = sum(len(validation) for _, validation in folds)

    def validate(learn: Learner, C: float) -> tuple[Float, Int64]:
        return _validation_logits(learn, vectors, labels, folds, C)

    if alpha is None:
        if validation_photos < MIN_VALIDATION:
            return Fit(logistic_regression(vectors, labels, DEFAULT_C), DEFAULT_C, None, 0)
        C = sweep(lambda each: _quality(*validate(logistic_regression, each)))
        return Fit(logistic_regression(vectors, labels, C), C, None, validation_photos)
    if zero_shot is None:
        raise ValueError("alpha needs a zero-shot head")
    learn = partial(fine_tune, zero_shot)
    C = _fine_tune_C(partial(validate, learn)) if validation_photos else FINE_TUNE_C
    if alpha == "auto" and validation_photos:
        rows = np.concatenate([validation for _, validation in folds])
        alpha = best_alpha(zero_shot.logits(vectors[rows]), *validate(learn, C))
    elif alpha == "auto":
        alpha = DEFAULT_ALPHA
    return Fit(interpolate(zero_shot, learn(vectors, labels, C), alpha), C, alpha, validation_photos)


def logistic_regression(vectors: Float, labels: Int64, C: float) -> Head:
    """Logistic regression by scikit-learn's L-BFGS, with L2 regularisation of the weights, not the bias."""
    regression = require("probe", "sklearn.linear_model").LogisticRegression(C=C, max_iter=_MAX_ITERATIONS)
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", require("probe", "sklearn.exceptions").ConvergenceWarning
        )  # fitting stops after 1,000 iterations, as in the paper
        regression.fit(vectors, labels)
    weights, bias = regression.coef_, regression.intercept_
    if len(weights) == 1:  # for two classes, scikit-learn has one logit: second class against first
        weights, bias = np.concatenate([-weights, weights]) / 2, np.concatenate([-bias, bias]) / 2
    return Head(weights, bias)


def fine_tune(start: Head, vectors: Float, labels: Int64, C: float) -> Head:
    """Logistic regression by L-BFGS, initialised with `start` and regularised towards it, weights and bias.

    Minimises C times the summed cross entropy plus half the squared distance from `start`: the smaller C is,
    the closer the result is to `start`.
    """
    log_softmax = require("probe", "scipy.special").log_softmax
    points = np.column_stack([vectors, np.ones(len(vectors))])
    origin = np.column_stack([start.weights, start.bias])
    one_hot = np.eye(len(origin))[labels]
    start_logits = points @ origin.T

    def loss(flat: Float) -> tuple[float, Float]:
        change = flat.reshape(origin.shape)
        log_probabilities = log_softmax(start_logits + points @ change.T, axis=1)
        gradient = C * (np.exp(log_probabilities) - one_hot).T @ points + change
        return float(flat @ flat / 2 - C * (log_probabilities * one_hot).sum()), gradient.ravel()

    found = require("probe", "scipy.optimize").minimize(
        loss, np.zeros(origin.size), jac=True, method="L-BFGS-B", options={"maxiter": _MAX_ITERATIONS}
    )
    tuned = origin + found.x.reshape(origin.shape)
    return Head(tuned[:, :-1], tuned[:, -1])


def sweep(quality: Callable[[float], Quality]) -> float:
    """Search `SWEEP` for the C with the best quality as in the paper; of equal ones, the smallest.

    Beginning with seven values, two decades apart, the interval around the best is halved down to one step.
    """
    qualities: dict[int, Quality] = {}
    step = 2 * STEPS_PER_DECADE
    indices = range(0, len(SWEEP), step)
    while True:
        qualities |= {
            index: quality(float(SWEEP[index]))
            for index in indices
            if 0 <= index < len(SWEEP) and index not in qualities
        }
        peak = max(qualities, key=lambda index: (qualities[index], -index))
        if step == 1:
            return float(SWEEP[peak])
        step //= 2
        indices = range(peak - step, peak + step + 1, 2 * step)


def best_alpha(zero_shot: Float, tuned: Float, labels: Int64) -> float:
    """The alpha of `ALPHAS` with the best mean likelihood; 0 if not significantly better than zero-shot.

    `zero_shot` and `tuned` are logits float[n, classes] of the two heads, `labels` int64[n]. A gain is
    significant if it exceeds one standard error.
    """
    # Logits are linear in the weights, so interpolating logits equals interpolating heads.
    likelihoods = {
        alpha: _log_likelihoods((1 - alpha) * zero_shot + alpha * tuned, labels) for alpha in ALPHAS
    }
    best = max(ALPHAS, key=lambda alpha: likelihoods[alpha].mean())
    return float(best) if _is_significantly_higher(likelihoods[best], likelihoods[0.0], errors=1) else 0.0


def validation_folds(labels: Int64, *, seed: int = 0) -> list[tuple[Int64, Int64]]:
    """Rows for training and validation: of five stratified folds as many as `MAX_VALIDATION` photos need."""
    folds: list[tuple[Int64, Int64]] = []
    for fold in stratified_k_fold(labels, _FOLDS, seed=seed):
        if sum(len(validation) for _, validation in folds) >= MAX_VALIDATION:
            break
        folds.append(fold)
    return folds


def _validation_logits(
    learn: Learner, vectors: Float, labels: Int64, folds: list[tuple[Int64, Int64]], C: float
) -> tuple[Float, Int64]:
    """Logits and classes of all validation photos; no photo's head was trained on that photo."""
    logits = [
        learn(vectors[training], labels[training], C).logits(vectors[validation])
        for training, validation in folds
    ]
    return np.concatenate(logits), labels[np.concatenate([validation for _, validation in folds])]


def _quality(logits: Float, labels: Int64) -> Quality:
    return float(_correct(logits, labels).mean()), float(_log_likelihoods(logits, labels).mean())


def _fine_tune_C(validate: Callable[[float], tuple[Float, Int64]]) -> float:
    """The C with the best accuracy, if it is better than that of `FINE_TUNE_C` by two standard errors.

    Two, because it is the best of many values. Likelihood is no criterion: it grows with a head's confidence.
    """
    best = sweep(lambda each: _quality(*validate(each)))
    accuracies = _correct(*validate(best)), _correct(*validate(FINE_TUNE_C))
    better = _is_significantly_higher(*accuracies, errors=2)
    return best if better else FINE_TUNE_C


def _is_significantly_higher(scores: Float, others: Float, *, errors: float) -> bool:
    """True if the mean difference, over the photos, exceeds `errors` standard errors."""
    gains = scores - others
    return bool(gains.mean() > errors * gains.std() / np.sqrt(len(gains)))


def _correct(logits: Float, labels: Int64) -> Float:
    """1 for each photo whose class has the highest logit, else 0: float[n]."""
    correct: Float = (logits.argmax(1) == labels).astype(np.float64)
    return correct


def _log_likelihoods(logits: Float, labels: Int64) -> Float:
    """Log probability of each photo's class: float[n]."""
    log_probabilities: Float = require("probe", "scipy.special").log_softmax(logits, axis=1)
    return log_probabilities[np.arange(len(labels)), labels]
