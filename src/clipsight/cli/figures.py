"""Metrics of classes as a table, and notes about skipped photos."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from clipsight.cli.messages import note
from clipsight.render.fonts import visible
from clipsight.render.tables import print_table

if TYPE_CHECKING:
    from clipsight.metrics.classification import ClassificationMetrics

_MAX_NAMED = 10
"""Skipped photos named in notes; the others are counted."""


def print_classes(scores: "ClassificationMetrics") -> None:
    """Print photos, recall, precision and F1 of every class, and its most frequent confusion."""
    photos = scores.confusion_matrix.sum(1)
    rows = []
    for row, name in enumerate(scores.classes):
        mistake = scores.most_confused_with(row)
        rows.append(
            (
                name,
                str(photos[row]),
                *(figure(values[row]) for values in (scores.recall, scores.precision, scores.f1)),
                f"{mistake[0]} ({mistake[1]})" if mistake else "",
            )
        )
    print_table(("class", "photos", "recall", "precision", "F1", "most taken for"), rows)


def note_left_out(failures: Sequence[tuple[Path, str]]) -> None:
    """Print a note with the reason for each skipped photo, up to `_MAX_NAMED` of them."""
    for path, reason in failures[:_MAX_NAMED]:
        note(f"left out {visible(str(path))}: {reason}")
    if len(failures) > _MAX_NAMED:
        note(f"left out {len(failures) - _MAX_NAMED:,} more: --json names them all")


def figure(value: float) -> str:
    """A fraction with three decimals; "" for NaN."""
    return "" if value != value else f"{value:.3f}"
