"""Words and places by relevance propagated through attention (Chefer, Gur & Wolf 2021, arXiv:2103.15679).

Self-attention's rules of section 3: R starts as the identity and, layer by layer, becomes R + A R, where A
is the attention times the score's gradient with respect to it, without its negative part, averaged over
heads (equations 5 and 6). The row of the token that is embedded (a text's end, a photo's class token) says
what each word or patch contributed. The score is the logit, the cosine times the model's scale, as in the
authors' CLIP example (https://github.com/hila-chefer/Transformer-MM-Explainability): a scale changes the
balance of short and long ways through the layers.
"""

from collections.abc import Sequence

import numpy as np

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
from clipsight.explain.torch_methods.trace import Floats, Trace


class RelevanceWords:
    """Relevance of each word to the end of the text."""

    def __init__(self, model: Model, settings: Settings) -> None:
        assert isinstance(model, TorchModel)
        self._model = model

    obstacle = staticmethod(checkpoint_obstacle)

    def explain_words(self, text: str, words: Sequence[Word], pixels: Pixels) -> WordExplanation:
        """Never negative: it says how much, not in which direction."""
        trace = self._model.trace_text(text, self._model.encode_pixels([pixels])[0])
        shares = self._model.tokens(text).merge(propagate(trace, self._model.logit_scale)[-1], words)
        return WordExplanation(
            "relevance",
            tuple(WordShare(word.text, share) for word, share in zip(words, shares, strict=True)),
        )


class RelevanceRegions:
    """Relevance of each patch of a Vision Transformer to its class token."""

    def __init__(self, model: Model, settings: Settings) -> None:
        assert isinstance(model, TorchModel)
        self._model = model

    @staticmethod
    def obstacle(model: Model) -> str | None:
        if not isinstance(model, TorchModel):
            return checkpoint_obstacle(model)
        if model.clip.architecture.vision_cfg.patch_size is None:
            return "whose image tower is a ResNet"
        return None

    def explain_region(self, query: Vector, pixels: Pixels) -> RegionExplanation:
        """Heat of at least 0, a value a patch."""
        relevance = propagate(self._model.trace_photo(pixels, query), self._model.logit_scale)
        grid = self._model.clip.architecture.vision_cfg.grid
        return RegionExplanation("relevance", relevance[0, 1:].reshape(grid, grid))


def propagate(trace: Trace, logit_scale: float) -> Floats:
    """The relevance of every token (columns) to every other (rows): float32[tokens, tokens]."""
    relevance = np.eye(trace.attentions[0].shape[-1], dtype=np.float32)
    for attention, gradient in zip(trace.attentions, trace.attention_gradients, strict=True):
        kept = np.maximum(attention * gradient * np.float32(logit_scale), 0).mean(axis=0)
        relevance = relevance + kept @ relevance
    return relevance
