"""Inputs of CLIP's towers: normalised pixels and token ids."""

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from clipsight.models.clip_bpe import END, clip_tokenizer
from clipsight.models.preprocess import PreprocessConfig

if TYPE_CHECKING:
    from tokenizers import Tokenizer

VOCAB_SIZE = 49_408
"""Tokens in CLIP's byte-pair vocabulary."""


def normalise(pixels: Tensor, config: PreprocessConfig) -> Tensor:
    """Normalise pixels uint8[batch,height,width,3] -> float32[batch,3,height,width]."""
    mean, std = (pixels.new_tensor(each, dtype=torch.float32) for each in (config.mean, config.std))
    return ((pixels.float() / 255 - mean) / std).permute(0, 3, 1, 2).contiguous()


def tokenise(texts: Sequence[str], context_length: int) -> npt.NDArray[np.int64]:
    """CLIP's token ids, int64[texts,context_length], padded with 0 as by OpenAI.

    A text that is too long is truncated; the end-of-text token is kept.
    """
    ids = np.zeros((len(texts), context_length), np.int64)
    end = _tokenizer().token_to_id(END)
    assert end is not None
    for row, text in enumerate(texts):
        tokens = _tokenizer().encode(text).ids
        if len(tokens) > context_length:
            tokens = [*tokens[: context_length - 1], end]
        ids[row, : len(tokens)] = tokens
    return ids


@cache
def _tokenizer() -> "Tokenizer":
    return clip_tokenizer()
