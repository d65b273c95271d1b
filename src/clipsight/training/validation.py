"""Validation during training: recall on held-out photos, and zero-shot accuracy."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch

from clipsight.classification.prompts import SIMPLE, labels_of_classes
from clipsight.clip.tokens import normalise, tokenise
from clipsight.core.arrays import Float32
from clipsight.core.errors import PhotoError, TrainingError
from clipsight.metrics.classification import classification_metrics
from clipsight.metrics.retrieval import RetrievalMetrics, retrieval_metrics
from clipsight.models.preprocess import PreprocessConfig
from clipsight.search.label_embeddings import embed_labels
from clipsight.training.datasets import CaptionDataset, FileDataset, Indices
from clipsight.training.distributed import Distributed, all_gather_objects
from clipsight.training.loader import EvaluationExamples, evaluation_batches

if TYPE_CHECKING:
    from clipsight.classification.dataset import LabelledFiles
    from clipsight.clip.model import CLIP


RECALLS = tuple(f"{direction}@{k}" for direction in ("text_to_image", "image_to_text") for k in (1, 5, 10))
"""Names of the recall metrics, shares of 1."""

ZERO_SHOT = "zero_shot"
"""Name of top-1 zero-shot accuracy, a share of 1."""

_BATCH = 64
_MAX_CAPTIONS = 5
"""Captions evaluated per photo, as in the usual retrieval benchmarks."""


@dataclass(frozen=True)
class ValidationSet:
    """Held-out captioned photos, and optionally labelled photos."""

    dataset: CaptionDataset
    indices: Indices
    preprocess: PreprocessConfig
    distributed: Distributed
    workers: int
    zero_shot: "LabelledFiles | None" = None
    unread: dict[str, str] = field(default_factory=dict)
    """Unreadable photos found so far, each with the reason."""

    def evaluate(self, model: "CLIP") -> dict[str, float]:
        """Compute RECALLS and, with `zero_shot`, ZERO_SHOT with the seven "simple" prompt templates.

        The photos are split among the processes; all processes return the same metrics. Unreadable photos are
        left out and added to `unread`. Raises TrainingError if none can be read.
        """
        metrics: dict[str, float] = {}
        with torch.no_grad():
            if len(self.indices):
                for direction, found in zip(
                    ("text_to_image", "image_to_text"), self._recall(model), strict=True
                ):
                    for k, value in (
                        (1, found.recall_at_1),
                        (5, found.recall_at_5),
                        (10, found.recall_at_10),
                    ):
                        metrics[f"{direction}@{k}"] = value
            if self.zero_shot is not None:
                metrics[ZERO_SHOT] = self._accuracy(model, self.zero_shot)
        return metrics

    def _recall(self, model: "CLIP") -> tuple[RetrievalMetrics, RetrievalMetrics]:
        photos, images = self._embed_photos(model, self.dataset, self.indices)
        captions = [_captions(self.dataset, index) for index in photos]
        kept = [row for row, texts in enumerate(captions) if texts]
        if not kept:
            raise TrainingError("no held-out photo can be read; set `val` to others")
        texts = self._embed_texts(model, [text for row in kept for text in captions[row]])
        owner = [number for number, row in enumerate(kept) for _ in captions[row]]
        return retrieval_metrics(images[kept], texts, owner)

    def _accuracy(self, model: "CLIP", labelled: "LabelledFiles") -> float:
        files = FileDataset({str(path): [""] for path in labelled.paths})
        photos, images = self._embed_photos(model, files, np.arange(len(files)))
        if not photos:
            raise TrainingError("no photo with a class can be read; set `zero_shot` to others")
        weights = embed_labels(
            labels_of_classes(labelled.classes), SIMPLE, lambda texts: self._embed_texts(model, texts)
        )
        return classification_metrics(images @ weights.T, labelled.labels[photos], labelled.classes).accuracy

    def _embed_photos(
        self, model: "CLIP", dataset: CaptionDataset, indices: Indices
    ) -> tuple[list[int], Float32]:
        """Indices of the readable photos and their embeddings, unit float32[n,embed_dim]."""
        own = indices[self.distributed.rank :: self.distributed.world_size]
        embedded: list[tuple[int, Float32]] = []
        unread: list[tuple[str, str]] = []
        examples = EvaluationExamples(dataset, own, self.preprocess)
        for batch in evaluation_batches(examples, _BATCH, self.workers):
            unread += [(dataset.name(index), reason) for index, pixels, reason in batch if pixels is None]
            read = [(index, pixels) for index, pixels, _ in batch if pixels is not None]
            if read:
                stacked = np.stack([pixels for _, pixels in read])
                pixels = torch.from_numpy(stacked).to(self.distributed.device)
                vectors = model.encode_image(normalise(pixels, self.preprocess)).float().cpu().numpy()
                embedded += zip((index for index, _ in read), vectors, strict=True)
        self.unread.update(all_gather_objects(unread))
        embedded = sorted(all_gather_objects(embedded), key=lambda each: each[0])
        return [index for index, _ in embedded], np.array([vector for _, vector in embedded], np.float32)

    def _embed_texts(self, model: "CLIP", texts: Sequence[str]) -> Float32:
        """Unit float32[texts,embed_dim]."""
        context = model.architecture.text_cfg.context_length
        parts = []
        for start in range(0, len(texts), _BATCH):
            ids = torch.from_numpy(tokenise(texts[start : start + _BATCH], context))
            parts.append(model.encode_text(ids.to(self.distributed.device)).float().cpu().numpy())
        return np.concatenate(parts)


def _captions(dataset: CaptionDataset, index: int) -> tuple[str, ...]:
    try:
        return dataset.captions(index)[:_MAX_CAPTIONS]
    except PhotoError:
        return ()
