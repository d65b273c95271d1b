"""Cross-fitting: figures of pairs that no fit has seen, and the calibration fitted on all pairs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from clipsight.search.confidence import Calibration, LogisticModel, Spread

from .data import LABELLED_SETS, Photos
from .figures import (
    BANDS,
    KEPT,
    LOST,
    REFUSED,
    RIGHT,
    SILENT,
    Sure,
    Unknown,
    sure_figures,
    unknown_figures,
)
from .fit import (
    Thresholds,
    choose_offset,
    choose_thresholds,
    fit_logistic,
    logistic,
    odds,
    sure_weights,
    unknown_weights,
)
from .pairs import FOLDS, Asked, Floats, Pairs, best_labels, best_photos
from .queries import FORMS

ACCEPTED = 0.95
"""Share of photos with a right best label that `unknown` accepts: accuracy falls by at most the rest."""

_SLACK = 0.03
"""Shortfall from a goal up to which a language counts as reached: a sample of queries is not more exact."""


def calibrate(photos: Photos, asked: Asked, log: Callable[[str], None]) -> Calibration:
    """Fit the calibration on all photos and queries, with cross-fitted figures."""
    things = np.array(
        [query.form == "noun" and not query.thing.startswith("label ") for query in asked.queries]
    )
    texts = Spread.of(asked.vectors[things])
    best, labels = [], []
    for half in (0, 1):
        spreads = (Spread.of(photos.vectors[photos.half != half]), texts)
        best.append(best_photos(photos, asked, half, spreads))
        labels.append(best_labels(photos, asked, half, spreads))
    log(f"{sum(map(len, best))} best photos of queries, {sum(map(len, labels))} best labels of photos")
    chances = [
        logistic(found) for found in _cross_fitted(best, asked, lambda pairs: sure_weights(pairs, asked), log)
    ]
    label_odds = _cross_fitted(labels, asked, unknown_weights, log, with_count=True)
    thresholds = [
        choose_thresholds(pairs, chance, asked) for pairs, chance in zip(best, chances, strict=True)
    ]
    offsets = [choose_offset(pairs, found, ACCEPTED) for pairs, found in zip(labels, label_odds, strict=True)]
    measured = {
        "sure": _sure_table(best, chances, asked, thresholds),
        "unknown": _unknown_table(labels, label_odds, offsets),
    }
    everywhere = Pairs.joined(best), Pairs.joined(labels)
    unknown = fit_logistic(everywhere[1], asked, unknown_weights(everywhere[1]), with_count=True)
    return Calibration(
        Spread.of(photos.vectors),
        texts,
        fit_logistic(everywhere[0], asked, sure_weights(everywhere[0], asked), with_count=False),
        replace(unknown, intercept=unknown.intercept + float(np.mean(offsets))),
        float(np.mean([each.threshold for each in thresholds])),
        float(np.mean([each.relaxation for each in thresholds])),
        tuple(language for language, table in measured["sure"].items() if _reached(table)),
        measured,
    )


def _cross_fitted(
    halves: list[Pairs],
    asked: Asked,
    weigh: Callable[[Pairs], Floats],
    log: Callable[[str], None],
    *,
    with_count: bool = False,
) -> list[Floats]:
    """Log odds of the pairs of each half, from fits on the other half's pairs about other things."""
    folds = asked.folds()
    found = []
    for half in (0, 1):
        own, other = halves[half], halves[1 - half]
        weights, result = weigh(other), np.zeros(len(own))
        for fold in range(FOLDS):
            elsewhere = folds[other.query] != fold
            regression: LogisticModel = fit_logistic(
                other, asked, np.where(elsewhere, weights, 0), with_count=with_count
            )
            here = folds[own.query] == fold
            result[here] = odds(regression, own, asked)[here]
        found.append(result)
        log(f"half {half + 1} of 2")
    return found


