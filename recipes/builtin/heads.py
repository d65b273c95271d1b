"""The image side of the second edition: the first edition's head, what everyday things add to it, and ConSE.

The text tower stays, so that the texts' embeddings are constants. A photo's embedding is the weighted sum of
two unit vectors: the head's, which training improves, and ConSE's in the same space, which it can't forget.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from .data import SEED, Photo
from .everyday import LABELLED, NAMED
from .features import is_filled
from .model import FEATURES, FLOOR, TAP_WIDTH, Builtin, ImageHead

NEW = (*LABELLED, *NAMED)
"""Sets that the first edition did not see."""


@dataclass(frozen=True)
class HeadConfig:
    """Hyperparameters, chosen on the dev split."""

    views: int = 2
    """Views per photo, the first without augmentation."""
    conse: float = 0.2
    """Share of ConSE in a photo's embedding."""
    epochs: int = 12
    named: int = 256
    """Photos of the new sets in a step."""
    kept: int = 256
    """Photos of the other sets in a step, shared out by SHARES."""
    hidden: int = 512
    dropout: float = 0.3
    rate: float = 1e-3
    keeping: float = 4.0
    """Weight of the loss that keeps the other sets' photos where the first edition puts them."""
    captions: float = 0.5
    """Weight of CLIP's loss on the other sets' photos and captions."""
    scale: float = 25.0
    strength: float = 0.8
    """Share of the added head that is folded in (Wortsman et al. 2022, arXiv:2109.01903): between the first
    edition and the trained head, recall of captions comes back sooner than everyday things are lost.
    """


SHARES: Mapping[str, float] = {
    "flickr": 0.4,
    "coco": 0.17,
    "imagenet": 0.14,
    "products": 0.12,
    "clothing": 0.12,
    "scenes": 0.05,
}
"""Shares of the other sets among the photos of a step that are kept in their places."""


@dataclass(frozen=True)
class Lessons:
    """What the head learns from."""

    photos: Sequence[Photo]
    views: Sequence[NDArray[np.float32]]
    """Pooled features of all photos by view; rows of zeros are missing."""
    texts: Tensor
    """Embeddings of the captions, unit float[texts,width]."""
    captions: Sequence[Sequence[int]]
    """Rows of `texts` of each photo's captions; empty for photos that are not trained on."""


def blend(head: Tensor, conse: Tensor, share: float) -> Tensor:
    """The head's output and ConSE's, both float[n,width] of any length -> unit float[n,width]."""
    return F.normalize((1 - share) * F.normalize(head, dim=1) + share * F.normalize(conse, dim=1), dim=1)


class AddedHead(nn.Module):
    """What is added to the first edition's head: float[batch,FEATURES] -> float[batch,width]."""

    def __init__(self, width: int, config: HeadConfig):
        super().__init__()
        self.linear = nn.Linear(FEATURES, width)
        self.up = nn.Linear(FEATURES, config.hidden)
        self.down = nn.Linear(config.hidden, width)
        self.dropout = config.dropout
        for layer in (self.linear, self.down):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        x = F.dropout(x, self.dropout * 2 / 3, self.training)
        hidden = F.dropout(F.gelu(self.up(x)), self.dropout, self.training)
        added: Tensor = self.linear(x) + self.down(hidden)
        return added


