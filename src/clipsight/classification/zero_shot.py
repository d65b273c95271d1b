"""Zero-shot classification: which of some labels fits a photo best, and with what probability.

Labels become vectors through prompt templates (CLIP, arXiv:2103.00020, section 3.1), photos are compared
with all of them. Called by `library`; `heatmap` shows the results.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from clipsight.classification.prompts import TemplateSet, check_labels
from clipsight.core.errors import LabelError
from clipsight.indexing.scan import has_photo_suffix
from clipsight.search.label_embeddings import LabelCache, cached_label_embeddings
from clipsight.search.results import Embeddings
from clipsight.store.records import Failure

if TYPE_CHECKING:
    from clipsight.models.encoder import Encoder
    from clipsight.search.confidence import Calibration
    from clipsight.store.catalog import Catalog
    from clipsight.store.records import Model

Vectors = npt.NDArray[np.float32]

NONE = "none of these"
"""The label of photos that no other fits, where it was asked for."""

_SCORES_AT_ONCE = 1 << 18  # 1 MB: a block stays in the processor's cache from the first step to the last
_SHORT = 64  # labels, up to which it pays to turn rows into columns


@dataclass(frozen=True)
class Prediction:
    """One photo with the probability of every label, float32[labels], in the order of the labels."""

    path: Path
    id: int
    """The library's number of the photo; 0 for one it does not have"""
    labels: tuple[str, ...]
    probabilities: Vectors

    @property
    def label(self) -> str:
        """The label that fits best; the first of those that fit equally well."""
        return self.labels[int(self.probabilities.argmax())]

    @property
    def probability(self) -> float:
        """The probability of `label`."""
        return float(self.probabilities.max())


@dataclass(frozen=True)
class Predictions:
    """Some photos of a classification, in one order."""

    labels: tuple[str, ...]
    paths: tuple[Path, ...]
    ids: npt.NDArray[np.int64]
    probabilities: Vectors
    """float32[n, labels]"""
    failures: tuple[tuple[Path, str], ...] = ()
    """Files that could not be read, with the reason."""

    def __len__(self) -> int:
        return len(self.paths)

    def __iter__(self) -> Iterator[Prediction]:
        for path, id_, row in zip(self.paths, self.ids.tolist(), self.probabilities, strict=True):
            yield Prediction(path, id_, self.labels, row)


