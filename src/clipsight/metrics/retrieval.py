"""Recall@k of photos by captions and of captions by photos, where a photo may have several captions.

The protocol is that of CLIP_benchmark (`zeroshot_retrieval`) and of Karpathy & Fei-Fei 2015: a caption looks
for its one photo; a photo is found out by any of its captions.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]

_BLOCK = 1 << 24
"""Cosines that are held at once: 64 MB."""


@dataclass(frozen=True)
class Recall:
    """How well one side finds the other. Shares are from 0 to 1."""

    at1: float
    at5: float
    at10: float
    median_rank: float
    """1 is the best."""

    @classmethod
    def of(cls, ranks: npt.NDArray[np.int64]) -> "Recall":
        """From ranks int64[n], 0 for the first place."""
        at1, at5, at10 = (float((ranks < k).mean()) for k in (1, 5, 10))
        return cls(at1, at5, at10, float(np.median(ranks)) + 1)

    def to_dict(self) -> dict[str, float]:
        """The figures as `--json` prints them."""
        return {
            "recall@1": round(self.at1, 6),
            "recall@5": round(self.at5, 6),
            "recall@10": round(self.at10, 6),
            "median_rank": self.median_rank,
        }


def recall(images: Vectors, texts: Vectors, owner: Sequence[int]) -> tuple[Recall, Recall]:
    """Text to image and image to text, for unit vectors float[n, dim] and float[m, dim].

    Caption j belongs to photo `owner[j]`; every photo has at least one. Ties count for the right one.
    Memory is bounded: the cosines are made in blocks.
    """
    own = np.asarray(owner, dtype=np.int64)
    if set(own.tolist()) != set(range(len(images))):
        raise ValueError("every caption needs a photo, and every photo a caption")
    return Recall.of(_text_ranks(images, texts, own)), Recall.of(_image_ranks(images, texts, own))


def _text_ranks(images: Vectors, texts: Vectors, own: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """How many photos lie nearer to each caption than its own: int64[m]."""
    ranks = []
    for block in _blocks(len(texts), len(images)):
        cosines = texts[block] @ images.T
        right = cosines[np.arange(len(cosines)), own[block]]
        ranks.append((cosines > right[:, None]).sum(1))
    return np.concatenate(ranks)


def _image_ranks(images: Vectors, texts: Vectors, own: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """How many captions lie nearer to each photo than the best of its own: int64[n]."""
    order = np.argsort(own, kind="stable")  # the captions of a block of photos are neighbours then
    firsts = np.searchsorted(own[order], np.arange(len(images) + 1))
    ranks = []
    for block in _blocks(len(images), len(texts)):
        cosines = images[block] @ texts.T
        mine = order[firsts[block.start] : firsts[block.stop]]
        best = np.full(len(cosines), -np.inf, dtype=cosines.dtype)
        np.maximum.at(best, own[mine] - block.start, cosines[own[mine] - block.start, mine])
        ranks.append((cosines > best[:, None]).sum(1))
    return np.concatenate(ranks)


def _blocks(rows: int, columns: int) -> list[slice]:
    step = max(1, _BLOCK // columns)
    return [slice(start, min(start + step, rows)) for start in range(0, rows, step)]
