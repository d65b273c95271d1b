"""A model folder as explanations need it: many changed photos and texts embedded, on all cores."""

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
    """An `Encoder` as a `protocol.Model`."""

    def __init__(self, encoder: "Encoder") -> None:
        self.encoder = encoder

    @property
    def name(self) -> str:
        return self.encoder.name

    @property
    def preprocessing(self) -> PreprocessConfig:
        return self.encoder.folder.preprocess

    @property
    def context_length(self) -> int:
        return self.encoder.folder.context_length

    def preprocess(self, image: "Image") -> Pixels:
        """What the model sees of an RGB photo: uint8[H, W, 3]."""
        return self.encoder.preprocess(image)

    def encode_pixels(self, pixels: Sequence[Pixels]) -> NDArray[np.float32]:
        """Embed what `preprocess` gave: float32[n, dim], unit length; on all cores."""
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
        """Which texts are longer than the context."""
        return self.encoder.truncated(texts)
