"""The parts of a joint query, embedded by any model that can be explained, not only an Encoder."""

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from clipsight.explain.base import Model
from clipsight.search.query import Query, Vectors, embed


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
