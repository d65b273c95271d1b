"""Zero-shot classification: the probability of each label from the cosines of photos and labels.

Labels are embedded with prompt templates (Radford et al. 2021, arXiv:2103.00020, section 3.1).
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from clipsight.classification.predictions import NONE, Predictions
from clipsight.classification.prompts import TemplateSet, check_labels
from clipsight.classification.stream import StreamedPredictions
from clipsight.core import paths
from clipsight.core.arrays import Float32
from clipsight.core.errors import LabelError
from clipsight.indexing.scan import has_photo_suffix
from clipsight.search.label_embeddings import LabelCache, cached_label_embeddings
from clipsight.search.results import Embeddings

if TYPE_CHECKING:
    from clipsight.models.encoder import Encoder
    from clipsight.search.confidence import Calibration
    from clipsight.search.session import Snapshot
    from clipsight.store.catalog import Catalog
    from clipsight.store.records import Model


_BLOCK_SCORES = 1 << 18  # 1 MB: a block stays in the processor's cache during all steps
_MAX_TRANSPOSED = 64  # labels up to which transposing is faster than reducing rows


@dataclass(frozen=True)
class Classifier:
    """Embeddings of labels, and the scale and bias that turn cosines into logits."""

    labels: tuple[str, ...]
    weights: Float32
    """float32[labels, dim], unit length"""
    logit_scale: float
    """Factor by which cosines are multiplied."""
    logit_bias: float | None = None
    """Added to scaled cosines, in models trained with a sigmoid loss (SigLIP, arXiv:2303.15343)."""

    @classmethod
    def from_labels(
        cls,
        labels: Sequence[str],
        encoder: "Encoder",
        templates: TemplateSet,
        cache: LabelCache | None = None,
    ) -> "Classifier":
        """Embed the labels by `cached_label_embeddings`. Raises `LabelError` as `check_labels` does."""
        checked = check_labels(labels)
        weights = cached_label_embeddings(checked, templates.templates, encoder, cache)
        return cls(checked, weights, encoder.logit_scale, encoder.folder.logit_bias)

    @property
    def scoring(self) -> Literal["softmax", "sigmoid"]:
        """Softmax: a photo's probabilities add up to 1. Sigmoid: each label's probability is independent."""
        return "softmax" if self.logit_bias is None else "sigmoid"

    def cosines(self, vectors: Float32) -> Float32:
        """Cosines float32[n, labels] with the photos' unit vectors, float32[n, dim]."""
        return vectors @ self.weights.T

    def probabilities(self, vectors: Float32) -> Float32:
        """Softmax of `logit_scale` x cosine, or sigmoid of that plus `logit_bias`: float32[n, labels]."""
        scores = vectors @ self._scaled.T
        step = max(1, _BLOCK_SCORES // len(self.labels))
        for start in range(0, len(scores), step):
            block = scores[start : start + step]
            if self.logit_bias is None:
                block -= _reduced(np.maximum, block)[:, None]
                np.exp(block, out=block)
                block /= _reduced(np.add, block)[:, None]
            else:
                block += np.float32(self.logit_bias)
                with np.errstate(over="ignore"):  # the probability is 0 where exp is infinite
                    np.exp(np.negative(block, out=block), out=block)
                block += 1
                np.reciprocal(block, out=block)
        return scores

    def predict(self, photos: Embeddings) -> Predictions:
        """Classify embedded photos."""
        probabilities = (
            self.probabilities(photos.vectors) if len(photos) else np.empty((0, len(self.labels)), np.float32)
        )
        return Predictions.of(photos, self.labels, probabilities)

    @cached_property
    def _scaled(self) -> Float32:
        return self.weights * np.float32(self.logit_scale)


@dataclass(frozen=True)
class Classification(StreamedPredictions):
    """Photos that are classified while this object, or `chunks`, is iterated over; this is possible once."""

    model: str
    classifier: Classifier
    templates: TemplateSet
    chunks: Iterator[Predictions]
    notes: tuple[str, ...] = ()
    """Warnings about the labels for the user, one line each."""
    logit_scale_assumed: bool = False
    """True if the model folder has no logit scale, so that CLIP's usual 100 is used."""
    unknown: bool = False
    """True if photos that no label fits get the label `NONE`."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of `classifier`, followed by `NONE` if `unknown`."""
        return (*self.classifier.labels, NONE) if self.unknown else self.classifier.labels

    @property
    def summary(self) -> str:
        """Model, scoring rule and templates, as part of a line."""
        rule = f"{self.classifier.scoring} of {self.classifier.logit_scale:g} x cosine"
        if self.classifier.logit_bias is not None:
            rule += f" {self.classifier.logit_bias:+g}"
        return f"model {self.model}, {rule}, templates {self.templates.name}"

    def describe(self) -> dict[str, object]:
        """Model, scoring, templates and labels: the first fields of the output of `--json`."""
        return {
            "model": self.model,
            "scoring": self.classifier.scoring,
            "logit_scale": self.classifier.logit_scale,
            "logit_scale_assumed": self.logit_scale_assumed,
            "logit_bias": self.classifier.logit_bias,
            "template_set": self.templates.name,
            "templates": list(self.templates.templates),
            "labels": list(self.labels),
        }


def classify(
    photos: Iterable[Embeddings],
    labels: Sequence[str],
    encoder: "Encoder",
    templates: TemplateSet,
    cache: LabelCache | None = None,
    calibration: "Calibration | None" = None,
) -> Classification:
    """Classify embedded photos; `photos` is consumed while the result is iterated over.

    `calibration` adds the label `NONE`, with the probability that no other label fits. Raises `LabelError` as
    `check_labels` does, and for the label `NONE`.
    """
    classifier = Classifier.from_labels(labels, encoder, templates, cache)
    chunks = (classifier.predict(chunk) for chunk in photos)
    if calibration is not None:
        if NONE in classifier.labels:
            raise LabelError(f"the label {NONE!r} is reserved for photos that no label fits: choose another")
        chunks = (_with_none(classifier, chunk, calibration) for chunk in photos)
    return Classification(
        encoder.name,
        classifier,
        templates,
        chunks,
        _notes(classifier.labels, encoder, templates),
        encoder.folder.logit_scale_assumed,
        unknown=calibration is not None,
    )


def classify_in(
    snapshot: "Snapshot",
    photos: Iterable[Embeddings],
    labels: Sequence[str],
    templates: TemplateSet,
    *,
    unknown: bool,
    keep: bool,
) -> Classification:
    """Classify photos with the model of a library; see `Library.classify` for `unknown` and `keep`."""
    calibration = snapshot.calibration if unknown else None
    cache = LabelCache(snapshot.folder)
    result = classify(photos, labels, snapshot.encoder, templates, cache, calibration)
    if not keep:
        return result
    chunks = (keep_labels(chunk, snapshot.catalog, snapshot.model) for chunk in result.chunks)
    return replace(result, chunks=chunks)


def _reduced(function: np.ufunc, rows: Float32) -> Float32:
    """Sum or maximum of each row; NumPy is nine times slower for short rows than for columns."""
    reduced: Float32 = (
        function.reduce(np.ascontiguousarray(rows.T), axis=0)
        if rows.shape[1] < _MAX_TRANSPOSED
        else function.reduce(rows, axis=1)
    )
    return reduced


def _with_none(classifier: Classifier, photos: Embeddings, calibration: "Calibration") -> Predictions:
    found = classifier.predict(photos)
    none = np.empty(0, np.float32)
    if len(photos):
        # `NONE` gets the ratio share / (1 - share) to the best label, so that it is the most probable label
        # exactly if share > 0.5.
        share = calibration.none_fits(photos.vectors, classifier.weights)
        best = found.probabilities.max(axis=1)
        none = best * share / (best * share + (1 - share))
    probabilities = np.column_stack([found.probabilities * (1 - none)[:, None], none])
    return replace(found, labels=(*found.labels, NONE), probabilities=probabilities)


def keep_labels(predictions: Predictions, catalog: "Catalog", model: "Model") -> Predictions:
    """Store the best label of each photo of the library, as a filter for searches; return `predictions`.

    Photos that no label fits lose their earlier label of the same label set.
    """
    from clipsight.store.labels import PhotoLabel, store_labels

    given = [
        PhotoLabel(each.id, None if each.label == NONE else each.label, each.probability)
        for each in predictions
        if each.id
    ]
    labels = [label for label in predictions.labels if label != NONE]
    store_labels(catalog.database, model, labels, given)
    return predictions


def split_arguments(arguments: Sequence[str]) -> tuple[list[Path], list[str]]:
    """Separate existing photos and folders from all other arguments, which are texts.

    Raises `LabelError` for a URL, and for a text that looks like the path of a photo that does not exist.
    """
    found = {value: paths.find(value) for value in arguments}
    photos = [photo for value in arguments if (photo := found[value]) is not None]
    texts = [value for value in arguments if found[value] is None]
    for text in texts:
        if text.lower().startswith(("http://", "https://")):
            raise LabelError(f"can't classify a URL: download {text} and name the file")
        if _looks_like_path(text):
            raise LabelError(f"no such photo or folder: {text}")
    return photos, texts


def _notes(labels: Sequence[str], encoder: "Encoder", templates: TemplateSet) -> tuple[str, ...]:
    """One line for each label of which a prompt is longer than the model's context, and truncated."""
    # A token is at least one byte, so short texts need not be tokenized.
    limit = encoder.folder.context_length - 8
    candidates = [label for label in labels if len(max(templates.fill(label), key=len).encode()) > limit]
    return tuple(
        f"label truncated to the model's {encoder.folder.context_length} tokens: {label[:60]}..."
        for label in candidates
        if any(encoder.truncated(templates.fill(label)))
    )


def _looks_like_path(value: str) -> bool:
    if value.startswith(paths.PREFIXES):
        return True
    return " " not in value and has_photo_suffix(os.fsencode(value))
