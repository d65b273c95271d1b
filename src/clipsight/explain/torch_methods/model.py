"""A CLIP checkpoint in PyTorch as an `explain.base.Model`, with its tokens, attention and gradients."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clipsight.core.arrays import Float32
from clipsight.core.errors import CheckpointError, ModelError
from clipsight.core.extras import require
from clipsight.explain.base import Model, Pixels, Settings, WordExplanation, WordShare
from clipsight.explain.text_segments import Word
from clipsight.models.clip_bpe import clip_tokenizer
from clipsight.models.preprocess import PreprocessConfig, normalise, resize_and_crop

if TYPE_CHECKING:
    from PIL.Image import Image
    from tokenizers import Tokenizer
    from torch import Tensor

    from clipsight.clip.model import CLIP
    from clipsight.explain.torch_methods.trace import Trace

_IMAGE_BATCH = 16
_TEXT_BATCH = 64


def open_checkpoint(source: str | Path) -> "TorchModel":
    """Load a weights file, the folder of a repository or training run, or a published model by name.

    For names see `clip.pretrained`. Raises ModelError if PyTorch is not installed, and CheckpointError for
    weights that can't be used.
    """
    require("train", "clipsight.clip.model", purpose="a checkpoint needs", error=ModelError)
    from clipsight.clip.factory import create
    from clipsight.clip.pretrained import find_weights, locate, read_preprocess
    from clipsight.clip.tokens import VOCAB_SIZE

    weights = find_weights(locate(source))
    clip = create(pretrained=weights)
    size = clip.architecture.text_cfg.vocab_size
    if size != VOCAB_SIZE:
        raise CheckpointError(
            f"{weights} has a vocabulary of {size:,} tokens, not CLIP's {VOCAB_SIZE:,}; use another"
        )
    preprocessing = read_preprocess(weights, clip.architecture.vision_cfg.image_size)
    return TorchModel(str(source), clip.requires_grad_(False), preprocessing)


@dataclass(frozen=True)
class TorchModel:
    """`clip` in evaluation mode on the CPU, with no parameter that requires a gradient."""

    name: str
    clip: "CLIP"
    preprocessing: PreprocessConfig

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return self.clip.architecture.embed_dim

    @property
    def context_length(self) -> int:
        """Maximum number of tokens of a text."""
        return self.clip.architecture.text_cfg.context_length

    @property
    def logit_scale(self) -> float:
        """The factor of cosines before a softmax."""
        return self.clip.logit_scale.exp().item()

    def preprocess(self, image: "Image") -> Pixels:
        """Resize and crop an RGB photo: uint8[H, W, 3]."""
        return resize_and_crop(image, self.preprocessing)

    def encode_pixels(self, pixels: Sequence[Pixels]) -> NDArray[np.float32]:
        """Embed preprocessed photos: float32[n, dim], unit length."""
        inputs = (self.image_input(pixels[batch]) for batch in _batches(len(pixels), _IMAGE_BATCH))
        return self._encode(inputs, self.clip.encode_image)

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed texts: float32[n, dim], unit length."""
        inputs = (self._ids(texts[batch]) for batch in _batches(len(texts), _TEXT_BATCH))
        return self._encode(inputs, self.clip.encode_text)

    def truncated(self, texts: Sequence[str]) -> tuple[bool, ...]:
        """True for each text that exceeds the context length."""
        return tuple(self.tokens(text).truncated for text in texts)

    def tokens(self, text: str) -> "Tokens":
        """The tokens of one text."""
        return tokenise(text, self.context_length)

    def text_attentions(self, text: str) -> list[NDArray[np.float32]]:
        """Attention of each layer of the text tower, in order: float32[heads, query, key]."""
        import torch

        attentions: list[Tensor] = []
        with torch.inference_mode():
            self.clip.encode_text(self._ids([text]), attentions)
        return [weights[0].numpy() for weights in attentions]

    def trace_text(self, text: str, photo: Float32) -> "Trace":
        """Attention and gradients of the text tower for the cosine of `text` with the embedding `photo`."""
        from clipsight.explain.torch_methods.trace import trace_text

        return trace_text(self.clip, self._ids([text]), photo)

    def trace_photo(self, pixels: Pixels, query: Float32) -> "Trace":
        """Attention and gradients of the image tower for the cosine of `pixels` with the vector `query`."""
        from clipsight.explain.torch_methods.trace import trace_photo

        return trace_photo(self.clip, self.image_input([pixels]), query)

    def trace_features(self, pixels: Pixels, query: Float32) -> "Trace":
        """As `trace_photo`, with respect to the last features of a ResNet."""
        from clipsight.explain.torch_methods.trace import trace_features

        return trace_features(self.clip, self.image_input([pixels]), query)

    def image_input(self, pixels: Sequence[Pixels]) -> "Tensor":
        """Normalise preprocessed photos: float32[n, 3, H, W]."""
        import torch

        return torch.from_numpy(normalise(np.stack(pixels), self.preprocessing))

    def _ids(self, texts: Sequence[str]) -> "Tensor":
        import torch

        tokens = [self.tokens(text).ids for text in texts]
        ids = torch.zeros(len(tokens), max(map(len, tokens)), dtype=torch.int64)  # padded with 0
        for row, each in zip(ids, tokens, strict=True):
            row[: len(each)] = torch.tensor(each)
        return ids

    def _encode(
        self, inputs: "Iterator[Tensor]", encode: "Callable[[Tensor], Tensor]"
    ) -> NDArray[np.float32]:
        import torch

        with torch.inference_mode():
            parts = [encode(each).numpy() for each in inputs]
        return np.concatenate([np.empty((0, self.clip.architecture.embed_dim), np.float32), *parts])


