"""Comparison of prompt templates on labelled photos: the accuracy of each, and the best ensemble.

The ensemble is found by forward selection, as OpenAI found its seven templates (see `prompts.SIMPLE`).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from clipsight.classification.dataset import LabelledVectors
from clipsight.classification.prompts import TemplateSet, check_labels, labels_of_classes
from clipsight.classification.splits import split_halves
from clipsight.core.arrays import Float32
from clipsight.search.label_embeddings import LabelCache, cached_label_embeddings

if TYPE_CHECKING:
    from clipsight.models.encoder import Encoder


@dataclass(frozen=True)
class Accuracy:
    """Top-1 accuracy, from 0 to 1, on the two halves of the photos."""

    choosing: float
    """On the half by which templates are selected."""
    held_out: float
    """On the other half."""


@dataclass(frozen=True)
class TemplateComparison:
    """Accuracy of templates, and of their ensembles, on labelled photos."""

    model: str
    classes: tuple[str, ...]
    photos: tuple[int, int]
    """Numbers of photos in the half for selection, and in the held-out half."""
    templates: tuple[tuple[str, Accuracy], ...]
    """Each template alone, sorted by accuracy on the first half, the best first."""
    all_together: Accuracy
    """The ensemble of all templates."""
    chosen: tuple[str, ...]
    """The ensemble selected on the first half, in the order in which templates were added."""
    chosen_together: Accuracy
    """The ensemble of the chosen templates."""
    failures: tuple[tuple[Path, str], ...] = ()
    """Photos that could not be read, with the reason."""

    def to_dict(self) -> dict[str, Any]:
        """The comparison for JSON."""

        def figures(accuracy: Accuracy) -> dict[str, float]:
            return {"choosing": round(accuracy.choosing, 6), "held_out": round(accuracy.held_out, 6)}

        return {
            "model": self.model,
            "classes": list(self.classes),
            "photos": {"choosing": self.photos[0], "held_out": self.photos[1]},
            "templates": [{"template": name, **figures(accuracy)} for name, accuracy in self.templates],
            "all_together": figures(self.all_together),
            "chosen": {"templates": list(self.chosen), **figures(self.chosen_together)},
        }


def select_templates(
    photos: LabelledVectors,
    templates: TemplateSet,
    encoder: "Encoder",
    cache: LabelCache | None = None,
    *,
    track: Callable[[Iterable[str]], Iterable[str]] = lambda templates: templates,
) -> TemplateComparison:
    """Measure each template and select an ensemble on one half of the photos; test it on the other half.

    Labels are the class names, with underscores replaced by spaces. `track` wraps the iterable of templates
    while they are embedded, to show progress. Raises `LabelError` for a class with only one photo.
    """
    labels = check_labels(labels_of_classes(photos.classes))
    unique = tuple(dict.fromkeys(templates.templates))
    weights = np.stack(
        [cached_label_embeddings(labels, (template,), encoder, cache) for template in track(unique)]
    )
    first, second = split_halves(photos)

    def both(weights: Float32) -> Accuracy:
        return Accuracy(_accuracy(first, weights), _accuracy(second, weights))

    singly = [(template, both(each)) for template, each in zip(unique, weights, strict=True)]
    chosen = forward_selection(weights, lambda combined: _accuracy(first, combined))
    return TemplateComparison(
        model=encoder.name,
        classes=photos.classes,
        photos=(len(first), len(second)),
        templates=tuple(sorted(singly, key=lambda each: -each[1].choosing)),
        all_together=both(_ensemble(weights)),
        chosen=tuple(unique[index] for index in chosen),
        chosen_together=both(_ensemble(weights[chosen])),
        failures=photos.failures,
    )


def forward_selection(weights: Float32, measure: Callable[[Float32], float]) -> list[int]:
    """Select templates greedily while that increases the measure of their ensemble; return their indices.

    `weights` are float32[templates, labels, dim]; `measure` takes float32[labels, dim] of unit length. Ties
    are broken by order.
    """
    chosen: list[int] = []
    best = -1.0
    while len(chosen) < len(weights):
        rest = [index for index in range(len(weights)) if index not in chosen]
        figures = [measure(_ensemble(weights[[*chosen, index]])) for index in rest]
        if max(figures) <= best:
            break
        best = max(figures)
        chosen.append(rest[figures.index(best)])
    return chosen


def _ensemble(weights: Float32) -> Float32:
    """Mean of float32[templates, labels, dim] over templates, scaled to unit length."""
    mean = weights.mean(axis=0)
    ensemble: Float32 = mean / np.linalg.norm(mean, axis=1, keepdims=True)
    return ensemble


def _accuracy(photos: LabelledVectors, weights: Float32) -> float:
    vectors, labels = photos.vectors, photos.labels
    step = max(1, (1 << 22) // len(weights))  # 16 MB of scores
    correct = sum(
        int(
            ((vectors[start : start + step] @ weights.T).argmax(axis=1) == labels[start : start + step]).sum()
        )
        for start in range(0, len(labels), step)
    )
    return correct / len(labels)
