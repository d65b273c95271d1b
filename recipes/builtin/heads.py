"""The image side: the English model's head, what everyday things add to it, and ConSE.

The texts' embeddings are constants. A photo's embedding is the weighted sum of
two unit vectors: the head's, which training improves, and ConSE's in the same space, which it can't forget.
"""

from __future__ import annotations

from collections import defaultdict
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
"""Sets that the English model did not see."""


@dataclass(frozen=True)
class HeadConfig:
    """Hyperparameters, chosen on the dev split."""

    views: int = 4
    """Views per photo of the new sets, the first without augmentation."""
    conse: float = 0.2
    """Share of ConSE in a photo's embedding."""
    epochs: int = 20
    named: int = 256
    """Photos of the new sets in a step."""
    kept: int = 328
    """Photos of the other sets in a step, shared out by SHARES."""
    hidden: int = 512
    dropout: float = 0.3
    rate: float = 1e-3
    keeping: float = 8.0
    """Weight of the loss that keeps the other sets' photos where the first head puts them."""
    captions: float = 1.5
    """Weight of CLIP's loss on the other sets' photos and captions."""
    choosing: float = 0.5
    """Weight of the cross entropy of a photo's prompt among the others of its kind, a set at a time."""
    finding: float = 0.3
    """Weight of the cross entropy of a label's photos among those of the step."""
    scale: float = 25.0
    strength: float = 0.6
    """Share of the added head that is folded in (Wortsman et al. 2022, arXiv:2109.01903): between the first
    head and the trained one, recall of captions comes back sooner than everyday things are lost.
    """


SHARES: Mapping[str, float] = {
    "flickr": 0.37,
    "coco": 0.14,
    "imagenet": 0.3,
    "products": 0.08,
    "clothing": 0.07,
    "scenes": 0.04,
}
"""Shares of the other sets among the photos of a step that are kept in their places."""

CHOOSING: Mapping[str, int] = {"clothing": 40, "scenes": 32, "products": 48}
"""Photos of a step whose prompt is chosen among others, by set."""


@dataclass(frozen=True)
class Prompts:
    """Prompts of which one fits a photo."""

    texts: Sequence[int]
    """Their rows of `Lessons.texts`, equally many for all photos of a set."""
    right: int


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
    prompts: Mapping[int, Prompts]
    """Prompts of the photos of CHOOSING that have them."""


def blend(head: Tensor, conse: Tensor, share: float) -> Tensor:
    """The head's output and ConSE's, both float[n,width] of any length -> unit float[n,width]."""
    return F.normalize((1 - share) * F.normalize(head, dim=1) + share * F.normalize(conse, dim=1), dim=1)


class AddedHead(nn.Module):
    """What is added to the first head: float[batch,FEATURES] -> float[batch,width]."""

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
        learnt = [
            i for i, rows in enumerate(lessons.captions) if rows and is_filled(lessons.views[0][i][None])[0]
        ]
        self.examples: dict[int, list[int]] = {i: [] for i in learnt}
        """Rows of the next three, one a view, by photo."""
        count, parts = 0, []
        for view in lessons.views:
            filled = [i for i in learnt if is_filled(view[i][None])[0]]
            parts.append(torch.from_numpy(np.asarray(view[filled])))
            for i in filled:
                self.examples[i].append(count)
                count += 1
        with torch.no_grad():
            self.first = torch.cat([head_vectors(model, part) for part in parts])
            self.conse = torch.cat([conse_vectors(model, known, part) for part in parts])
            self.inputs = torch.cat([standardised(model.image_head, part) for part in parts])
        self.unit = float(self.first.norm(dim=1).mean()) / 6
        """What the added head's output is multiplied with, so that its rates don't depend on the first's."""
        _, self.labels = np.unique([photo.label for photo in lessons.photos], return_inverse=True)
        of: dict[str, list[int]] = defaultdict(list)
        for i in learnt:
            of[lessons.photos[i].source].append(i)
        self.named = [i for source in NEW for i in of[source]]
        self.kept = {source: of[source] for source in SHARES if of[source]}
        asked = {source: [i for i in of[source] if i in lessons.prompts] for source in CHOOSING}
        self.asked = {source: photos for source, photos in asked.items() if photos}
        self.names = {self.labels[i]: lessons.captions[i] for i in self.named}
        self.places = {label: place for place, label in enumerate(self.names)}
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
        for source, photos in self.asked.items():
            count = min(CHOOSING[source], len(photos))
            loss = loss + config.choosing * self._choosing(self.rng.choice(photos, count, replace=False))
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
        """Cross entropy of each photo's label among all labels, and of each label's photos in the batch."""
        images = self._blended(batch)
        texts = self.lessons.texts[[self.rng.choice(captions) for captions in self.names.values()]]
        logits = self.config.scale * images @ texts.T
        wanted = torch.tensor([self.places[self.labels[i]] for i in batch])
        shown = wanted.unique()
        same = (shown[:, None] == wanted[None]).float()
        found = F.cross_entropy(logits[:, shown].T, same / same.sum(1, keepdim=True))
        return F.cross_entropy(logits, wanted) + self.config.finding * found

    def _choosing(self, rows: NDArray[np.int64]) -> Tensor:
        """Cross entropy of the right prompt of each photo of one set."""
        prompts = [self.lessons.prompts[i] for i in rows]
        texts = self.lessons.texts[np.array([each.texts for each in prompts])]
        cosines = (texts @ self._blended(rows)[..., None])[..., 0]
        return F.cross_entropy(self.config.scale * cosines, torch.tensor([each.right for each in prompts]))

    def _matching(self, rows: NDArray[np.int64], images: Tensor) -> Tensor:
        """CLIP's loss; photos of one label share the target."""
        same = torch.from_numpy(np.equal.outer(self.labels[rows], self.labels[rows])).float()
        texts = self.lessons.texts[[self.rng.choice(self.lessons.captions[i]) for i in rows]]
        logits, wanted = self.config.scale * images @ texts.T, same / same.sum(1, keepdim=True)
        return (F.cross_entropy(logits, wanted) + F.cross_entropy(logits.T, wanted)) / 2

    def _blended(self, rows: NDArray[np.int64]) -> Tensor:
        now, conse, _ = self._vectors(rows)
        return blend(now, conse, self.config.conse)

    def _vectors(self, rows: NDArray[np.int64]) -> tuple[Tensor, Tensor, Tensor]:
        """The head's output now, ConSE's, and the head's before, each of a random view of each photo."""
        drawn = [int(self.rng.choice(self.examples[i])) for i in rows]
        before = self.first[drawn]
        return before + self.unit * self.added(self.inputs[drawn]), self.conse[drawn], before


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
