"""Token vectors of texts after the frozen layers of the multilingual tower, kept in a file."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .student import Student

Tokens = Sequence[int]

_TOKENS = 3000
"""Tokens of a batch, at most, unless one text has more."""
_LONGER = 1.35
"""How much longer than the shortest text of a batch the others may be: padding costs as much as tokens."""
_CHUNK = 8192


class TokenStates:
    """Token vectors of all texts, float16[tokens,width], in a file that an interrupted run completes."""

    def __init__(self, rows: Sequence[Tokens], width: int, folder: Path):
        self.rows = rows
        self.lengths = np.array([len(row) for row in rows])
        self.ends = np.cumsum(self.lengths)
        digest = hashlib.sha256(repr([list(row) for row in rows]).encode()).hexdigest()[:16]
        path = folder / f"states-{digest}.npy"
        shape = (int(self.ends[-1]), width)
        open_array = np.lib.format.open_memmap
        self.vectors: NDArray[np.float16] = (
            open_array(path, "r+") if path.is_file() else open_array(path, "w+", np.float16, shape)
        )

    def fill(self, student: Student, log: Callable[[str], None]) -> None:
        """Compute what is missing."""
        missing = np.flatnonzero(~self.vectors[self.ends - 1].any(1))
        for start in range(0, len(missing), _CHUNK):
            part = missing[start : start + _CHUNK]
            for batch in batches(self.lengths[part]):
                texts = part[batch]
                x = student.lower(pad([self.rows[i] for i in texts], student.tower.shape.pad_id))
                for i, vectors in zip(texts, x.half().numpy(), strict=True):
                    self.vectors[self.ends[i] - self.lengths[i] : self.ends[i]] = vectors[: self.lengths[i]]
            self.vectors.flush()
            log(f"frozen layers: {start + len(part)} of {len(missing)} texts")

    def embed(self, student: Student, texts: NDArray[np.int64], *, pooled: bool = False) -> Tensor:
        """Unit embeddings of texts by their numbers, float[texts,width], or what the head starts from."""
        parts, order = [], []
        for batch in batches(self.lengths[texts]):
            x, real = self._padded(texts[batch])
            means = student.pooled(x, real)
            parts.append(means if pooled else student.head(means))
            order.append(batch)
        back = np.argsort(np.concatenate(order))
        return torch.cat(parts)[torch.from_numpy(back)]

    def _padded(self, texts: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        lengths = self.lengths[texts]
        x = np.zeros((len(texts), lengths.max(), self.vectors.shape[1]), np.float32)
        real = np.zeros(x.shape[:2], np.float32)
        for k, (end, length) in enumerate(zip(self.ends[texts], lengths, strict=True)):
            x[k, :length] = self.vectors[end - length : end]
            real[k, :length] = 1
        return torch.from_numpy(x), torch.from_numpy(real)


def batches(lengths: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Numbers of texts of similar length, until all are given."""
    order = np.argsort(lengths, kind="stable")
    start = 0
    while start < len(order):
        shortest = lengths[order[start]]
        longest = max(shortest * _LONGER, shortest + 1)
        end = start + 1
        while end < len(order) and lengths[order[end]] <= min(longest, _TOKENS / (end - start + 1)):
            end += 1
        yield order[start:end]
        start = end


def pad(rows: Sequence[Tokens], pad_id: int) -> Tensor:
    """Token lists -> int64[n,longest], padded on the right."""
    ids = torch.full((len(rows), max(map(len, rows))), pad_id, dtype=torch.long)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = torch.tensor(row)
    return ids


@torch.no_grad()
def encode(student: Student, rows: Sequence[Tokens]) -> Tensor:
    """Token lists -> unit float[n,width], without a file."""
    parts, order = [], []
    for batch in batches(np.array([len(row) for row in rows])):
        parts.append(student(pad([rows[i] for i in batch], student.tower.shape.pad_id)))
        order.append(batch)
    return torch.cat(parts)[torch.from_numpy(np.argsort(np.concatenate(order)))]
