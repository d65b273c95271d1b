"""The multilingual text tower before training: some layers of multilingual-e5-small over a cut vocabulary."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from .e5 import E5
from .towers import TextShape, TextTower
from .vocabulary import PAD_ID, Vocabulary

_NAMES = {
    "q": "query",
    "k": "key",
    "v": "value",
    "ao": "out",
    "fi": "up",
    "fo": "down",
}
_NORMS = {"aln": "norm1", "oln": "norm2"}


def student_tower(e5: E5, vocabulary: Vocabulary, layers: Sequence[int], positions: int = 128) -> TextTower:
    """A tower with the given published layers; the constant token type is added to the positions."""
    shape = TextShape(len(vocabulary.ids), positions, e5.width, e5.heads, len(layers), PAD_ID)
    tower = TextTower(shape)
    places = e5.floats("emb.pos").reshape(-1, e5.width)[:positions]
    kind = e5.floats("emb.type").reshape(-1, e5.width)[0]
    state: dict[str, Tensor] = {
        "words.weight": _tensor(e5.rows("emb.word", e5.width, vocabulary.ids)),
        "positions.weight": _tensor(places + kind),
        "norm.weight": _tensor(e5.floats("emb.ln.w")),
        "norm.bias": _tensor(e5.floats("emb.ln.b")),
    }
    for here, there in enumerate(layers):
        for theirs, ours in _NAMES.items():
            columns = 4 * e5.width if theirs == "fo" else e5.width
            state[f"layers.{here}.{ours}.weight"] = _tensor(e5.matrix(f"l{there}.{theirs}.w", columns))
            state[f"layers.{here}.{ours}.bias"] = _tensor(e5.floats(f"l{there}.{theirs}.b"))
        for theirs, ours in _NORMS.items():
            state[f"layers.{here}.{ours}.weight"] = _tensor(e5.floats(f"l{there}.{theirs}.w"))
            state[f"layers.{here}.{ours}.bias"] = _tensor(e5.floats(f"l{there}.{theirs}.b"))
    tower.load_state_dict(state)
    return tower.eval()


def _tensor(array: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))
