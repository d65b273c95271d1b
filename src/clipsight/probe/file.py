"""Probes, and their files: safetensors with JSON in the metadata, so that loading a file can't run code.

    weights float32[classes, dim], bias float32[classes]
    metadata "clipsight": classes, model and its fingerprint, hyperparameters, metrics

Applying a probe needs no other optional package than safetensors.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from clipsight.classification.predictions import Predictions
from clipsight.classification.stream import StreamedPredictions
from clipsight.core.errors import LabelError
from clipsight.core.extras import require
from clipsight.core.files import atomic_write
from clipsight.probe.head import Head
from clipsight.search.results import Embeddings

if TYPE_CHECKING:
    from clipsight.indexing.media.picture import PhotoLike
    from clipsight.library import Library

_FORMAT = "clipsight probe 1"


@dataclass(frozen=True, eq=False)
class Probe:
    """A linear classifier of embeddings of one model."""

    classes: tuple[str, ...]
    head: Head
    """Weights and bias in float32."""
    model: str
    fingerprint: str
    """Fingerprint of the model; the probe can't be applied to vectors of another one."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Hyperparameters: C, alpha, photos, ..."""
    figures: Mapping[str, Any] = field(default_factory=dict)
    """Metrics on held-out photos: `ClassificationMetrics.to_dict` without the confusion matrix."""

    def predict(self, photos: Embeddings) -> Predictions:
        """Classify embedded photos."""
        probabilities = (
            self.head.probabilities(photos.vectors).astype(np.float32)
            if len(photos)
            else np.empty((0, len(self.classes)), np.float32)
        )
        return Predictions.of(photos, self.classes, probabilities)

    def apply(self, library: "Library", *photos: "PhotoLike | Iterable[PhotoLike]") -> "ProbeClassification":
        """Classify `photos`, given as for `Library.embed` (default: the whole library).

        The result is computed while it is iterated over, so memory does not grow with the number of photos.
        Raises `LabelError` for a library of another model, and as `Library.embed`.
        """
        self.check(library)
        found = library.embed(*photos) if photos else library.embeddings()
        return ProbeClassification(self, map(self.predict, found))

    def check(self, library: "Library") -> None:
        """Raise `LabelError` unless `library` has vectors of the model that the probe was fitted on."""
        folder = library.encoder.folder
        if folder.fingerprint() == self.fingerprint:
            return
        difference = f"the library has vectors of {folder.name}"
        if folder.name == self.model:
            difference = f"the library's {folder.name} is another version (the files of the model differ)"
        raise LabelError(
            f"the probe was fitted on vectors of {self.model}, but {difference}: "
            f"fit it again on these, or apply it to a `library` with vectors of {self.model}"
        )

    def save(self, file: str | os.PathLike[str]) -> None:
        """Write the file atomically. Raises `LabelError` if it can't be written."""
        content = {
            "format": _FORMAT,
            "model": self.model,
            "fingerprint": self.fingerprint,
            "classes": self.classes,
            "settings": self.settings,
            "figures": self.figures,
        }
        tensors = {
            "weights": np.ascontiguousarray(self.head.weights, dtype=np.float32),
            "bias": np.ascontiguousarray(self.head.bias, dtype=np.float32),
        }
        data = require("probe", "safetensors.numpy").save(tensors, {"clipsight": json.dumps(content)})
        with atomic_write(Path(file), error=LabelError) as temporary:
            temporary.write_bytes(data)


@dataclass(frozen=True)
class ProbeClassification(StreamedPredictions):
    """Photos that a probe classifies while this object, or `chunks`, is iterated over; possible once."""

    probe: Probe
    chunks: Iterator[Predictions]

    @property
    def labels(self) -> tuple[str, ...]:
        """The probe's classes."""
        return self.probe.classes

    @property
    def summary(self) -> str:
        """Model and scoring, as part of a line."""
        return f"model {self.probe.model}, linear probe"

    def describe(self) -> dict[str, object]:
        """Model and labels: the first fields of the output of `--json`."""
        return {"model": self.probe.model, "labels": list(self.labels)}


def load(file: str | os.PathLike[str]) -> Probe:
    """Read a probe's file. Raises `LabelError` if it is missing, damaged or not a probe."""
    safetensors = require("probe", "safetensors")
    try:
        with safetensors.safe_open(file, framework="numpy") as opened:
            content = json.loads((opened.metadata() or {})["clipsight"])
            weights, bias = opened.get_tensor("weights"), opened.get_tensor("bias")
        return _checked(content, weights, bias)
    except (FileNotFoundError, IsADirectoryError) as error:
        raise LabelError(f"no such probe: {file}") from error
    except OSError as error:
        raise LabelError(f"can't read the probe {file}: {error.strerror or error}") from error
    except (safetensors.SafetensorError, KeyError, TypeError, ValueError) as error:
        raise LabelError(f"{file} is not a probe of clipsight, or damaged: fit it again") from error


def _checked(content: dict[str, Any], weights: npt.NDArray[Any], bias: npt.NDArray[Any]) -> Probe:
    """Make a probe of a file's content. Raises KeyError, TypeError or ValueError if it is invalid."""
    if content["format"] != _FORMAT or type(content["classes"]) is not list:
        raise ValueError("unknown format")
    classes = tuple(content["classes"])
    if len(classes) < 2 or not all(type(name) is str for name in classes):
        raise ValueError("invalid classes")
    if weights.dtype != np.float32 or bias.dtype != np.float32 or weights.ndim != 2:
        raise ValueError("invalid tensors")
    if bias.shape != (len(classes),) or len(weights) != len(classes):
        raise ValueError("invalid shapes")
    if not (np.isfinite(weights).all() and np.isfinite(bias).all()):
        raise ValueError("not finite")
    model, fingerprint = content["model"], content["fingerprint"]
    settings, figures = content["settings"], content["figures"]
    if type(model) is not str or type(fingerprint) is not str:
        raise ValueError("invalid model")
    if type(settings) is not dict or type(figures) is not dict:
        raise ValueError("invalid settings or figures")
    return Probe(classes, Head(weights, bias), model, fingerprint, settings, figures)
