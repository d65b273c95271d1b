"""Words and places by gradient x input of the score (Shrikumar et al. 2016, arXiv:1605.01713).

The first term of the score's Taylor series: what it would lose if a word's embedding, or the pixels of a
place as the model sees them (normalised, so that 0 is the mean colour), were zero and all were linear.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from clipsight.explain.base import (
    Model,
    Pixels,
    RegionExplanation,
    Settings,
    Vector,
    WordExplanation,
    WordShare,
)
from clipsight.explain.text_segments import Word
from clipsight.explain.torch_methods.model import TorchModel, checkpoint_obstacle

# Side in pixels of the places that a ResNet's pixels are summed over; of a ViT's they are its patches.
_RESNET_CELL = 16


class GradientWords:
    """Gradient x input of each word's token embeddings."""

    def __init__(self, model: Model, settings: Settings) -> None:
        assert isinstance(model, TorchModel)
        self._model = model

    obstacle = staticmethod(checkpoint_obstacle)

    def explain_words(self, text: str, words: Sequence[Word], pixels: Pixels) -> WordExplanation:
        """Signed; of the score's size, but they need not add up to it."""
        trace = self._model.trace_text(text, self._model.encode_pixels([pixels])[0])
        products = (trace.inputs * trace.input_gradients).sum(axis=-1)
        shares = self._model.tokens(text).merge(products, words)
        return WordExplanation(
            "gradient",
            tuple(WordShare(word.text, share) for word, share in zip(words, shares, strict=True)),
        )


class GradientRegions:
    """Gradient x input of the pixels, summed over each patch of a ViT, or over cells of a ResNet's photo."""

    def __init__(self, model: Model, settings: Settings) -> None:
        assert isinstance(model, TorchModel)
        self._model = model

    obstacle = staticmethod(checkpoint_obstacle)

    def explain_region(self, query: Vector, pixels: Pixels) -> RegionExplanation:
        """Signed heat, a value a patch or cell."""
        trace = self._model.trace_photo(pixels, query)
        cell = self._model.clip.architecture.vision_cfg.patch_size or _RESNET_CELL
        return RegionExplanation("gradient", _sums((trace.inputs * trace.input_gradients).sum(axis=0), cell))


def _sums(values: NDArray[np.float32], cell: int) -> NDArray[np.float32]:
    """float32[H, W] -> its sums over cells; what is left at the right and below is no patch of a ViT."""
    rows, columns = (side // cell for side in values.shape)
    whole = values[: rows * cell, : columns * cell]
    sums: NDArray[np.float32] = whole.reshape(rows, cell, columns, cell).sum(axis=(1, 3))
    return sums
