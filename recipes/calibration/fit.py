"""The fit: logistic regressions of `Pairs`, and the probabilities from which a photo is kept."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from clipsight.search.confidence import LogisticModel

from .figures import COMMON, KEPT, RIGHT, SHORT, SILENT, Sure, sure_figures
from .pairs import Asked, Floats, Pairs
from .queries import FITS, UNKNOWN

DIRECTION_SCALE = 0.1
"""Deviation of texts' vectors beside features of unit deviation: the less, the less their meaning counts."""

FORM_WEIGHTS = {"noun": 3.0, "a noun": 1.5, "two words": 2.0, "phrase": 0.5, "caption": 0.0}
"""Shares of the forms of queries in the fit."""

CAPTIONED_SHARE = 0.6
"""Share of the captioned photos; the rest is of mixed libraries and of sets with labels."""

_STRENGTH = 20_000.0
"""Total weight of the pairs, against a prior of unit variance on each weight."""

_MARGIN = 0.02
"""Distance from each goal that the choice of the least probabilities aims at."""


@dataclass(frozen=True)
class Thresholds:
    """`threshold` and `relaxation` of a `Calibration`."""

    threshold: float
    relaxation: float


def fit_logistic(pairs: Pairs, asked: Asked, weights: Floats, *, with_count: bool) -> LogisticModel:
    """Logistic regression of the pairs with a weight above zero."""
    from sklearn.linear_model import LogisticRegression

    used = weights > 0
    features, query = pairs.features[used], pairs.query[used]
    if with_count:
        features = np.column_stack([features, np.log(pairs.choices[used])])
    centre, scale = features.mean(axis=0), features.std(axis=0) + 1e-9
    middle = asked.vectors[np.unique(query)].mean(axis=0).astype(np.float64)
    step = DIRECTION_SCALE / float((asked.vectors - middle).std())
    columns = np.hstack([(features - centre) / scale, (asked.vectors[query] - middle) * step])
    model = LogisticRegression(C=1.0, max_iter=300, tol=1e-3)
    model.fit(columns.astype(np.float32), pairs.truth[used] == FITS, sample_weight=weights[used])
    found = model.coef_[0].astype(np.float64)
    own, text_weights = found[: features.shape[1]] / scale, found[features.shape[1] :] * step
    intercept = float(model.intercept_[0]) - float(own @ centre) - float(text_weights @ middle)
    return LogisticModel(
        own[: pairs.features.shape[1]], text_weights, intercept, float(own[-1]) if with_count else 0.0
    )


def odds(regression: LogisticModel, pairs: Pairs, asked: Asked) -> Floats:
    """Log odds of the pairs, float64[n], as `Calibration` computes them."""
    text = asked.vectors.astype(np.float64) @ regression.text_weights + regression.intercept
    found: Floats = (
        pairs.features @ regression.weights
        + text[pairs.query]
        + regression.count_weight * np.log(pairs.choices)
    )
    return found


def sure_weights(pairs: Pairs, asked: Asked) -> Floats:
    """Weights of best photos: forms by their shares, answerable and unanswerable queries alike."""
    weights = np.zeros(len(pairs))
    captioned = pairs.kind == "captioned"
    forms, languages = asked.forms()[pairs.query], asked.languages()[pairs.query]
    for language in np.unique(languages):
        for form, share in FORM_WEIGHTS.items():
            for place, of_place in ((captioned, CAPTIONED_SHARE), (~captioned, 1 - CAPTIONED_SHARE)):
                these = (languages == language) & (forms == form) & place & (pairs.truth != UNKNOWN)
                for answer in (these & (pairs.fitting > 0), these & (pairs.fitting == 0)):
                    if answer.any():
                        weights[answer] = share * of_place / answer.sum()
    return _STRENGTH * weights / weights.sum()


def unknown_weights(pairs: Pairs) -> Floats:
    """Weights of best labels: every kind of labels, photos of them and strangers alike.

    Photos whose best label is a wrong one count for nothing: they are lost with and without a calibration.
    """
    weights = np.zeros(len(pairs))
    known = pairs.fitting > 0
    captioned = pairs.kind == "captioned"
    for place, share in ((captioned, CAPTIONED_SHARE), (~captioned, 1 - CAPTIONED_SHARE)):
        for these in (place & known & (pairs.truth == FITS), place & ~known):
            if these.any():
                weights[these] = share / these.sum()
    return _STRENGTH * weights / weights.sum()


def choose_thresholds(pairs: Pairs, probabilities: Floats, asked: Asked) -> Thresholds:
    """The pair of probabilities that comes nearest to all goals for common short queries."""

    def shortfall(found: Sure) -> float:
        aims = ((found.kept, KEPT), (found.right, RIGHT), (found.silent, SILENT))
        gaps = [max(0.0, aim + _MARGIN - reached) for reached, aim in aims]
        return float(np.square(gaps).sum()) - 1e-3 * (found.kept + found.right)

    short = np.isin(asked.forms()[pairs.query], SHORT) & (pairs.kind == "captioned")
    short &= (pairs.fitting >= COMMON) | (pairs.fitting == 0)
    pairs, probabilities = pairs.where(short), probabilities[short]
    candidates = [
        Thresholds(float(threshold), relaxation)
        for threshold in np.arange(0.1, 0.81, 0.025).round(3)
        for relaxation in (0.0, 0.5, 1.0, 2.0, 3.0, 4.0, 5.0)
    ]
    return min(
        candidates,
        key=lambda each: shortfall(
            sure_figures(pairs, probabilities, asked, each.threshold, each.relaxation)
        ),
    )


def choose_offset(pairs: Pairs, found: Floats, goal: float) -> float:
    """The addition to log odds with which the share `goal` of photos with a right best label is accepted."""
    right = (pairs.fitting > 0) & (pairs.truth == FITS)
    kinds = np.where(pairs.kind == "captioned", 0, 1)
    weights = np.zeros(len(pairs))
    for kind in (0, 1):
        these = right & (kinds == kind)
        weights[these] = 1 / max(1, these.sum())
    order = np.argsort(found[right])
    share = np.cumsum(weights[right][order]) / weights.sum()
    return -float(found[right][order][np.searchsorted(share, 1 - goal)])


def logistic(log_odds: npt.NDArray[np.float64]) -> Floats:
    """Probabilities of log odds."""
    chance: Floats = 0.5 * (1 + np.tanh(log_odds / 2))
    return chance
