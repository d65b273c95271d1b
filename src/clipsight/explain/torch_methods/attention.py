"""Words by attention: how much the end of the text, which is embedded, looks at each word in the last layer.

The view that https://github.com/haofanwang/natural-language-joint-query-search shows: averaged over heads,
start and end left out; here the pieces of a word are summed. It is a view of the text tower and the same for
every photo: attention is not an explanation (Jain & Wallace 2019, arXiv:1902.10186).
"""

from collections.abc import Sequence

from clipsight.explain.base import Model, Pixels, Settings, WordExplanation, WordShare
from clipsight.explain.text_segments import Word
from clipsight.explain.torch_methods.model import TorchModel, checkpoint_obstacle


class AttentionWords:
    """Shares of the last layer's attention, 0 to 1; what they lack to 1 is the start's and the end's."""

    def __init__(self, model: Model, settings: Settings) -> None:
        assert isinstance(model, TorchModel)
        self._model = model

    obstacle = staticmethod(checkpoint_obstacle)

    def explain_words(self, text: str, words: Sequence[Word], pixels: Pixels) -> WordExplanation:
        """The attention to each word, whatever the photo."""
        weights = self._model.text_attentions(text)[-1].mean(axis=0)[-1]
        shares = self._model.tokens(text).merge(weights, words)
        return WordExplanation(
            "attention",
            tuple(WordShare(word.text, share) for word, share in zip(words, shares, strict=True)),
        )