def _sure_table(
    halves: list[Pairs], chances: list[Floats], asked: Asked, thresholds: list[Thresholds]
) -> dict[str, dict[str, Any]]:
    """Figures by language, form and number of fitting photos; each half with the other's thresholds."""

    def measure(**chosen: Any) -> dict[str, float]:
        each = [
            sure_figures(
                halves[half],
                chances[half],
                asked,
                thresholds[1 - half].threshold,
                thresholds[1 - half].relaxation,
                **chosen,
            )
            for half in (0, 1)
        ]
        return _mean(
            each,
            {"plain": "answerable", "kept": "answerable", "right": "answerable", "silent": "unanswerable"},
        )

    tables: dict[str, dict[str, Any]] = {}
    for language in dict.fromkeys(asked.languages().tolist()):
        table = tables[language] = {}
        for band, fitting in BANDS.items():
            table[f"nouns, {band} of 300 photos"] = measure(
                forms=("noun", "a noun"), fitting=fitting, language=language
            )
        for form in FORMS[2:]:
            fitting = (1, 300) if form == "caption" else BANDS["15 or more"]
            table[form] = measure(forms=(form,), fitting=fitting, language=language)
        table["sets of one kind of thing"] = measure(
            forms=("noun", "a noun"), kinds=LABELLED_SETS, fitting=(1, 10**9), language=language
        )
    return tables


def _unknown_table(halves: list[Pairs], found: list[Floats], offsets: list[float]) -> dict[str, Any]:
    table = {}
    for kind in ("captioned", *LABELLED_SETS):
        each = [
            unknown_figures(halves[half], found[half] + offsets[1 - half] >= 0, (kind,))
            for half in (0, 1)
            if (halves[half].kind == kind).any()
        ]
        if each:
            table[kind] = _mean(
                each, {"accuracy": "photos", "with_unknown": "photos", "refused": "strangers"}
            )
    return table


def _mean(each: list[Sure] | list[Unknown], weights: Mapping[str, str]) -> dict[str, float]:
    """Shares weighted by their counts, and the counts added."""
    rows = [asdict(one) for one in each]
    mean: dict[str, float] = {}
    for share, count in weights.items():
        whole = sum(row[count] for row in rows)
        mean[count] = whole
        total = sum(row[share] * row[count] for row in rows if row[count])
        mean[share] = round(total / whole, 3) if whole else float("nan")
    return mean


def _reached(table: Mapping[str, Mapping[str, float]]) -> bool:
    """Tell whether common nouns of a language come within `_SLACK` of all goals."""
    common = table["nouns, 15 or more of 300 photos"]
    goals = (("kept", KEPT), ("right", RIGHT), ("silent", SILENT))
    return all(common[name] >= goal - _SLACK for name, goal in goals)


def lines(figures: Mapping[str, Any]) -> Iterator[str]:
    """The figures as Markdown tables, in per cent."""
    for language, table in figures["sure"].items():
        reached = "goals reached" if _reached(table) else "goals missed: `sure` is not offered"
        yield f"`sure`, {language} ({reached}: {KEPT:.0%}, {RIGHT:.0%}, {SILENT:.0%} of common nouns)"
        yield ""
        yield (
            "| queries | answerable | right in the best ten | keep a right photo | kept and right | "
            "unanswerable | print nothing |"
        )
        yield "|---|---:|---:|---:|---:|---:|---:|"
        for name, row in table.items():
            numbers = (f"{100 * row[key]:.1f}" for key in ("plain", "kept", "right"))
            yield (
                f"| {name} | {row['answerable']} | {' | '.join(numbers)} | {row['unanswerable']} | "
                f"{100 * row['silent']:.1f} |"
            )
        yield ""
    yield f"`unknown` (goals: at most {LOST:.0%} lost, {REFUSED:.0%} refused)"
    yield ""
    yield "| labels of | photos | accuracy | with `unknown` | strangers | refused |"
    yield "|---|---:|---:|---:|---:|---:|"
    for name, row in figures["unknown"].items():
        yield (
            f"| {name} | {row['photos']} | {100 * row['accuracy']:.1f} | {100 * row['with_unknown']:.1f} | "
            f"{row['strangers']} | {100 * row['refused']:.1f} |"
        )
