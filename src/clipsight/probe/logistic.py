"""Logistic regression on frozen embeddings, and how strongly it is held back.

The inverse regularisation C is chosen as in CLIP (Radford et al. 2021, arXiv:2103.00020, appendix A.3): a
parametric binary search over 97 values from 1e-6 to 1e6, judged on photos held out from the training
ones, which join them again for the last fit. With zero-shot weights to start from, the regression is held
to these instead of to zero, and then interpolated with them (Wortsman et al. 2022, arXiv:2109.01903).
Needs scikit-learn. Called by `report` and `curve`.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from clipsight.core.extras import require
from clipsight.probe.head import Floats, Head, interpolate

Ints = npt.NDArray[np.int64]
Verdict = tuple[float, float]
"""Accuracy and mean log likelihood on validation photos: the higher the better."""

Learner = Callable[[Floats, Ints, float], Head]
"""From vectors float[n, dim], classes int64[n] and C."""

STEPS_PER_DECADE = 8
SWEEP = 10.0 ** (np.arange(12 * STEPS_PER_DECADE + 1) / STEPS_PER_DECADE - 6)
"""The values of C, which is 1 / lambda of the paper."""

FEWEST_JUDGED = 100
"""A plain probe's C is not chosen by fewer photos: an accuracy's standard error would be 3 % and more."""

MOST_JUDGED = 500
"""Of the five validation splits as many are used as make so many photos; one alone for large collections."""

C_OF_FEW, C_HELD = 10.0**0.5, 10.0**-0.5
"""Of a plain probe after few photos; of one held to zero-shot weights, unless another is clearly better."""

ALPHA_UNJUDGED = 0.5
"""What WiSE-FT recommends where nothing is known: after one photo a class."""

ALPHAS = np.linspace(0, 1, 11)

_FOLDS = 5
_MAX_ITERATIONS = 1000


@dataclass(frozen=True, eq=False)
class Fit:
    """A head and how it came about."""

    head: Head
    C: float
    alpha: float | None
    """Place between the zero-shot weights (0) and the regression that began there (1); None without them."""
    judged: int
    """Validation photos by which C or alpha was chosen; 0 where they were too few."""


def fit(
    vectors: Floats, labels: Ints, start: Head | None = None, alpha: float | None = None, *, seed: int = 0
) -> Fit:
    """Fit float[n, dim] to classes int64[n] 0, 1, ..., each of which has a photo.

    Without `start` a plain probe. With the zero-shot head as `start`, the interpolation at `alpha`, or
    at what `best_alpha` finds on the validation photos if that is None. The seed decides which these are.
    """
    vectors = vectors.astype(np.float64)
    splits = validation_splits(labels, seed)
    judged = sum(len(validation) for _, validation in splits)

    def unseen(learn: Learner, C: float) -> tuple[Floats, Ints]:
        return _unseen(learn, vectors, labels, splits, C)

    if start is None:
        judged = judged if judged >= FEWEST_JUDGED else 0
        C = sweep(lambda each: _verdict(*unseen(logistic_regression, each))) if judged else C_OF_FEW
        return Fit(logistic_regression(vectors, labels, C), C, None, judged)
    learn = partial(fine_tune, start)
    C = _held(partial(unseen, learn)) if judged else C_HELD
    if alpha is None and judged:
        rows = np.concatenate([validation for _, validation in splits])
        alpha = best_alpha(start.logits(vectors[rows]), *unseen(learn, C))
    elif alpha is None:
        alpha = ALPHA_UNJUDGED
    return Fit(interpolate(start, learn(vectors, labels, C), alpha), C, alpha, judged)


def logistic_regression(vectors: Floats, labels: Ints, C: float) -> Head:
    """scikit-learn's, by L-BFGS: weights are held to zero, the bias is free."""
    regression = require("probe", "sklearn.linear_model").LogisticRegression(C=C, max_iter=_MAX_ITERATIONS)
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", require("probe", "sklearn.exceptions").ConvergenceWarning
        )  # after 1,000 iterations, as in the paper
        regression.fit(vectors, labels)
    weights, bias = regression.coef_, regression.intercept_
    if len(weights) == 1:  # two classes have one logit, that of the second against the first
        weights, bias = np.concatenate([-weights, weights]) / 2, np.concatenate([-bias, bias]) / 2
    return Head(weights, bias)


