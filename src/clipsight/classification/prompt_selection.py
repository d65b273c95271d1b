"""Which prompt templates suit a labelled collection: each one's accuracy, and the best found together.

The search is the forward selection by which OpenAI found its seven templates (see `prompts.SIMPLE`).
Called by `cli`.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from clipsight.classification.dataset import LabelledVectors
from clipsight.classification.prompts import TemplateSet, check_labels, labels_of_classes
from clipsight.core.errors import LabelError
from clipsight.search.label_embeddings import LabelCache, cached_label_embeddings

if TYPE_CHECKING:
    from clipsight.models.encoder import Encoder

Vectors = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Accuracy:
    """Share of photos, 0 to 1, whose best label is their own: on the half to choose by, and on the other."""

    choosing: float
    held_out: float


@dataclass(frozen=True)
class Comparison:
    """Templates and how well they classify a labelled collection."""

    model: str
    classes: tuple[str, ...]
    photos: tuple[int, int]
    """How many there are in the half to choose by, and in the other"""
    templates: tuple[tuple[str, Accuracy], ...]
    """Each by itself, best on the first half first"""
    all_together: Accuracy
    chosen: tuple[str, ...]
    """The combination found on the first half, in the order in which templates were added"""
    chosen_together: Accuracy

    def to_dict(self) -> dict[str, Any]:
        """The comparison as `--json` prints it."""

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


def compare_templates(
    photos: LabelledVectors,
    templates: TemplateSet,
    encoder: "Encoder",
    cache: LabelCache | None = None,
    *,
    track: Callable[[Iterable[str]], Iterable[str]] = lambda templates: templates,
) -> Comparison:
    """Measure each template and find a combination on one half of the photos, report it on the other.

    Names of classes are labels, underscores read as spaces. `track` wraps the templates as they are
    embedded, to show progress. Raises `LabelError` for a class of one photo, which has no other half.
    """
    labels = check_labels(labels_of_classes(photos.classes))
    unique = tuple(dict.fromkeys(templates.templates))
    weights = np.stack(
        [cached_label_embeddings(labels, (template,), encoder, cache) for template in track(unique)]
    )
    first, second = halves(photos.labels, photos.classes)

    def measure(rows: Numbers, weights: Vectors) -> float:
        return _accuracy(photos.vectors[rows], photos.labels[rows], weights)

    def both(weights: Vectors) -> Accuracy:
        return Accuracy(measure(first, weights), measure(second, weights))

    singly = [(template, both(each)) for template, each in zip(unique, weights, strict=True)]
    chosen = choose(weights, lambda combined: measure(first, combined))
    return Comparison(
        model=encoder.name,
        classes=photos.classes,
        photos=(len(first), len(second)),
        templates=tuple(sorted(singly, key=lambda each: -each[1].choosing)),
        all_together=both(_together(weights)),
        chosen=tuple(unique[index] for index in chosen),
        chosen_together=both(_together(weights[chosen])),
    )


def halves(labels: Numbers, classes: tuple[str, ...], seed: int = 0) -> tuple[Numbers, Numbers]:
    """Rows of two halves with the same share of each class, the same for the same `seed`.

    The odd photo of a class goes to the first half of every other class. Raises `LabelError` for a
    class of one photo.
    """
    random = np.random.default_rng(seed)
    first: list[Numbers] = []
    second: list[Numbers] = []
    odd = 0
    for number, name in enumerate(classes):
        rows = random.permutation(np.flatnonzero(labels == number))
        if len(rows) < 2:
            raise LabelError(f"the class {name!r} has one photo: two or more are needed, one for each half")
        odd ^= len(rows) % 2
        cut = (len(rows) + odd) // 2
        first.append(rows[:cut])
        second.append(rows[cut:])
    return np.sort(np.concatenate(first)), np.sort(np.concatenate(second))


def choose(weights: Vectors, measure: Callable[[Vectors], float]) -> list[int]:
    """Greedily, the templates whose mean measures best; the first of equals, until no other adds anything.

    `weights` are float32[templates, labels, dim]; `measure` gets float32[labels, dim] of unit length.
    """
    chosen: list[int] = []
    reached = -1.0
    while len(chosen) < len(weights):
        rest = [index for index in range(len(weights)) if index not in chosen]
        figures = [measure(_together(weights[[*chosen, index]])) for index in rest]
        if max(figures) <= reached:
            break
        reached = max(figures)
        chosen.append(rest[figures.index(reached)])
    return chosen


def _together(weights: Vectors) -> Vectors:
    """The labels' vectors, float32[labels, dim], for float32[templates, labels, dim] of single templates."""
    mean = weights.mean(axis=0)
    together: Vectors = mean / np.linalg.norm(mean, axis=1, keepdims=True)
    return together


def _accuracy(vectors: Vectors, labels: Numbers, weights: Vectors) -> float:
    step = max(1, (1 << 22) // len(weights))  # 16 MB of scores
    right = sum(
        int(
            ((vectors[start : start + step] @ weights.T).argmax(axis=1) == labels[start : start + step]).sum()
        )
        for start in range(0, len(labels), step)
    )
    return right / len(labels)
