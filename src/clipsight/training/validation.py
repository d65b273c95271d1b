"""How well a model on its way finds photos it never trained on, and classifies. Called by `trainer`."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch

from clipsight.classification.prompts import SIMPLE, labels_of_classes
from clipsight.clip.tokens import normalise, tokenise
from clipsight.core.errors import PhotoError, TrainingError
from clipsight.metrics.classification import classification_metrics
from clipsight.metrics.retrieval import RetrievalMetrics, retrieval_metrics
from clipsight.models.preprocess import PreprocessConfig
from clipsight.search.label_embeddings import embed_labels
from clipsight.training.datasets import Plain, plain_batches
from clipsight.training.distributed import Processes, gather_objects
from clipsight.training.source import Indices, Source
from clipsight.training.sources import Files

if TYPE_CHECKING:
    from clipsight.classification.dataset import Labelled
    from clipsight.clip.model import CLIP

Vectors = npt.NDArray[np.float32]

RECALLS = tuple(f"{direction}@{k}" for direction in ("text_to_image", "image_to_text") for k in (1, 5, 10))
ZERO_SHOT = "zero_shot"

_BATCH = 64
_CAPTIONS = 5
"""Captions a photo that are asked for, as in the usual benchmarks of retrieval."""


@dataclass(frozen=True)
class HeldOut:
    """Photos with captions, and perhaps photos with classes, to measure a model by."""

    source: Source
    indices: Indices
    preprocess: PreprocessConfig
    processes: Processes
    workers: int
    zero_shot: "Labelled | None" = None
    unread: dict[str, str] = field(default_factory=dict)
    """Photos that could not be read so far, and why."""

    def __call__(self, model: "CLIP") -> dict[str, float]:
        """Recall of both directions and, where asked for, top-1 accuracy with the seven "simple" templates.

        The photos are shared out among the processes; all get the figures. Photos that can't be read are left
        out and listed. Raises TrainingError where none can be.
        """
        figures: dict[str, float] = {}
        with torch.no_grad():
            if len(self.indices):
                for found, direction in zip(
                    self._recall(model), ("text_to_image", "image_to_text"), strict=True
                ):
                    for k, value in (
                        (1, found.recall_at_1),
                        (5, found.recall_at_5),
                        (10, found.recall_at_10),
                    ):
                        figures[f"{direction}@{k}"] = value
            if self.zero_shot is not None:
                figures[ZERO_SHOT] = self._accuracy(model, self.zero_shot)
        return figures

    def _recall(self, model: "CLIP") -> tuple[RetrievalMetrics, RetrievalMetrics]:
        photos, images = self._embed(model, self.source, self.indices)
        captions = [_captions(self.source, index) for index in photos]
        kept = [row for row, texts in enumerate(captions) if texts]
        if not kept:
            raise TrainingError("no held-out photo can be read; give others with `val`")
        texts = self._texts(model, [text for row in kept for text in captions[row]])
        owner = [number for number, row in enumerate(kept) for _ in captions[row]]
        return retrieval_metrics(images[kept], texts, owner)

    def _accuracy(self, model: "CLIP", collection: "Labelled") -> float:
        files = Files({str(path): [""] for path in collection.paths})
        photos, images = self._embed(model, files, np.arange(len(files)))
        if not photos:
            raise TrainingError("no photo with a class can be read; give others with `zero_shot`")
        weights = embed_labels(
            labels_of_classes(collection.classes), SIMPLE, lambda texts: self._texts(model, texts)
        )
        return classification_metrics(
            images @ weights.T, collection.labels[photos], collection.classes
        ).accuracy

    def _embed(self, model: "CLIP", source: Source, indices: Indices) -> tuple[list[int], Vectors]:
        """The photos that could be read, and their vectors float32[n,dim], from all processes."""
        mine = indices[self.processes.rank :: self.processes.count]
        found: list[tuple[int, Vectors]] = []
        unread: list[tuple[str, str]] = []
        for batch in plain_batches(Plain(source, mine, self.preprocess), _BATCH, self.workers):
            unread += [(source.name(index), reason) for index, pixels, reason in batch if pixels is None]
            read = [(index, pixels) for index, pixels, _ in batch if pixels is not None]
            if read:
                pixels = torch.from_numpy(np.stack([pixels for _, pixels in read])).to(self.processes.device)
                vectors = model.encode_image(normalise(pixels, self.preprocess)).float().cpu().numpy()
                found += zip((index for index, _ in read), vectors, strict=True)
        self.unread.update(gather_objects(unread))
        found = sorted(gather_objects(found), key=lambda each: each[0])
        return [index for index, _ in found], np.array([vector for _, vector in found], np.float32)

    def _texts(self, model: "CLIP", texts: Sequence[str]) -> Vectors:
        context = model.architecture.text_cfg.context_length
        parts = []
        for start in range(0, len(texts), _BATCH):
            ids = torch.from_numpy(tokenise(texts[start : start + _BATCH], context))
            parts.append(model.encode_text(ids.to(self.processes.device)).float().cpu().numpy())
        return np.concatenate(parts)


def _captions(source: Source, index: int) -> tuple[str, ...]:
    try:
        return source.captions(index)[:_CAPTIONS]
    except PhotoError:
        return ()
