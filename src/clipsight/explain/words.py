"""Words by occlusion: what the score loses without them, shared out fairly (Shapley values).

A word's share is the mean of what it adds to the words before it, over the orders in which the words can
come (Shapley 1953, "A value for n-person games"; for explanations, Strumbelj & Kononenko 2010, JMLR 11). The
shares add up to the score minus the empty text's. Few words: every subset is embedded and the shares are
exact. More: orders are drawn at random, each followed by its reverse, whose errors partly cancel (Mitchell et
al. 2022, JMLR 23, "Sampling permutations for Shapley value estimation"), and a standard error is told.

A word is left out, not put in brackets or replaced: `benchmarks/explain.py` compares both.
"""

from collections.abc import Iterable, Sequence
from itertools import accumulate
from math import factorial

import numpy as np
from numpy.typing import NDArray

from clipsight.explain.base import Model, Pixels, Settings, Vector, WordExplanation, WordShare
from clipsight.explain.text_segments import Word, keep

TEXTS_PER_COST = 2
"""Changed texts for one changed photo of `Settings.cost`: a text takes a fraction of a photo's time."""

_LEAST_PAIRS = 2
"""Orders are drawn in pairs; a standard error needs two."""

_BATCH = 64

Coalition = int
"""Words that stay, as bits."""

Shares = NDArray[np.float64]


class OcclusionWords:
    """Shapley values of a text's words; `blank` stands for a word that is left out (default: nothing)."""

    def __init__(self, model: Model, settings: Settings, *, blank: str = "") -> None:
        self._model, self._settings, self._blank = model, settings, blank

    @staticmethod
    def obstacle(model: Model) -> str | None:
        """None: any model that embeds will do."""
        return None

    def explain_words(self, text: str, words: Sequence[Word], pixels: Pixels) -> WordExplanation:
        """Exact up to `TEXTS_PER_COST` x cost subsets, else sampled until so many texts are embedded."""
        photo = self._model.encode_pixels([pixels])[0]
        count, limit = len(words), TEXTS_PER_COST * self._settings.cost
        everything = (1 << count) - 1
        singly = [everything ^ (1 << word) for word in range(count)]
        if 1 << count <= limit:
            score = self._scores(range(everything + 1), text, words, photo)
            shares, errors = exact_shares(score, count), np.zeros(count)
        else:
            pairs = draw_pairs(count, limit - count, np.random.default_rng(self._settings.seed))
            asked = {each for pair in pairs for order in pair for each in coalitions(order)}
            score = self._scores(asked.union(singly), text, words, photo)
            shares, errors = sampled_shares(score, pairs)
        return WordExplanation(
            "occlusion",
            tuple(
                WordShare(word.text, float(share), float(error), score[everything] - score[without])
                for word, share, error, without in zip(words, shares, errors, singly, strict=True)
            ),
            additive=True,
        )

    def _scores(
        self, asked: Iterable[Coalition], text: str, words: Sequence[Word], photo: Vector
    ) -> dict[Coalition, float]:
        """The cosine of each coalition's text with the photo; equal texts are embedded once."""
        texts = {
            each: keep(text, words, [bool(each >> place & 1) for place in range(len(words))], self._blank)
            for each in asked
        }
        unique = sorted(set(texts.values()), key=len)  # like lengths together are padded little
        cosines: dict[str, float] = {}
        for start in range(0, len(unique), _BATCH):
            batch = unique[start : start + _BATCH]
            found = self._model.encode_texts(batch).astype(np.float64) @ photo.astype(np.float64)
            cosines.update(zip(batch, found.tolist(), strict=True))
            self._settings.progress("words", len(cosines), len(unique))
        return {each: cosines[text] for each, text in texts.items()}


def coalitions(order: Sequence[int]) -> list[Coalition]:
    """The sets that grow as words come in this order, from none to all."""
    return list(accumulate((1 << word for word in order), int.__or__, initial=0))


def draw_pairs(
    count: int, limit: int, rng: np.random.Generator
) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Random orders of `count` words, each with its reverse, as many as ask for at most `limit` texts.

    Two pairs at least, so that there is a standard error.
    """
    pairs: list[tuple[tuple[int, ...], tuple[int, ...]]] = []
    asked: set[Coalition] = set()
    while True:
        order = tuple(rng.permutation(count).tolist())
        asked = asked.union(coalitions(order), coalitions(order[::-1]))
        if len(asked) > limit and len(pairs) >= _LEAST_PAIRS:
            return pairs
        pairs.append((order, order[::-1]))


def exact_shares(score: dict[Coalition, float], count: int) -> Shares:
    """Shapley values from the score of every subset: float64[count]."""
    weights = [factorial(size) * factorial(count - size - 1) / factorial(count) for size in range(count)]
    shares = np.zeros(count)
    for subset in range(1 << count):
        for word in range(count):
            if not subset >> word & 1:
                shares[word] += weights[subset.bit_count()] * (score[subset | 1 << word] - score[subset])
    return shares


def sampled_shares(
    score: dict[Coalition, float], pairs: Sequence[tuple[Sequence[int], Sequence[int]]]
) -> tuple[Shares, Shares]:
    """Mean gain of each word over the orders, and the standard error of that mean over the pairs."""
    gains = np.zeros((len(pairs), len(pairs[0][0])))
    for row, pair in zip(gains, pairs, strict=True):
        for order in pair:
            along = np.diff([score[each] for each in coalitions(order)])
            row[list(order)] += along / 2
    return gains.mean(axis=0), gains.std(axis=0, ddof=1) / np.sqrt(len(pairs))
