"""Retrieval metrics of photos with captions: recall@k and median rank, in both directions.

The protocol is that of CLIP_benchmark (`zeroshot_retrieval`) and of Karpathy & Fei-Fei 2015: a caption
belongs to one photo; a photo may have several captions, and finding any of them counts.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Embeddings = npt.NDArray[np.float32]
Ranks = npt.NDArray[np.int64]

_MAX_COSINES = 1 << 24
"""Cosines in memory at once: 64 MB."""


@dataclass(frozen=True)
class RetrievalMetrics:
    """Metrics of one direction; recalls are shares from 0 to 1."""

    recall_at_1: float
    recall_at_5: float
    recall_at_10: float
    median_rank: float
    """Median rank of the first match, counted from 1."""

    @classmethod
    def from_ranks(cls, ranks: Ranks) -> "RetrievalMetrics":
        """Compute the metrics from the rank of each query's match, int64[n], counted from 0."""
        return cls(
            recall_at_1=recall_at_k(ranks, 1),
            recall_at_5=recall_at_k(ranks, 5),
            recall_at_10=recall_at_k(ranks, 10),
            median_rank=float(np.median(ranks)) + 1,
        )

    def to_dict(self) -> dict[str, float]:
        """Return the metrics as `--json` prints them."""
        return {
            "recall@1": round(self.recall_at_1, 6),
            "recall@5": round(self.recall_at_5, 6),
            "recall@10": round(self.recall_at_10, 6),
            "median_rank": self.median_rank,
        }


def recall_at_k(ranks: Ranks, k: int) -> float:
    """Share of ranks int64[n], counted from 0, that are among the first `k`."""
    return float((ranks < k).mean())


def retrieval_metrics(
    images: Embeddings, texts: Embeddings, image_of_text: Sequence[int]
) -> tuple[RetrievalMetrics, RetrievalMetrics]:
    """Text-to-image and image-to-text metrics of unit vectors float[n, dim] and float[m, dim].

    Caption j belongs to photo `image_of_text[j]`. A match that ties with others has the best of their ranks.
    Cosines are computed in blocks, so that memory is bounded. Raises ValueError unless every caption has a
    photo and every photo a caption.
    """
    owner = np.asarray(image_of_text, dtype=np.int64)
    if set(owner.tolist()) != set(range(len(images))):
        raise ValueError("every caption needs a photo, and every photo a caption")
    return (
        RetrievalMetrics.from_ranks(_text_to_image_ranks(images, texts, owner)),
        RetrievalMetrics.from_ranks(_image_to_text_ranks(images, texts, owner)),
    )


def _text_to_image_ranks(images: Embeddings, texts: Embeddings, owner: Ranks) -> Ranks:
    """int64[m]: number of photos nearer to each caption than its own photo."""
    ranks = []
    for block in _blocks(len(texts), len(images)):
        cosines = texts[block] @ images.T
        own = cosines[np.arange(len(cosines)), owner[block]]
        ranks.append((cosines > own[:, None]).sum(1))
    return np.concatenate(ranks)


def _image_to_text_ranks(images: Embeddings, texts: Embeddings, owner: Ranks) -> Ranks:
    """int64[n]: number of captions nearer to each photo than the nearest of its own captions."""
    order = np.argsort(owner, kind="stable")  # puts the captions of a block of photos side by side
    firsts = np.searchsorted(owner[order], np.arange(len(images) + 1))
    ranks = []
    for block in _blocks(len(images), len(texts)):
        cosines = images[block] @ texts.T
        own = order[firsts[block.start] : firsts[block.stop]]
        rows = owner[own] - block.start
        best = np.full(len(cosines), -np.inf, dtype=cosines.dtype)
        np.maximum.at(best, rows, cosines[rows, own])
        ranks.append((cosines > best[:, None]).sum(1))
    return np.concatenate(ranks)


def _blocks(rows: int, columns: int) -> list[slice]:
    step = max(1, _MAX_COSINES // columns)
    return [slice(start, min(start + step, rows)) for start in range(0, rows, step)]
