"""Figures of a calibration: what `sure` keeps and refuses, and what `unknown` does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from clipsight.search.confidence import SURE_DEPTH, select_sure

from .pairs import Asked, Floats, Pairs
from .queries import FITS, UNKNOWN

KEPT, RIGHT, SILENT = 0.90, 0.80, 0.75
"""Goals of `sure` for common nouns: those that keep a right photo, what is kept and right, unanswerable
ones that print nothing."""

LOST, REFUSED = 0.05, 0.75
"""Goals of `unknown`: accuracy lost on photos of the labels at most, strangers refused at least."""

SHORT = ("noun", "a noun", "two words")
COMMON = 15
"""Photos of 300 that fit a common query, one in twenty."""

BANDS = {"15 or more": (COMMON, 10**9), "5 to 14": (5, COMMON - 1), "1 to 4": (1, 4)}


@dataclass(frozen=True)
class Sure:
    """Shares: answerable queries that keep a right photo, kept photos that are right, the others' silence."""

    answerable: int
    plain: float
    """Answerable queries with a right photo among the best ten without `sure`."""
    kept: float
    right: float
    unanswerable: int
    silent: float


@dataclass(frozen=True)
class Unknown:
    """Accuracy on photos of the labels without and with `unknown`, and strangers refused."""

    photos: int
    accuracy: float
    with_unknown: float
    strangers: int
    refused: float


def kept_pairs(
    pairs: Pairs, probabilities: Floats, threshold: float, relaxation: float
) -> npt.NDArray[np.bool_]:
    """Tell which of the best photos are kept, as `Calibration.is_sure` decides."""
    _, number = np.unique(_answers(pairs), return_inverse=True)
    rank = np.arange(len(pairs)) - np.searchsorted(number, number)
    table = np.full((int(number.max(initial=-1)) + 1, SURE_DEPTH), -1.0)
    table[number, rank] = probabilities
    kept: npt.NDArray[np.bool_] = select_sure(table, threshold, relaxation)[number, rank]
    return kept


def sure_figures(
    pairs: Pairs,
    probabilities: Floats,
    asked: Asked,
    threshold: float,
    relaxation: float,
    *,
    forms: Sequence[str] = SHORT,
    kinds: Sequence[str] = ("captioned",),
    fitting: tuple[int, int] = BANDS["15 or more"],
    language: str | None = None,
) -> Sure:
    """Figures of queries of these forms and language, in these kinds of libraries."""
    kept = kept_pairs(pairs, probabilities, threshold, relaxation)
    chosen = np.isin(asked.forms()[pairs.query], forms) & np.isin(pairs.kind, kinds)
    if language is not None:
        chosen &= asked.languages()[pairs.query] == language
    answer = _answers(pairs)
    asked_for = chosen & (pairs.fitting >= fitting[0]) & (pairs.fitting <= fitting[1])
    absent = chosen & (pairs.fitting == 0)
    right = pairs.truth == FITS
    known = asked_for & kept & (pairs.truth != UNKNOWN)
    return Sure(
        len(np.unique(answer[asked_for])),
        _share(answer[asked_for & right], answer[asked_for]),
        _share(answer[asked_for & right & kept], answer[asked_for]),
        float(right[known].mean()) if known.any() else 1.0,
        len(np.unique(answer[absent])),
        1 - _share(answer[absent & kept], answer[absent]),
    )


def unknown_figures(pairs: Pairs, accepted: npt.NDArray[np.bool_], kinds: Sequence[str]) -> Unknown:
    """Figures of photos of these kinds of labels, and of their strangers."""
    chosen = np.isin(pairs.kind, kinds)
    known, strange = chosen & (pairs.fitting > 0) & (pairs.truth != UNKNOWN), chosen & (pairs.fitting == 0)
    right = pairs.truth == FITS
    return Unknown(
        int(known.sum()),
        float(right[known].mean()),
        float((right & accepted)[known].mean()),
        int(strange.sum()),
        float(1 - accepted[strange].mean()),
    )


def _answers(pairs: Pairs) -> npt.NDArray[np.int64]:
    """A number for each query in each library."""
    numbers: npt.NDArray[np.int64] = pairs.group * (int(pairs.query.max(initial=0)) + 1) + pairs.query
    return numbers


def _share(of: npt.NDArray[np.int64], among: npt.NDArray[np.int64]) -> float:
    whole = len(np.unique(among))
    return len(np.unique(of)) / whole if whole else float("nan")
