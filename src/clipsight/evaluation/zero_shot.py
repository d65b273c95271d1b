"""Zero-shot classification measured on photos with known classes, as CLIP_benchmark does.

Called by `clipsight evaluate --zeroshot`, recipes and benchmarks.
"""

from typing import TYPE_CHECKING

from clipsight.metrics.classification import ClassificationMetrics, classification_metrics
from clipsight.probe.head import zero_shot_head

if TYPE_CHECKING:
    from clipsight.classification.dataset import LabelledVectors
    from clipsight.classification.prompts import TemplateSet
    from clipsight.models.encoder import Encoder


def measure_zero_shot(
    photos: "LabelledVectors", encoder: "Encoder", templates: "TemplateSet"
) -> ClassificationMetrics:
    """Every photo goes to the class whose filled templates' mean embedding is nearest.

    Class names are read as words, `_` as a space. Raises `LabelError`.
    """
    head = zero_shot_head(photos.classes, encoder, templates)
    return classification_metrics(head.logits(photos.vectors), photos.labels, photos.classes)
