"""Metrics of the model card on NumPy arrays."""

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
    """Top-1 accuracy in per cent; logits float32[rows,options]."""
    return round(100 * float((logits.argmax(1) == np.asarray(right)).mean()), 1)


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Row-wise softmax."""
    shifted = np.exp(logits.astype(np.float64) - logits.max(1, keepdims=True))
    return shifted / shifted.sum(1, keepdims=True)


def calibration_error(probabilities: NDArray[np.float64], right: Sequence[int], bins: int = 15) -> float:
    """Expected calibration error in per cent, with equal-width bins (Guo et al. 2017)."""
    guess, sure = probabilities.argmax(1), probabilities.max(1)
    hit = guess == np.asarray(right)
    which = np.minimum((sure * bins).astype(int), bins - 1)
    gaps = [abs(hit[which == b].mean() - sure[which == b].mean()) * (which == b).mean() for b in set(which)]
    return round(100 * float(sum(gaps)), 1)


Question = tuple[Vectors, list[int]]
"""Cosines float[rows,options] and the correct option of each row."""


def calibrated_scale(questions: Sequence[Question]) -> float:
    """Logit scale with the smallest mean negative log likelihood; all questions have equal weight."""
    scales = np.geomspace(2, 200, 200)

    def loss(scale: float) -> float:
        losses = []
        for cosines, right in questions:
            chances = softmax(scale * cosines)[np.arange(len(right)), right]
            losses.append(-np.log(np.maximum(chances, 1e-12)).mean())
        return float(np.mean(losses))

    return float(min(scales, key=loss))


def principal_axes(vectors: Vectors, count: int) -> Vectors:
    """First `count` principal axes about the origin, float[count,dim]."""
    _, axes = np.linalg.eigh(vectors.T @ vectors)
    return np.ascontiguousarray(axes[:, ::-1][:, :count].T)


def shorten(vectors: Vectors, axes: Vectors) -> Vectors:
    """Project onto `axes` and normalise: float[n,dim] -> unit float[n,count]."""
    short = vectors @ axes.T
    return short / np.linalg.norm(short, axis=1, keepdims=True)


def average_precision(scores: NDArray[np.float32], relevant: NDArray[np.bool_]) -> float:
    """Mean precision at the ranks of the relevant items, 0..1; equal scores keep their order."""
    hits = relevant[np.argsort(-scores, kind="stable")]
    ranks = np.flatnonzero(hits) + 1
    return float((np.arange(1, len(ranks) + 1) / ranks).mean())


def found_within(scores: Vectors, relevant: NDArray[np.bool_], k: int) -> float:
    """Per cent of the queries with a relevant item among the first k; both arguments [queries,items]."""
    first = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return round(100 * float(np.take_along_axis(relevant, first, axis=1).any(axis=1).mean()), 1)
