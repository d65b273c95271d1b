"""A model folder as an `explain.base.Model` that embeds photos on all cores."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from clipsight.explain.base import Pixels
from clipsight.models.preprocess import PreprocessConfig

if TYPE_CHECKING:
    from PIL.Image import Image

    from clipsight.models.encoder import Encoder


class OnnxModel:
    """An `Encoder` as an `explain.base.Model`."""

    def __init__(self, encoder: "Encoder") -> None:
        self.encoder = encoder

    @property
    def name(self) -> str:
        """Name of the model in messages."""
        return self.encoder.name

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return self.encoder.dim

    @property
    def preprocessing(self) -> PreprocessConfig:
        """Size, resizing and normalisation of the input."""
        return self.encoder.folder.preprocess

    @property
    def context_length(self) -> int:
        """Maximum number of tokens of a text."""
        return self.encoder.folder.context_length

    def preprocess(self, image: "Image") -> Pixels:
        """Resize and crop an RGB photo: uint8[H, W, 3]."""
        return self.encoder.preprocess(image)

    def encode_pixels(self, pixels: Sequence[Pixels]) -> NDArray[np.float32]:
        """Embed preprocessed photos on all cores: float32[n, dim], unit length."""
        workers = self.encoder.workers
        shares = [pixels[start::workers] for start in range(workers)]
        with ThreadPoolExecutor(workers) as pool:
            parts = list(pool.map(self.encoder.encode_pixels, shares))
        order = np.argsort(list(chain.from_iterable(range(n, len(pixels), workers) for n in range(workers))))
        vectors: NDArray[np.float32] = np.concatenate(parts)[order]
        return vectors

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed texts: float32[n, dim], unit length."""
        return self.encoder.encode_texts(texts)

    def truncated(self, texts: Sequence[str]) -> tuple[bool, ...]:
        """True for each text that exceeds the context length."""
        return self.encoder.truncated(texts)
