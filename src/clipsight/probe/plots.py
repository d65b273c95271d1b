"""Plots of a probe's confusion matrix and few-shot curve, as PNG files in memory. Needs matplotlib."""

import io
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from clipsight.core.extras import require
from clipsight.core.files import MARK
from clipsight.core.text import visible
from clipsight.metrics.classification import ClassificationMetrics
from clipsight.probe.few_shot import CurvePoint

_MAX_LABELLED = 40
"""Number of classes up to which rows and cells have texts; with more, they would be illegible."""

_FONTS = (
    "DejaVu Sans",
    "Noto Sans",
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "Hiragino Sans GB",
    "Microsoft YaHei",
    "WenQuanYi Micro Hei",
    "Noto Sans Arabic",
    "Noto Sans Devanagari",
    "Arial Unicode MS",
)
"""Fallback order for each character, among installed fonts."""


def confusion_png(scores: ClassificationMetrics, title: str) -> bytes:
    """Plot a confusion matrix: rows are classes, columns predictions, shaded by their share of the row."""
    with _fonts():
        return _png(_confusion(scores, title))


def curve_png(points: Sequence[CurvePoint], title: str) -> bytes:
    """Plot accuracy by training photos per class, with standard deviations, and a line for zero-shot."""
    with _fonts():
        return _png(_curve(points, title))


def _confusion(scores: ClassificationMetrics, title: str) -> Any:
    count = len(scores.classes)
    side = min(3 + 0.45 * count, 24)
    figure = require("probe", "matplotlib.figure").Figure(figsize=(side + 1, side), layout="constrained")
    axes = figure.add_subplot()
    shares = scores.confusion_matrix / np.maximum(scores.confusion_matrix.sum(1, keepdims=True), 1)
    shown = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(shown, label="share of the class's photos", shrink=0.8)
    axes.set_xlabel("prediction")
    axes.set_ylabel("class")
    axes.set_title(visible(f"{title}: accuracy {scores.accuracy:.3f}, macro-F1 {scores.macro_f1:.3f}"))
    if count <= _MAX_LABELLED:
        names = [_short(name) for name in scores.classes]
        axes.set_xticks(range(count), names, rotation=90, parse_math=False)
        axes.set_yticks(range(count), names, parse_math=False)
        for row, column in np.argwhere(scores.confusion_matrix):
            colour = "white" if shares[row, column] > 0.5 else "black"
            number = int(scores.confusion_matrix[row, column])
            axes.text(column, row, str(number), ha="center", va="center", color=colour, fontsize=8)
    return figure


def _curve(points: Sequence[CurvePoint], title: str) -> Any:
    figure = require("probe", "matplotlib.figure").Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.add_subplot()
    places = range(len(points))
    names = ["all" if point.shots is None else str(point.shots) for point in points]
    axes.axhline(points[0].zero_shot, color="tab:gray", linestyle="--", label="zero-shot")
    for label, colour, samples in (
        ("linear probe", "tab:blue", [point.probe for point in points]),
        ("probe from zero-shot weights", "tab:orange", [point.tuned for point in points]),
    ):
        means, deviations = [np.mean(each) for each in samples], [np.std(each) for each in samples]
        axes.errorbar(places, means, yerr=deviations, marker="o", capsize=3, color=colour, label=label)
    axes.set_xticks(places, names)
    axes.set_xlabel("training photos per class")
    axes.set_ylabel("accuracy on test photos")
    axes.set_title(visible(title))
    axes.grid(alpha=0.3)
    axes.legend()
    return figure


@contextmanager
def _fonts() -> Iterator[None]:
    """Use installed fonts for class names in any script; missing glyphs are boxes, without a warning."""
    installed = set(require("probe", "matplotlib.font_manager").get_font_names())
    families = [name for name in _FONTS if name in installed]
    with require("probe", "matplotlib").rc_context({"font.family": families}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        yield


def _png(figure: Any) -> bytes:
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=120, bbox_inches="tight", metadata={"Software": MARK})
    return out.getvalue()


def _short(name: str) -> str:
    shown = visible(name)
    return shown if len(shown) <= 24 else shown[:23] + "…"
