"""Arrays that several tests compute."""

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Scalar = TypeVar("Scalar", bound=np.floating[Any])


def unit(vectors: NDArray[Scalar]) -> NDArray[Scalar]:
    """The vectors, float[..., dim], divided by their lengths."""
    divided: NDArray[Scalar] = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return divided


def random_unit(count: int, dim: int, seed: int = 0) -> NDArray[np.float32]:
    """Random unit vectors: float32[count, dim]."""
    return unit(np.random.default_rng(seed).standard_normal((count, dim)).astype(np.float32))
