"""Classified photos as they stream by: written as CSV and JSON at once, the first few kept for tables.

Memory does not grow with the number of photos. Called by `cli` and `heatmap`.
"""

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

from clipsight.classification.zero_shot import Classification, Prediction, Predictions, best_labels
from clipsight.core.errors import LabelError
from clipsight.core.files import csv_line
from clipsight.render.fonts import visible


@dataclass
class Seen:
    """The photos of `result`; while they are iterated over, the first `keep` are kept and all are counted.

    `targets` are files to be written from it, which must not be photos among them.
    """

    result: Classification
    keep: int
    targets: frozenset[Path] = frozenset()
    first: list[Prediction] = field(default_factory=list)
    count: int = 0
    photos_of: Counter[str] = field(default_factory=Counter)
    """How many photos each label is the best of"""
    failures: list[tuple[Path, str]] = field(default_factory=list)

    def __iter__(self) -> Iterator[Predictions]:
        """Chunks with at least one photo.

        Raises `LabelError` at the end if there was none, and for a target that is one of the photos.
        """
        labels = self.result.labels
        for chunk in self.result.chunks:
            self.failures += chunk.failures
            if not chunk:
                continue
            if self.targets:
                self._check_targets(chunk.paths)
            for prediction in islice(chunk, self.keep - len(self.first)):
                kept = prediction.probabilities.copy()  # a row would keep its whole chunk
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


def csv_text(seen: Seen, top: int | None = None) -> Iterator[str]:
    """CSV by and by: path, id, best label and its probability, then a column a label.

    With `top`, pairs of columns instead: the best labels of each photo and their probabilities.
    """
    labels = seen.result.labels
    ranked = top is not None and top < len(labels)
    numbers = ",".join(["%.6f"] * len(labels))
    for number, chunk in enumerate(seen):
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
            # A thousand numbers need no quoting: not through csv, one by one.
            lines.append(line if ranked else f"{line},{numbers % tuple(row.tolist())}")
        yield "".join(f"{line}\n" for line in lines)


def json_text(seen: Seen, top: int | None = None) -> Iterator[str]:
    """One JSON object by and by, a line a photo: how photos were scored, the labels, photos, failures.

    With `top`, only the best labels of each photo, best first.
    """
    result, labels = seen.result, seen.result.labels
    ranked = top is not None and top < len(labels)
    names = [json.dumps(label) for label in labels]
    whole = ", ".join(f"{name.replace('%', '%%')}: %.6f" for name in names)
    for number, chunk in enumerate(seen):
        if number == 0:
            yield json.dumps(describe(result), indent=2)[:-2] + ',\n  "photos": ['
        best = best_labels(chunk.probabilities, top if ranked and top else 1)
        lines = []
        for prediction, order in zip(chunk, best.tolist(), strict=True):
            row = prediction.probabilities
            if ranked:
                probabilities = ", ".join(f"{names[index]}: {row[index]:.6f}" for index in order)
            else:
                probabilities = whole % tuple(row.tolist())
            lines.append(
                f'\n    {{"path": {json.dumps(str(prediction.path))}, "id": {prediction.id or "null"}, '
                f'"label": {names[order[0]]}, "probability": {row[order[0]]:.6f}, '
                f'"probabilities": {{{probabilities}}}}}'
            )
        yield ("," if number else "") + ",".join(lines)
    failures = [{"path": str(path), "reason": reason} for path, reason in seen.failures]
    yield f'\n  ],\n  "failures": {json.dumps(failures)}\n}}\n'


def describe(result: Classification) -> dict[str, object]:
    """What was asked and how photos were scored, as `--json` begins."""
    return {
        "model": result.model,
        "scoring": result.classifier.scoring,
        "logit_scale": result.classifier.logit_scale,
        "logit_scale_assumed": result.logit_scale_assumed,
        "logit_bias": result.classifier.logit_bias,
        "template_set": result.templates.name,
        "templates": list(result.templates.templates),
        "labels": list(result.labels),
    }


def failure_notes(failures: Iterable[tuple[Path, str]], most: int = 10) -> list[str]:
    """A line for each photo that could not be classified, the first `most` of them."""
    told = [f"not classified: {visible(str(path))}: {reason}" for path, reason in failures]
    more = [f"and {len(told) - most:,} photos more: --json gives them all"] if len(told) > most else []
    return told[:most] + more


def _no_photo(failures: list[tuple[Path, str]]) -> str:
    if not failures:
        return "there is no photo to classify: name one, or a folder with photos"
    path, reason = failures[0]
    others = f" (and {len(failures) - 1:,} more that can't be read)" if len(failures) > 1 else ""
    return f"no photo could be classified: {visible(str(path))}: {reason}{others}"
