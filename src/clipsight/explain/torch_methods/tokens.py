"""CLIP's tokens of a text, and what belongs to a token given back to the words it is a piece of."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clipsight.models.clip_bpe import clip_tokenizer

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from clipsight.explain.text_segments import Word


@dataclass(frozen=True)
class Tokens:
    """A text's ids with those of its start and end, and the places in the text that the others stand for."""

    ids: tuple[int, ...]
    places: tuple[tuple[int, int], ...]
    """start and end of each token but the first and the last: two fewer than `ids`."""
    truncated: bool

    def merge(self, values: NDArray[np.floating[Any]], words: Sequence["Word"]) -> list[float]:
        """Values of the tokens, start and end among them, float[tokens] -> their sum over each word.

        A token that spans several words (as in scripts without spaces) is shared out by its characters.
        """
        inner = values[1:-1].tolist()
        return [
            float(sum(value * _share(place, word) for value, place in zip(inner, self.places, strict=True)))
            for word in words
        ]


def tokenise(text: str, context_length: int) -> Tokens:
    """CLIP's tokens of `text`, cut to `context_length` with the end kept."""
    found = _tokenizer().encode(text)
    end = found.ids[-1]
    ids = (*found.ids[:-1][: context_length - 1], end)
    return Tokens(ids, tuple(found.offsets[1 : len(ids) - 1]), len(found.ids) > context_length)


def _share(place: tuple[int, int], word: "Word") -> float:
    start, end = place
    common = min(end, word.end) - max(start, word.start)
    return max(common, 0) / max(end - start, 1)


@cache
def _tokenizer() -> "Tokenizer":
    return clip_tokenizer()
