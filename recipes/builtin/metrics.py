"""The measures of the model card, on plain arrays: no model and no PyTorch here."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from clipsight.metrics.retrieval import retrieval_metrics

Vectors = NDArray[np.float32]


def percent_recall(images: Vectors, texts: Vectors, owner: Sequence[int]) -> dict[str, list[float]]:
    """Recall at 1, 5 and 10 in per cent, both ways; arguments as in `clipsight.metrics.retrieval`."""
    return {
        direction: [
            round(100 * share, 1) for share in (found.recall_at_1, found.recall_at_5, found.recall_at_10)
        ]
        for direction, found in zip(
            ("text_to_image", "image_to_text"), retrieval_metrics(images, texts, owner), strict=True
        )
    }


def accuracy(logits: NDArray[np.float32], right: Sequence[int]) -> float:
    """Share of rows whose largest entry is the right one, in per cent."""
    return round(100 * float((logits.argmax(1) == np.asarray(right)).mean()), 1)


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Row-wise softmax."""
    shifted = np.exp(logits.astype(np.float64) - logits.max(1, keepdims=True))
    return shifted / shifted.sum(1, keepdims=True)


def calibration_error(probabilities: NDArray[np.float64], right: Sequence[int], bins: int = 15) -> float:
    """Expected calibration error of the first guess, in per cent (Guo et al. 2017): equal-width bins."""
    guess, sure = probabilities.argmax(1), probabilities.max(1)
    hit = guess == np.asarray(right)
    which = np.minimum((sure * bins).astype(int), bins - 1)
    gaps = [abs(hit[which == b].mean() - sure[which == b].mean()) * (which == b).mean() for b in set(which)]
    return round(100 * float(sum(gaps)), 1)


Question = tuple[Vectors, list[int]]
"""Cosines float[rows,options] and the right option of each row."""


def calibrated_scale(questions: Sequence[Question]) -> float:
    """The logit scale with the least mean negative log likelihood; every question weighs the same."""
    scales = np.geomspace(2, 200, 200)

    def surprise(scale: float) -> float:
        losses = []
        for cosines, right in questions:
            chances = softmax(scale * cosines)[np.arange(len(right)), right]
            losses.append(-np.log(np.maximum(chances, 1e-12)).mean())
        return float(np.mean(losses))

    return float(min(scales, key=surprise))


def principal_axes(vectors: Vectors, count: int) -> Vectors:
    """The directions of most variance about the origin, float[count,d], to shorten vectors with."""
    _, axes = np.linalg.eigh(vectors.T @ vectors)
    return np.ascontiguousarray(axes[:, ::-1][:, :count].T)


def shorten(vectors: Vectors, axes: Vectors) -> Vectors:
    """Project onto `axes` and make unit length again."""
    short = vectors @ axes.T
    return short / np.linalg.norm(short, axis=1, keepdims=True)