@dataclass(frozen=True)
class Classifier:
    """Labels as vectors, ready to be compared with photos."""

    labels: tuple[str, ...]
    weights: Vectors
    """float32[labels, dim], unit length"""
    logit_scale: float
    """What cosines are multiplied with"""
    logit_bias: float | None = None
    """What is added to them then, in models trained with a sigmoid (SigLIP, arXiv:2303.15343)"""

    @classmethod
    def from_labels(
        cls,
        labels: Sequence[str],
        encoder: "Encoder",
        templates: TemplateSet,
        cache: LabelCache | None = None,
    ) -> "Classifier":
        """Embed the labels as `cached_label_embeddings` does; raises `LabelError` as `check_labels` does."""
        checked = check_labels(labels)
        weights = cached_label_embeddings(checked, templates.templates, encoder, cache)
        return cls(checked, weights, encoder.logit_scale, encoder.folder.logit_bias)

    @property
    def scoring(self) -> Literal["softmax", "sigmoid"]:
        """Softmax: a photo's probabilities add up to 1. Sigmoid: each label is judged by itself."""
        return "softmax" if self.logit_bias is None else "sigmoid"

    def cosines(self, vectors: Vectors) -> Vectors:
        """float32[n, labels] for the photos' unit vectors, float32[n, dim]."""
        return vectors @ self.weights.T

    def probabilities(self, vectors: Vectors) -> Vectors:
        """float32[n, labels]: softmax of `logit_scale` x cosine, or sigmoid of it and `logit_bias`."""
        scores = vectors @ self._scaled.T
        step = max(1, _SCORES_AT_ONCE // len(self.labels))
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
        """The photos' probabilities."""
        probabilities = (
            self.probabilities(photos.vectors) if len(photos) else np.empty((0, len(self.labels)), np.float32)
        )
        return Predictions(self.labels, photos.paths, photos.ids, probabilities, photos.failures)

    @cached_property
    def _scaled(self) -> Vectors:
        return self.weights * np.float32(self.logit_scale)


@dataclass(frozen=True)
class Classification:
    """Photos that are being classified, and with what. It streams: iterate over it, or `chunks`, once."""

    model: str
    classifier: Classifier
    templates: TemplateSet
    chunks: Iterator[Predictions]
    notes: tuple[str, ...] = ()
    """What the user should know of how the labels were read, one line each."""
    logit_scale_assumed: bool = False
    """Whether the model has no logit scale of its own, so that CLIP's usual 100 stands in"""
    unknown: bool = False
    """Whether photos that no label fits are told apart, by a label of their own"""

    @property
    def labels(self) -> tuple[str, ...]:
        """Those of `classifier`, and `NONE` as the last where `unknown`."""
        return (*self.classifier.labels, NONE) if self.unknown else self.classifier.labels

    def __iter__(self) -> Iterator[Prediction]:
        for chunk in self.chunks:
            yield from chunk


def classify(
    photos: Iterable[Embeddings],
    labels: Sequence[str],
    encoder: "Encoder",
    templates: TemplateSet,
    cache: LabelCache | None = None,
    calibration: "Calibration | None" = None,
) -> Classification:
    """Classify embedded photos; the labels are embedded at once, the photos as the result is read.

    With `calibration` there is one label more, `NONE`: the chance that no other fits, taken from theirs.
    """
    classifier = Classifier.from_labels(labels, encoder, templates, cache)
    chunks = (classifier.predict(chunk) for chunk in photos)
    if calibration is not None:
        if NONE in classifier.labels:
            raise LabelError(f"the label {NONE!r} is what photos get that no label fits: choose another")
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


def _reduced(function: np.ufunc, rows: Vectors) -> Vectors:
    """Each row's sum or highest number; NumPy takes nine times as long over short rows as over columns."""
    reduced: Vectors = (
        function.reduce(np.ascontiguousarray(rows.T), axis=0)
        if rows.shape[1] < _SHORT
        else function.reduce(rows, axis=1)
    )
    return reduced


def _with_none(classifier: Classifier, photos: Embeddings, calibration: "Calibration") -> Predictions:
    found = classifier.predict(photos)
    none = np.empty(0, np.float32)
    if len(photos):
        none = calibration.none_fits(classifier.cosines(photos.vectors))
    probabilities = np.column_stack([found.probabilities * (1 - none)[:, None], none])
    return replace(found, labels=(*found.labels, NONE), probabilities=probabilities)


def keep_labels(predictions: Predictions, catalog: "Catalog", model: "Model") -> Predictions:
    """Note the best label of each photo of the library, for searches by label; gives `predictions` back.

    Photos that none of the labels fits are noted as looked at, without a label.
    """
    from clipsight.store.labels import GivenLabel, give_labels

    given = [
        GivenLabel(each.id, None if each.label == NONE else each.label, each.probability)
        for each in predictions
        if each.id
    ]
    labels = [label for label in predictions.labels if label != NONE]
    give_labels(catalog.database, model, labels, given)
    return predictions


def failed_in(folders: Sequence[bytes], failures: Iterable[Failure]) -> Embeddings:
    """No photos, but those of a library's `failures` that lie in and below `folders` (none given: all)."""
    inside = tuple(folder.rstrip(b"/") + b"/" for folder in folders) or (b"",)
    return Embeddings(
        np.empty(0, np.int64),
        (),
        np.empty((0, 0), np.float32),
        tuple(
            (Path(os.fsdecode(failure.path)), failure.reason)
            for failure in failures
            if failure.path.startswith(inside)
        ),
    )


def best_labels(probabilities: Vectors, count: int) -> npt.NDArray[np.int64]:
    """int64[n, count]: each photo's best labels, best first, equal ones in the order of the labels."""
    if count == 1:
        best: npt.NDArray[np.int64] = probabilities.argmax(axis=1)
        return best[:, None]
    count = min(count, probabilities.shape[1])
    rows = np.arange(len(probabilities))[:, None]
    if count < probabilities.shape[1]:
        # Where equal labels compete for the last place, the partition would pick any of them.
        least = -np.partition(-probabilities, count - 1, axis=1)[:, count - 1 : count]
        surely = probabilities > least
        places = count - surely.sum(axis=1, keepdims=True)
        level = probabilities == least
        chosen = surely | (level & (level.cumsum(axis=1, dtype=np.int32) <= places))
        columns = np.nonzero(chosen)[1].reshape(len(probabilities), count)
    else:
        columns = np.broadcast_to(np.arange(count), (len(probabilities), count))
    order = np.argsort(-probabilities[rows, columns], axis=1, kind="stable")
    return columns[rows, order]


def split_arguments(arguments: Sequence[str]) -> tuple[list[Path], list[str]]:
    """Which arguments are photos and folders of them (they exist), and which are texts (all others).

    Raises `LabelError` for one that looks like a photo's path, but nothing is there.
    """
    photos = [Path(value).expanduser() for value in arguments if _exists(value)]
    texts = [value for value in arguments if not _exists(value)]
    for text in texts:
        if text.lower().startswith(("http://", "https://")):
            raise LabelError(f"can't classify an address: download {text} and name the file")
        if _looks_like_path(text):
            raise LabelError(f"no such photo or folder: {text}")
    return photos, texts


def _notes(labels: Sequence[str], encoder: "Encoder", templates: TemplateSet) -> tuple[str, ...]:
    """A line for each label of which some text is longer than the model's context and was cut."""
    # A token is a byte at least, so that the tokenizer need not be loaded for short texts.
    room = encoder.folder.context_length - 8
    suspects = [label for label in labels if len(max(templates.fill(label), key=len).encode()) > room]
    return tuple(
        f"label cut to the model's {encoder.folder.context_length} tokens: {label[:60]}..."
        for label in suspects
        if any(encoder.truncated(templates.fill(label)))
    )


def _exists(value: str) -> bool:
    try:
        return Path(value).expanduser().exists()
    except (OSError, ValueError, RuntimeError):  # too long, a NUL byte, an unknown user's home
        return False


def _looks_like_path(value: str) -> bool:
    if value.startswith(("./", "../", "/", "~/")):
        return True
    return " " not in value and has_photo_suffix(os.fsencode(value))