def _batches(count: int, size: int) -> Iterator[slice]:
    return (slice(start, start + size) for start in range(0, count, size))


class CheckpointMethod:
    """Base class of the methods that need the attention or gradients of a checkpoint."""

    def __init__(self, model: Model, settings: Settings) -> None:
        assert isinstance(model, TorchModel), self.unsupported(model)
        self._model = model

    @staticmethod
    def unsupported(model: Model) -> str | None:
        """The reason why the method can't explain `model`; None for a checkpoint."""
        if isinstance(model, TorchModel):
            return None
        return "which is no PyTorch checkpoint (`model` with weights or a published CLIP's name is one)"


def word_explanation(method: str, shares: Sequence[float], words: Sequence[Word]) -> WordExplanation:
    """Combine words with their relative contributions, without standard errors."""
    pairs = zip(words, shares, strict=True)
    return WordExplanation(method, tuple(WordShare(word.text, share) for word, share in pairs))


# -- tokens -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Tokens:
    """The token ids of a text, with start and end tokens, and the spans of the others in the text."""

    ids: tuple[int, ...]
    spans: tuple[tuple[int, int], ...]
    """Start and end of each token but the first and the last: two fewer than `ids`."""
    truncated: bool

    def merge(self, values: NDArray[np.floating[Any]], words: Sequence[Word]) -> list[float]:
        """Sum the values of the tokens, float[tokens] with start and end tokens, over each word.

        The value of a token that spans several words (as in scripts without spaces) is divided among them in
        proportion to their characters.
        """
        inner = values[1:-1].tolist()
        return [
            float(sum(value * _overlap(span, word) for value, span in zip(inner, self.spans, strict=True)))
            for word in words
        ]


def tokenise(text: str, context_length: int) -> Tokens:
    """CLIP's tokens of `text`, truncated to `context_length` including the end token."""
    encoding = _tokenizer().encode(text)
    end = encoding.ids[-1]
    ids = (*encoding.ids[:-1][: context_length - 1], end)
    return Tokens(ids, tuple(encoding.offsets[1 : len(ids) - 1]), len(encoding.ids) > context_length)


def _overlap(span: tuple[int, int], word: Word) -> float:
    """The fraction of the token's characters that are in the word."""
    start, end = span
    common = min(end, word.end) - max(start, word.start)
    return max(common, 0) / max(end - start, 1)


@cache
def _tokenizer() -> "Tokenizer":
    return clip_tokenizer()
