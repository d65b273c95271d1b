"""What a shift of the photos costs: accuracy on one collection and on another of the same classes.

CLIP's claim is that zero-shot classification loses less than a classifier that was fitted (Radford et al.
2021, section 3.3). Called by `clipsight evaluate --shift`.
"""

from dataclasses import dataclass
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
    """One way to classify: its scores on held-out photos of A and on those of B."""

    name: str
    on_a: ClassificationMetrics
    on_b: ClassificationMetrics

    @property
    def change(self) -> float:
        """Accuracy on B less that on A."""
        return self.on_b.accuracy - self.on_a.accuracy

    def to_dict(self) -> dict[str, Any]:
        """The scores as `--json` prints them."""
        return {"a": self.on_a.to_dict(), "b": self.on_b.to_dict(), "change": round(self.change, 6)}


def measure_shift(
    a: "LabelledVectors",
    b: "LabelledVectors",
    encoder: "Encoder",
    templates: "TemplateSet",
    *,
    seed: int = 0,
) -> list[Shift]:
    """Zero-shot, the probe fitted on four fifths of `a`, and the one of them that started from zero-shot.

    All are tested on the other fifth of `a` and on the whole of `b`, whose classes must be among those
    of `a` (`LabelError`).
    """
    shifted = b.with_classes(a.classes)
    train, test = train_test_split(a, seed=seed)
    zero_shot = zero_shot_head(a.classes, encoder, templates)
    heads = {
        "zero-shot": zero_shot,
        "probe": fit_head(train.vectors, train.labels, seed=seed).head,
        "probe from zero-shot": fit_head(train.vectors, train.labels, zero_shot, "auto", seed=seed).head,
    }
    return [Shift(name, _scores(head, test), _scores(head, shifted)) for name, head in heads.items()]


def _scores(head: Head, photos: "LabelledVectors") -> ClassificationMetrics:
    return classification_metrics(head.logits(photos.vectors), photos.labels, photos.classes)
