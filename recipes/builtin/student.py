"""The multilingual text tower: the first layers of multilingual-e5-small over a cut vocabulary, and a head.

The lower layers stay as they were published, so that their output is computed once a text (states.py).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .e5 import E5
from .towers import TextShape, TextTower
from .vocabulary import PAD_ID, Vocabulary

LAYERS = 8
"""Layers kept of the published twelve; each costs half a millisecond a query and 1.8 MB."""

FROZEN = 6
"""Lower layers that are not trained."""

HIDDEN = 768

_NAMES = {
    "q": "query",
    "k": "key",
    "v": "value",
    "ao": "out",
    "fi": "up",
    "fo": "down",
}
_NORMS = {"aln": "norm1", "oln": "norm2"}


class Student(nn.Module):
    """Token ids int[batch,sequence] -> unit float[batch,width]."""

    def __init__(self, tower: TextTower, width: int, frozen: int = FROZEN, hidden: int = HIDDEN):
        super().__init__()
        self.tower, self.frozen = tower, frozen
        for layer in tower.layers:
            layer.dropout = 0.0  # no text is seen often enough to be learnt by heart
        self.register_buffer("mean", torch.zeros(tower.shape.width))
        self.linear = nn.Linear(tower.shape.width, width)
        self.up = nn.Linear(tower.shape.width, hidden)
        self.down = nn.Linear(hidden, width)
        nn.init.zeros_(self.down.weight)
        nn.init.zeros_(self.down.bias)

    @torch.no_grad()
    def lower(self, ids: Tensor) -> Tensor:
        """Token vectors after the frozen layers, float[batch,sequence,tower's width]."""
        x, real = self.tower.embed(ids)
        return self.tower.between(x, real, slice(0, self.frozen))

    def pooled(self, x: Tensor, real: Tensor) -> Tensor:
        """Token vectors of `lower` and which of them are real -> centred unit means over the tokens,
        float[batch,tower's width]: uncentred, all of e5's point much the same way.
        """
        x = self.tower.between(x, real, slice(self.frozen, None))
        return F.normalize(self.tower.mean(x, real), dim=-1) - self.mean

    def head(self, pooled: Tensor) -> Tensor:
        """Centred means -> unit embeddings."""
        return F.normalize(self.linear(pooled) + self.down(F.gelu(self.up(pooled * 6.0))), dim=-1)

    def forward(self, ids: Tensor) -> Tensor:
        real = (ids != self.tower.shape.pad_id).float()
        return self.head(self.pooled(self.lower(ids), real))

    def trained_layers(self) -> list[nn.Parameter]:
        """Parameters of the layers above the frozen ones."""
        return list(self.tower.layers[self.frozen :].parameters())

    def heads(self) -> list[nn.Parameter]:
        """Parameters of the head."""
        return [*self.linear.parameters(), *self.up.parameters(), *self.down.parameters()]

    @torch.no_grad()
    def fit_linear(self, pooled: Tensor, targets: Tensor, ridge: float = 1e-2) -> None:
        """Start the linear map from the ridge regression of `targets` on means that are not centred yet."""
        self.mean.copy_(pooled.mean(0))
        x = pooled - self.mean
        left = x.T @ x / len(x) + ridge * x.var(0).mean() * torch.eye(x.shape[1])
        offset = targets.mean(0)
        solved = torch.linalg.solve(left, x.T @ (targets - offset) / len(x))
        self.linear.weight.copy_(solved.T)
        self.linear.bias.copy_(offset)


def student_tower(
    e5: E5, vocabulary: Vocabulary, layers: Sequence[int] = range(LAYERS), positions: int = 128
) -> TextTower:
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
