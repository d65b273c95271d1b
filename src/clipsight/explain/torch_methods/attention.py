"""Words and regions from attention.

`AttentionWords` shows what https://github.com/haofanwang/natural-language-joint-query-search shows: the last
layer's attention of the end token to each word, averaged over heads. It is a view of the text tower, the same
for every photo, and not an explanation (Jain & Wallace 2019, arXiv:1902.10186).

The relevance methods propagate relevance through all layers (Chefer, Gur & Wolf 2021, arXiv:2103.15679,
section 3, for self-attention): R starts as the identity and becomes R + A R in each layer. A is the attention
times the gradient of the score with respect to it, with negative values set to 0, averaged over heads
(equations 5 and 6). The row of the embedded token (end of text, or class token) is the result. The score is
the logit, the cosine times the logit scale, as in the authors' CLIP example
(https://github.com/hila-chefer/Transformer-MM-Explainability).
"""

from collections.abc import Sequence

import numpy as np

from clipsight.core.arrays import Float32
from clipsight.explain.base import Model, Pixels, RegionExplanation, WordExplanation
from clipsight.explain.text_segments import Word
from clipsight.explain.torch_methods.model import CheckpointMethod, TorchModel, word_explanation
from clipsight.explain.torch_methods.trace import Trace


class AttentionWords(CheckpointMethod):
    """The last layer's attention to each word, 0 to 1; the rest goes to the start and end tokens."""

    def explain_words(self, text: str, words: Sequence[Word], pixels: Pixels) -> WordExplanation:
        """The attention to each word, which does not depend on the photo."""
        weights = self._model.text_attentions(text)[-1].mean(axis=0)[-1]
        return word_explanation("attention", self._model.tokens(text).merge(weights, words), words)


class RelevanceWords(CheckpointMethod):
    """Relevance of each word to the end token."""

    def explain_words(self, text: str, words: Sequence[Word], pixels: Pixels) -> WordExplanation:
        """Relevance of at least 0, without the sign of a word's effect on the score."""
        trace = self._model.trace_text(text, self._model.encode_pixels([pixels])[0])
        relevance = propagate(trace, self._model.logit_scale)[-1]
        return word_explanation("relevance", self._model.tokens(text).merge(relevance, words), words)


class RelevanceRegions(CheckpointMethod):
    """Relevance of each patch of a Vision Transformer to its class token."""

    @staticmethod
    def unsupported(model: Model) -> str | None:
        """The reason why the method can't explain `model`; None for a checkpoint with a ViT."""
        if isinstance(model, TorchModel) and model.clip.architecture.vision_cfg.patch_size is None:
            return "whose image tower is a ResNet"
        return CheckpointMethod.unsupported(model)

    def explain_region(self, query: Float32, pixels: Pixels) -> RegionExplanation:
        """Heat map of values of at least 0, one per patch."""
        relevance = propagate(self._model.trace_photo(pixels, query), self._model.logit_scale)
        grid = self._model.clip.architecture.vision_cfg.grid
        return RegionExplanation("relevance", relevance[0, 1:].reshape(grid, grid))


def propagate(trace: Trace, logit_scale: float) -> Float32:
    """Relevance of every token (columns) to every other (rows): float32[tokens, tokens]."""
    relevance = np.eye(trace.attentions[0].shape[-1], dtype=np.float32)
    for attention, gradient in zip(trace.attentions, trace.attention_gradients, strict=True):
        kept = np.maximum(attention * gradient * np.float32(logit_scale), 0).mean(axis=0)
        relevance = relevance + kept @ relevance
    return relevance
