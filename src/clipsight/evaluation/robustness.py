"""Robustness to a distribution shift: accuracy on one collection and on another one with the same classes.

According to Radford et al. 2021 (section 3.3), zero-shot classification loses less accuracy than a fitted
classifier.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clipsight.classification.splits import train_test_split
from clipsight.metrics.classification import ClassificationMetrics, classification_metrics
from clipsight.probe.head import Head, zero_shot_head
from clipsight.probe.logistic import fit_head

if TYPE_CHECKING:
    from clipsight.classification.dataset import LabelledVectors
    from clipsight.classification.prompts import TemplateSet
    from clipsight.models.encoder import Encoder


@dataclass(frozen=True, eq=False)
class Shift:
    """Metrics of one classifier on held-out photos of A and on the photos of B."""

    name: str
    on_a: ClassificationMetrics
    on_b: ClassificationMetrics

    @property
    def change(self) -> float:
        """Accuracy on B minus accuracy on A."""
        return self.on_b.accuracy - self.on_a.accuracy

    def to_dict(self) -> dict[str, Any]:
        """The metrics for JSON."""
        return {"a": self.on_a.to_dict(), "b": self.on_b.to_dict(), "change": round(self.change, 6)}


@dataclass(frozen=True, eq=False)
class Robustness:
    """Three classifiers of one model, tested on collection A and on the shifted collection B."""

    model: str
    shifts: tuple[Shift, ...]
    failures: tuple[tuple[Path, str], ...] = ()
    """Photos that could not be read, with the reason."""

    def to_dict(self) -> dict[str, Any]:
        """The evaluation for JSON."""
        return {
            "model": self.model,
            **{shift.name: shift.to_dict() for shift in self.shifts},
            "failures": [{"path": str(path), "reason": reason} for path, reason in self.failures],
        }


def measure_shift(
    a: "LabelledVectors",
    b: "LabelledVectors",
    encoder: "Encoder",
    templates: "TemplateSet",
    *,
    seed: int = 0,
) -> Robustness:
    """Test zero-shot, a probe fitted to four fifths of `a`, and a probe that starts from zero-shot.

    They are tested on the other fifth of `a` and on all of `b`. Raises `LabelError` if `b` has a class that
    `a` does not have.
    """
    shifted = b.with_classes(a.classes)
    train, test = train_test_split(a, seed=seed)
    zero_shot = zero_shot_head(a.classes, encoder, templates)
    heads = {
        "zero-shot": zero_shot,
        "probe": fit_head(train.vectors, train.labels, seed=seed).head,
        "probe from zero-shot": fit_head(train.vectors, train.labels, zero_shot, "auto", seed=seed).head,
    }
    shifts = tuple(Shift(name, _metrics(head, test), _metrics(head, shifted)) for name, head in heads.items())
    return Robustness(encoder.name, shifts, (*a.failures, *b.failures))


def _metrics(head: Head, photos: "LabelledVectors") -> ClassificationMetrics:
    return classification_metrics(head.logits(photos.vectors), photos.labels, photos.classes)
