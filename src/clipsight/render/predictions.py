"""Predictions as CSV, JSON and lines of text, written while photos are classified.

Memory does not grow with the number of photos: the first ones are kept for tables, the others counted.
"""

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

from clipsight.classification.predictions import Prediction, Predictions, PredictionStream, best_labels
from clipsight.core import paths
from clipsight.core.errors import LabelError
from clipsight.core.files import csv_line
from clipsight.core.text import to_json, visible
from clipsight.render.columns import cell_width


@dataclass
class PredictionTally:
    """Counts and the first photos of `result`, collected while the tally is iterated over."""

    result: PredictionStream
    keep: int = 0
    """Number of photos kept in `first`."""
    targets: frozenset[Path] = frozenset()
    """Files to be written, which must not be among the photos."""
    first: list[Prediction] = field(default_factory=list)
    count: int = 0
    photos_of: Counter[str] = field(default_factory=Counter)
    """Number of photos by their most probable label."""
    failures: list[tuple[Path, str]] = field(default_factory=list)

    def __iter__(self) -> Iterator[Predictions]:
        """Yield chunks with at least one photo.

        Raises `LabelError` at the end if there was no photo, and for a target that is one of the photos.
        """
        labels = self.result.labels
        for chunk in self.result.chunks:
            self.failures += chunk.failures
            if not chunk:
                continue
            if self.targets:
                self._check_targets(chunk.paths)
            for prediction in islice(chunk, self.keep - len(self.first)):
                kept = prediction.probabilities.copy()  # a view would keep its whole chunk in memory
                self.first.append(replace(prediction, probabilities=kept))
            self.count += len(chunk)
            self.photos_of.update(labels[best] for best in chunk.probabilities.argmax(axis=1).tolist())
            yield chunk
        if not self.count:
            raise LabelError(_no_photo(self.failures))

    def _check_targets(self, paths: Iterable[Path]) -> None:
        for path in paths:
            if Path(os.path.abspath(path)) in self.targets:
                raise LabelError(f"{path} is one of the photos: choose another name for the picture")


def csv_text(tally: PredictionTally, top: int | None = None) -> Iterator[str]:
    """Yield CSV chunk by chunk: path, id, best label and its probability, then one column per label.

    With `top`, pairs of columns instead: the best labels of each photo and their probabilities.
    """
    labels = tally.result.labels
    ranked = top is not None and top < len(labels)
    numbers = ",".join(["%.6f"] * len(labels))
    for number, chunk in enumerate(tally):
        lines = []
        if number == 0:
            heading = ("path", "id", "label", "probability")
            more = (f"{name}_{rank}" for rank in range(2, (top or 0) + 1) for name in heading[2:])
            lines.append(csv_line((*heading, *(more if ranked else labels))))
        best = best_labels(chunk.probabilities, top if ranked and top else 1)
        for prediction, order in zip(chunk, best.tolist(), strict=True):
            row = prediction.probabilities
            pairs = [cell for index in order for cell in (labels[index], f"{row[index]:.6f}")]
            line = csv_line((prediction.path, prediction.id or "", *pairs))
            # Numbers need no quoting, and formatting them here is faster than the csv module.
            lines.append(line if ranked else f"{line},{numbers % tuple(row.tolist())}")
        yield "".join(f"{line}\n" for line in lines)


def json_text(tally: PredictionTally, top: int | None = None) -> Iterator[str]:
    """Yield one JSON object chunk by chunk, one line per photo: model, scoring, labels, photos, failures.

    With `top`, only the best labels of each photo, best first.
    """
    labels = tally.result.labels
    ranked = top is not None and top < len(labels)
    names = [to_json(label) for label in labels]
    whole = ", ".join(f"{name.replace('%', '%%')}: %.6f" for name in names)
    for number, chunk in enumerate(tally):
        if number == 0:
            yield to_json(tally.result.describe())[:-2] + ',\n  "photos": ['
        best = best_labels(chunk.probabilities, top if ranked and top else 1)
        lines = []
        for prediction, order in zip(chunk, best.tolist(), strict=True):
            row = prediction.probabilities
            if ranked:
                probabilities = ", ".join(f"{names[index]}: {row[index]:.6f}" for index in order)
            else:
                probabilities = whole % tuple(row.tolist())
            lines.append(
                f'\n    {{"path": {to_json(str(prediction.path))}, "id": {prediction.id or "null"}, '
                f'"label": {names[order[0]]}, "probability": {row[order[0]]:.6f}, '
                f'"probabilities": {{{probabilities}}}}}'
            )
        yield ("," if number else "") + ",".join(lines)
    failures = [{"path": str(path), "reason": reason} for path, reason in tally.failures]
    yield f'\n  ],\n  "failures": {to_json(failures, indent=None)}\n}}\n'


def text_lines(tally: PredictionTally, inside: Path | None = None) -> Iterator[str]:
    """Yield lines of text chunk by chunk: probability, most probable label, path relative to `inside`."""
    width = max(cell_width(visible(label)) for label in tally.result.labels)
    for chunk in tally:
        lines = []
        for prediction in chunk:
            label = visible(prediction.label)
            padding = " " * (width - cell_width(label))
            path = visible(paths.short(prediction.path, inside))
            lines.append(f"{prediction.probability:.3f}  {label}{padding}  {path}\n")
        yield "".join(lines)


def failure_notes(failures: Iterable[tuple[Path, str]], top: int = 10) -> list[str]:
    """One line for each of the first `top` photos that could not be classified."""
    notes = [f"not classified: {visible(str(path))}: {reason}" for path, reason in failures]
    more = [f"and {len(notes) - top:,} more photos: --json lists them all"] if len(notes) > top else []
    return notes[:top] + more


def _no_photo(failures: list[tuple[Path, str]]) -> str:
    if not failures:
        return "there is no photo to classify: name one, or a folder with photos"
    path, reason = failures[0]
    others = f" (and {len(failures) - 1:,} more that can't be read)" if len(failures) > 1 else ""
    return f"no photo could be classified: {visible(str(path))}: {reason}{others}"
