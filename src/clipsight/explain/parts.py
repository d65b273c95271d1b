"""The parts of a joint query: what each adds to the score, exactly.

A joint query's vector is a weighted sum of its parts' vectors, so its cosine with a photo is the same sum of
theirs; `coefficients` are the weights as `query.combine` has them in the end.
"""

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from clipsight.errors import QueryError
from clipsight.explain.protocol import Model
from clipsight.query import Query, Vectors, embed


def coefficients(
    query: Query, vectors: Vectors, sample: npt.NDArray[np.floating[Any]] | None
) -> npt.NDArray[np.float64]:
    """float64[parts]: `coefficients @ vectors` is the unit vector of `combine(query, vectors, sample)`.

    Raises `QueryError` where the parts cancel out.
    """
    weights = np.array([part.weight for part in query.parts], dtype=np.float64)
    weights /= np.abs(weights).max() or 1.0
    if sample is not None and len(sample) > 1:
        deviations = (sample.astype(np.float64) @ vectors.T.astype(np.float64)).std(axis=0)
        if (deviations > 1e-9).all():
            weights /= deviations
    length = float(np.linalg.norm(weights @ vectors.astype(np.float64)))
    if length <= 1e-6 * float(np.abs(weights).sum()):
        raise QueryError(f"the parts of {str(query)!r} cancel each other out: change a weight")
    return weights / length


def embed_parts(query: Query, model: Model) -> Vectors:
    """The unit vectors of the query's parts, in their order: float32[parts, dim].

    Raises `QueryError` for a picture that can't be fetched or read.
    """
    return embed(query, cast("Any", _Embedder(model)))


class _Embedder:
    """What `query.embed` asks of an Encoder, by any model."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self.encode_texts = model.encode_texts

    @property
    def input_size(self) -> tuple[int, int]:
        return self._model.preprocessing.size

    def encode_images(self, images: Sequence[Any]) -> npt.NDArray[np.float32]:
        return self._model.encode_pixels([self._model.preprocess(image) for image in images])
