"""Words and regions by gradient x input of the score (Shrikumar et al. 2016, arXiv:1605.01713).

This is the first-order Taylor term: the decrease of the linearised score if a word's token embeddings, or the
normalised pixels of a region (0 is the mean colour), were zero.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from clipsight.core.arrays import Float32
from clipsight.explain.base import Pixels, RegionExplanation, WordExplanation
from clipsight.explain.text_segments import Word
from clipsight.explain.torch_methods.model import CheckpointMethod, word_explanation

# Side in pixels of the cells over which a ResNet's pixels are summed; a ViT's cells are its patches.
_RESNET_CELL = 16


class GradientWords(CheckpointMethod):
    """Gradient x input of each word's token embeddings."""

    def explain_words(self, text: str, words: Sequence[Word], pixels: Pixels) -> WordExplanation:
        """Signed contributions in the order of magnitude of the score, which need not add up to it."""
        trace = self._model.trace_text(text, self._model.encode_pixels([pixels])[0])
        products = (trace.inputs * trace.input_gradients).sum(axis=-1)
        return word_explanation("gradient", self._model.tokens(text).merge(products, words), words)


class GradientRegions(CheckpointMethod):
    """Gradient x input of the pixels, summed over the patches of a ViT, or over cells for a ResNet."""

    def explain_region(self, query: Float32, pixels: Pixels) -> RegionExplanation:
        """Heat map of signed values, one per patch or cell."""
        trace = self._model.trace_photo(pixels, query)
        cell = self._model.clip.architecture.vision_cfg.patch_size or _RESNET_CELL
        products = (trace.inputs * trace.input_gradients).sum(axis=0)
        return RegionExplanation("gradient", _sum_cells(products, cell))


def _sum_cells(values: NDArray[np.float32], cell: int) -> NDArray[np.float32]:
    """Sum float32[H, W] over square cells; the rest at the right and bottom, in no ViT patch, is left out."""
    rows, columns = (side // cell for side in values.shape)
    whole = values[: rows * cell, : columns * cell]
    sums: NDArray[np.float32] = whole.reshape(rows, cell, columns, cell).sum(axis=(1, 3))
    return sums