class HeadTrainer:
    """Training of the added head; everything else is constant."""

    def __init__(self, model: Builtin, known: Tensor, lessons: Lessons, config: HeadConfig):
        """`known` are the class names' embeddings, unit float[1000,width]."""
        self.lessons, self.config = lessons, config
        self.filled = [is_filled(view) for view in lessons.views]
        with torch.no_grad():
            pooled = [torch.from_numpy(np.asarray(view)) for view in lessons.views]
            self.first = [head_vectors(model, each) for each in pooled]
            self.conse = [conse_vectors(model, known, each) for each in pooled]
            self.inputs = [standardised(model.image_head, each) for each in pooled]
        self.unit = float(self.first[0][torch.from_numpy(self.filled[0])].norm(dim=1).mean()) / 6
        """What the added head's output is multiplied with, so that its rates don't depend on the first's."""
        learnt = [i for i, rows in enumerate(lessons.captions) if rows and self.filled[0][i]]
        self.named = [i for i in learnt if lessons.photos[i].source in NEW]
        self.kept = {
            source: [i for i in learnt if lessons.photos[i].source == source]
            for source in SHARES
            if any(lessons.photos[i].source == source for i in learnt)
        }
        _, self.labels = np.unique([photo.label for photo in lessons.photos], return_inverse=True)
        self.rng = np.random.default_rng(SEED)
        torch.manual_seed(SEED)
        self.added = AddedHead(lessons.texts.shape[1], config)
        self.optimizer = torch.optim.AdamW(self.added.parameters(), config.rate, weight_decay=0.05)

    def run(self, log: Callable[[str], None]) -> AddedHead:
        """Train to the end; return the head."""
        config = self.config
        others = sum(map(len, self.kept.values()))
        log(f"image head: {len(self.named)} photos of the new sets, {others} of the others")
        for epoch in range(config.epochs):
            self.added.train()
            order, losses = self.rng.permutation(self.named), []
            for start in range(0, max(1, len(order) - config.named + 1), config.named):
                done = (epoch + start / len(order)) / config.epochs
                for group in self.optimizer.param_groups:
                    group["lr"] = config.rate * (0.5 * (1 + np.cos(np.pi * done)) + 0.01)
                losses.append(self._step(order[start : start + config.named]))
            log(f"image head: epoch {epoch + 1} of {config.epochs}, loss {np.mean(losses):.3f}")
        return self.added.eval()

    def _step(self, batch: NDArray[np.int64]) -> float:
        config = self.config
        loss = self._naming(batch)
        if self.kept:
            rows = self._kept_rows()
            now, conse, before = self._vectors(rows)
            loss = loss + config.keeping * (1 - F.cosine_similarity(now, before, dim=1)).mean()
            loss = loss + config.captions * self._matching(rows, blend(now, conse, config.conse))
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        return float(loss.detach())

    def _kept_rows(self) -> NDArray[np.int64]:
        """Photos of the other sets for one step, each at most once."""
        counts = {source: round(self.config.kept * SHARES[source]) for source in self.kept}
        drawn = [
            self.rng.choice(rows, min(max(1, counts[source]), len(rows)), replace=False)
            for source, rows in self.kept.items()
        ]
        return np.concatenate(drawn)

    def _naming(self, batch: NDArray[np.int64]) -> Tensor:
        """Cross entropy of each photo's label among the labels of the batch."""
        now, conse, _ = self._vectors(batch)
        owner = {self.labels[i]: i for i in batch}
        labels, wanted = np.unique(self.labels[batch], return_inverse=True)
        texts = self._texts([owner[label] for label in labels])
        cosines = blend(now, conse, self.config.conse) @ texts.T
        return F.cross_entropy(self.config.scale * cosines, torch.from_numpy(wanted))

    def _matching(self, rows: NDArray[np.int64], images: Tensor) -> Tensor:
        """CLIP's loss; photos of one label share the target."""
        same = torch.from_numpy(np.equal.outer(self.labels[rows], self.labels[rows])).float()
        logits, wanted = self.config.scale * images @ self._texts(rows).T, same / same.sum(1, keepdim=True)
        return (F.cross_entropy(logits, wanted) + F.cross_entropy(logits.T, wanted)) / 2

    def _texts(self, rows: Sequence[int] | NDArray[np.int64]) -> Tensor:
        """The embedding of a random caption of each photo."""
        return self.lessons.texts[[self.rng.choice(self.lessons.captions[i]) for i in rows]]

    def _vectors(self, rows: NDArray[np.int64]) -> tuple[Tensor, Tensor, Tensor]:
        """The head's output now, ConSE's, and the head's before, each of a random view of each photo."""
        views = [int(self.rng.choice([v for v, have in enumerate(self.filled) if have[i]])) for i in rows]

        def pick(arrays: Sequence[Tensor]) -> Tensor:
            return torch.stack([arrays[v][i] for v, i in zip(views, rows, strict=True)])

        before = pick(self.first)
        return before + self.unit * self.added(pick(self.inputs)), pick(self.conse), before


def fold(head: ImageHead, added: AddedHead, unit: float) -> None:
    """Merge `unit` times the added head into `head`: its hidden units stand beside the first ones."""
    up, down, width = head.up, head.down, head.down.out_features
    with torch.no_grad():
        head.linear.weight += unit * added.linear.weight
        head.linear.bias += unit * added.linear.bias
        head.up = nn.Linear(FEATURES, up.out_features + added.up.out_features)
        head.up.weight.copy_(torch.cat([up.weight, added.up.weight]))
        head.up.bias.copy_(torch.cat([up.bias, added.up.bias]))
        head.down = nn.Linear(head.up.out_features, width)
        head.down.weight.copy_(torch.cat([down.weight, unit * added.down.weight], 1))
        head.down.bias.copy_(down.bias + unit * added.down.bias)


def standardised(head: ImageHead, pooled: Tensor) -> Tensor:
    """Pooled features as the head's layers see them, float[n,FEATURES]."""
    return ((pooled - head.mean) / head.std).clamp(-6, 6)


def head_vectors(model: Builtin, pooled: Tensor) -> Tensor:
    """The head's output before it is scaled to unit length, float[n,width]."""
    found: Tensor = model.image_head(pooled, model.mixture(pooled[:, TAP_WIDTH:]))
    return found


def conse_vectors(model: Builtin, known: Tensor, pooled: Tensor) -> Tensor:
    """ConSE in the space of `known`, float[1000,width], not scaled to unit length: float[n,width]."""
    return F.relu(model.image.classifier(pooled[:, TAP_WIDTH:]).softmax(-1) - FLOOR) @ known
