"""What every kind of training data is: numbered photos with captions. Called by `sources` and `data`."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import xxhash

Indices = npt.NDArray[np.int64]


class Source(ABC):
    """Photos, each with one caption or more."""

    uncaptioned: tuple[str, ...]
    """What was left out because it has no caption, or a caption without a photo."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def name(self, index: int) -> str:
        """What messages call the photo."""

    @abstractmethod
    def photo(self, index: int) -> Path | bytes:
        """The photo's file or its content. Raises PhotoError."""

    @abstractmethod
    def captions(self, index: int) -> tuple[str, ...]:
        """Its captions, at least one. Raises PhotoError."""

    @abstractmethod
    def order(self, rng: np.random.Generator) -> Indices:
        """All photos in an order drawn at random, in which reading them is fast."""

    @abstractmethod
    def digest(self) -> str:
        """Another one for other photos or captions."""


def caption_lines(content: bytes) -> tuple[str, ...]:
    """One caption a line; what is not UTF-8 becomes U+FFFD."""
    lines = content.decode("utf-8-sig", errors="replace").splitlines()
    return tuple(line.strip() for line in lines if line.strip())


def digest(parts: Iterable[str]) -> str:
    """16 hexadecimal digits."""
    state = xxhash.xxh3_64()
    for part in parts:
        state.update(part.encode("utf-8", "surrogatepass") + b"\n")
    return state.hexdigest()
