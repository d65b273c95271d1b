"""The multilingual tokenizer: multilingual-e5-small's, cut to the pieces that the languages need.

Text is lower-cased, so that "DOGS", "Dogs" and "dogs" are one query and the vocabulary is smaller.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from .e5 import E5

SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")
"""The first four pieces of the published vocabulary, kept at their ids."""

PAD_ID, UNKNOWN_ID = 1, 3
SIZE = 24_000
"""Pieces of the shipped vocabulary: opening the tokenizer takes 56 ms; 32,000 take 108, 64,000 247."""

_SCRIPTS = re.compile(r"^(LATIN|CYRILLIC|ARABIC|CJK|HIRAGANA|KATAKANA|HANGUL|DIGIT|IDEOGRAPHIC)")
_MARK = "\u2581"
_BATCH = 20_000


@dataclass(frozen=True)
class Vocabulary:
    """A cut vocabulary."""

    ids: NDArray[np.int64]
    """Published id of each piece."""
    pieces: list[str]
    scores: list[float]

    def tokenizer(self) -> Tokenizer:
        """The tokenizer, without padding and truncation."""
        import json

        tokenizer: Tokenizer = Tokenizer.from_str(json.dumps(self.document()))
        return tokenizer

    def document(self) -> dict[str, Any]:
        """The content of tokenizer.json."""
        return {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": [_special(i, piece) for i, piece in enumerate(SPECIAL)],
            "normalizer": {
                "type": "Sequence",
                "normalizers": [
                    {"type": "NFKC"},
                    {"type": "Lowercase"},
                    {"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": " "},
                    {"type": "Strip", "strip_left": True, "strip_right": True},
                ],
            },
            "pre_tokenizer": {
                "type": "Metaspace",
                "replacement": _MARK,
                "prepend_scheme": "always",
                "split": False,
            },
            "post_processor": {
                "type": "TemplateProcessing",
                "single": [_token("<s>"), {"Sequence": {"id": "A", "type_id": 0}}, _token("</s>")],
                "pair": [_token("<s>"), {"Sequence": {"id": "A", "type_id": 0}}, _token("</s>")],
                "special_tokens": {
                    "<s>": {"id": "<s>", "ids": [0], "tokens": ["<s>"]},
                    "</s>": {"id": "</s>", "ids": [2], "tokens": ["</s>"]},
                },
            },
            "decoder": {
                "type": "Metaspace",
                "replacement": _MARK,
                "prepend_scheme": "always",
                "split": False,
            },
            "model": {
                "type": "Unigram",
                "unk_id": UNKNOWN_ID,
                "vocab": [[p, round(s, 3)] for p, s in zip(self.pieces, self.scores, strict=True)],
                "byte_fallback": False,
            },
        }


def _special(index: int, piece: str) -> dict[str, object]:
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {"id": index, "content": piece, **flags}


def _token(piece: str) -> dict[str, object]:
    return {"SpecialToken": {"id": piece, "type_id": 0}}


def lower_vocabulary(e5: E5) -> Vocabulary:
    """All published pieces that occur in normalised, lower-cased text."""
    ids = [i for i, piece in enumerate(e5.pieces) if i < len(SPECIAL) or _is_normal(piece)]
    return _vocabulary(e5, ids)


def _is_normal(piece: str) -> bool:
    return bool(piece) and piece != "<mask>" and unicodedata.normalize("NFKC", piece).lower() == piece


def _vocabulary(e5: E5, ids: Sequence[int]) -> Vocabulary:
    return Vocabulary(np.array(ids), [e5.pieces[i] for i in ids], [float(e5.scores[i]) for i in ids])


def cut_vocabulary(e5: E5, texts: Iterable[str], size: int = SIZE) -> Vocabulary:
    """The characters that `texts` use, their longer pieces, most used first, then the likeliest of the
    promised languages' scripts.
    """
    whole = lower_vocabulary(e5)
    texts = list(texts)
    used = count_pieces(whole.tokenizer(), texts)
    letters = Counter(letter for text in texts for letter in unicodedata.normalize("NFKC", text).lower())
    chosen = list(range(len(SPECIAL)))
    taken = set(chosen)
    characters = [i for i, piece in enumerate(whole.pieces) if letters[piece] > 1 or piece == _MARK]
    likely = sorted(range(len(whole.pieces)), key=lambda i: -whole.scores[i])
    ranked = [i for i, _ in used.most_common() if used[i] > 1]
    for i in (*characters, *ranked, *(i for i in likely if _of_scripts(whole.pieces[i]))):
        if len(chosen) < size and i not in taken:
            taken.add(i)
            chosen.append(i)
    return _vocabulary(e5, whole.ids[sorted(chosen)].tolist())


def _of_scripts(piece: str) -> bool:
    letters = piece.removeprefix(_MARK)
    return bool(letters) and all(_SCRIPTS.match(unicodedata.name(letter, "")) for letter in letters)


def count_pieces(tokenizer: Tokenizer, texts: Iterable[str]) -> Counter[int]:
    """How often each piece occurs in `texts`."""
    counts: Counter[int] = Counter()
    batch: list[str] = []
    for text in texts:
        batch.append(text)
        if len(batch) == _BATCH:
            counts.update(_ids(tokenizer, batch))
            batch = []
    counts.update(_ids(tokenizer, batch))
    return counts


def _ids(tokenizer: Tokenizer, batch: Sequence[str]) -> Iterable[int]:
    encodings = tokenizer.encode_batch(list(batch), add_special_tokens=False)
    return (i for encoding in encodings for i in encoding.ids)
