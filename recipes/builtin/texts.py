"""Tokenisation of captions, and the text tower over batches of varying length."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional as F

from .model import Builtin
from .towers import TextTower, fast_precision, tokenizer_file
from .words import class_words

Tokens = list[int]
_LONGEST = 64
_CHUNK = 512
_KEPT_EVERY = 2048


@cache
def _tokenizer() -> Tokenizer:
    tokenizer = Tokenizer.from_file(str(tokenizer_file()))
    tokenizer.no_padding()
    tokenizer.enable_truncation(_LONGEST)
    return tokenizer


def tokenise(texts: Sequence[str]) -> list[Tokens]:
    """Token ids of each text, [CLS] and [SEP] included, not padded."""
    return [encoding.ids for encoding in _tokenizer().encode_batch(list(texts))]


def vocabulary_words() -> list[str]:
    """Whole words of the tokenizer's vocabulary, about 20,000."""
    words = _tokenizer().get_vocab()
    return sorted(word for word in words if word.isascii() and word.isalpha() and len(word) > 2)


def _pad(rows: Sequence[Tokens], device: torch.device) -> Tensor:
    ids = torch.zeros(len(rows), max(map(len, rows)), dtype=torch.long)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = torch.tensor(row)
    return ids.to(device)


def mean_vectors(tower: TextTower, rows: Sequence[Tokens]) -> Tensor:
    """Token lists -> float[batch,384]; texts of similar length are batched together to save padding."""
    device = tower.norm.weight.device
    order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
    size = min(_CHUNK, max(32, -(-len(rows) // 4)))
    with fast_precision(device):
        parts = [
            tower(_pad([rows[i] for i in order[start : start + size]], device))
            for start in range(0, len(rows), size)
        ]
    back = torch.empty(len(rows), dtype=torch.long)
    back[torch.tensor(order)] = torch.arange(len(rows))
    return torch.cat(parts).float()[back.to(device)]


def encode(model: Builtin, rows: Sequence[Tokens]) -> Tensor:
    """Token lists -> unit float[batch,width]."""
    return F.normalize(model.text_head(mean_vectors(model.text, rows)), dim=-1)


@torch.no_grad()
def class_vectors(tower: TextTower, names: Sequence[str]) -> Tensor:
    """ConSE's class embeddings: the mean over the exact and everyday names, unit float[classes,384]."""
    texts: list[str] = []
    owner: list[int] = []
    for i, name in enumerate(names):
        words = class_words(i, name)[:4]
        texts += words
        owner += [i] * len(words)
    vectors = F.normalize(mean_vectors(tower, tokenise(texts)), dim=1)
    sums = torch.zeros(len(names), vectors.shape[1], device=vectors.device)
    sums.index_add_(0, torch.tensor(owner, device=vectors.device), vectors)
    return F.normalize(sums, dim=1)


def caption_vectors(model: Builtin, texts: Sequence[str], folder: Path, log: Callable[[str], None]) -> Tensor:
    """Embeddings of texts, unit float[texts,width], kept in `folder`; an interrupted file is completed."""
    digest = hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]
    path, width = folder / f"texts-{digest}.npy", model.text_head.linear.out_features
    open_array = np.lib.format.open_memmap
    vectors = (
        open_array(path, "r+") if path.is_file() else open_array(path, "w+", np.float16, (len(texts), width))
    )
    for start in range(0, len(texts), _KEPT_EVERY):
        part = slice(start, start + _KEPT_EVERY)
        if not vectors[part].any(1).all():
            with torch.no_grad():
                vectors[part] = encode(model, tokenise(texts[part])).numpy()
            log(f"captions: {min(start + _KEPT_EVERY, len(texts))} of {len(texts)} texts")
    vectors.flush()
    return F.normalize(torch.from_numpy(np.asarray(vectors)).float(), dim=1)