def fine_tune(start: Head, vectors: Floats, labels: Ints, C: float) -> Head:
    """Logistic regression by L-BFGS that begins at `start` and is held to it, weights and bias.

    Minimises C x the summed cross entropy + half the squared distance from `start`: the nearer C is to
    zero, the less the photos can change what the words say.
    """
    log_softmax = require("probe", "scipy.special").log_softmax
    points = np.column_stack([vectors, np.ones(len(vectors))])
    origin = np.column_stack([start.weights, start.bias])
    right = np.eye(len(origin))[labels]
    before = points @ origin.T

    def loss(flat: Floats) -> tuple[float, Floats]:
        change = flat.reshape(origin.shape)
        log_chances = log_softmax(before + points @ change.T, axis=1)
        slope = C * (np.exp(log_chances) - right).T @ points + change
        return float(flat @ flat / 2 - C * (log_chances * right).sum()), slope.ravel()

    found = require("probe", "scipy.optimize").minimize(
        loss, np.zeros(origin.size), jac=True, method="L-BFGS-B", options={"maxiter": _MAX_ITERATIONS}
    )
    tuned = origin + found.x.reshape(origin.shape)
    return Head(tuned[:, :-1], tuned[:, -1])


def sweep(judge: Callable[[float], Verdict]) -> float:
    """The C of `SWEEP` with the best verdict, by the paper's search; of equal ones the smallest.

    From seven values, two decades apart, the interval around the peak is halved until it is one step.
    """
    verdicts: dict[int, Verdict] = {}
    step = 2 * STEPS_PER_DECADE
    places = range(0, len(SWEEP), step)
    while True:
        verdicts |= {
            place: judge(float(SWEEP[place]))
            for place in places
            if 0 <= place < len(SWEEP) and place not in verdicts
        }
        peak = max(verdicts, key=lambda place: (verdicts[place], -place))
        if step == 1:
            return float(SWEEP[peak])
        step //= 2
        places = range(peak - step, peak + step + 1, 2 * step)


def best_alpha(begun: Floats, tuned: Floats, labels: Ints) -> float:
    """The alpha of `ALPHAS` with the best mean likelihood, for logits of zero-shot and of tuned heads.

    It is 0 where the gain over zero-shot is not more than one standard error: the photos must speak
    clearly before the words are left.
    """
    # Logits are linear in the weights, so interpolating them is interpolating the heads.
    likelihoods = {alpha: _likelihoods((1 - alpha) * begun + alpha * tuned, labels) for alpha in ALPHAS}
    best = max(ALPHAS, key=lambda alpha: likelihoods[alpha].mean())
    return float(best) if _clearly_more(likelihoods[best], likelihoods[0.0], errors=1) else 0.0


def validation_splits(labels: Ints, seed: int = 0) -> list[tuple[Ints, Ints]]:
    """Pairs of rows to learn from and rows to judge by: fifths of every class.

    The only photo of a class is never taken from learning. As many fifths as `MOST_JUDGED` asks for.
    """
    rng = np.random.default_rng(seed)
    fold = np.full(len(labels), -1)
    for label in range(labels.max() + 1):
        rows = rng.permutation(np.flatnonzero(labels == label))
        if len(rows) > 1:
            fold[rows] = np.arange(len(rows)) % _FOLDS
    splits: list[tuple[Ints, Ints]] = []
    judged = 0
    for each in range(_FOLDS):
        validation = np.flatnonzero(fold == each)
        if len(validation) and judged < MOST_JUDGED:
            splits.append((np.flatnonzero(fold != each), validation))
            judged += len(validation)
    return splits


def _unseen(
    learn: Learner, vectors: Floats, labels: Ints, splits: list[tuple[Ints, Ints]], C: float
) -> tuple[Floats, Ints]:
    """Logits and classes of all validation photos, each from a head that has not seen it."""
    logits = [
        learn(vectors[training], labels[training], C).logits(vectors[validation])
        for training, validation in splits
    ]
    return np.concatenate(logits), labels[np.concatenate([validation for _, validation in splits])]


def _verdict(logits: Floats, labels: Ints) -> Verdict:
    return float(_right(logits, labels).mean()), float(_likelihoods(logits, labels).mean())


def _held(unseen: Callable[[float], tuple[Floats, Ints]]) -> float:
    """The C with the best accuracy, if by two standard errors better than C_HELD; else that.

    Two, for it is the best of many; and not by likelihood, which grows as a head gets surer of what it knows.
    """
    best = sweep(lambda each: _verdict(*unseen(each)))
    return best if _clearly_more(_right(*unseen(best)), _right(*unseen(C_HELD)), errors=2) else C_HELD


def _clearly_more(scores: Floats, others: Floats, *, errors: float) -> bool:
    """Whether the photos' mean gain over the other scores is more than so many of its standard errors."""
    gains = scores - others
    return bool(gains.mean() > errors * gains.std() / np.sqrt(len(gains)))


def _right(logits: Floats, labels: Ints) -> Floats:
    """1 for each photo whose own class is the likeliest, else 0: float[n]."""
    right: Floats = (logits.argmax(1) == labels).astype(np.float64)
    return right


def _likelihoods(logits: Floats, labels: Ints) -> Floats:
    """The log probability of each photo's own class: float[n]."""
    chances: Floats = require("probe", "scipy.special").log_softmax(logits, axis=1)
    return chances[np.arange(len(labels)), labels]
