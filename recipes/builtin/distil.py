"""Distillation of the English text embeddings into the multilingual tower (Reimers & Gurevych 2020).

A translation learns to lie where the English teacher puts the English (arXiv:2004.09813); captions in every
language also learn to find their photo, with CLIP's loss against the finished image embeddings. Training is
seeded by its steps and checkpointed, so that an interrupted run resumes to the same result.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from clipsight.training.loss import clip_loss
from clipsight.training.optimizer import Optimizer, ParameterGroup
from clipsight.training.trainer import differences, read_state, write_state

from .data import SEED
from .joint import Parts, join
from .towers import TextTower

Tokens = Sequence[int]

_WARM_UP = 0.03
"""Share of the steps before the rates reach their peak."""


@dataclass(frozen=True)
class DistilConfig:
    """Hyperparameters; a resumed run must have the same values."""

    steps: int = 2000
    pairs: int = 384
    """Translations of a step."""
    captions: int = 256
    """Captioned photos of a step."""
    hidden: int = 768
    tower_rate: float = 3e-4
    head_rate: float = 1e-3
    matching: float = 0.5
    """Weight of CLIP's loss against photos."""
    telling_apart: float = 0.2
    """Weight of CLIP's loss against the other translations of a step."""
    scale: float = 20.0
    average: float = 0.995
    """Decay of the running average of the weights; the average is shipped."""
    every: int = 100
    """Steps between checkpoints."""


class Student(nn.Module):
    """Token ids int[batch,sequence] -> joined unit float[batch,parts.width]."""

    def __init__(self, tower: TextTower, parts: Parts, hidden: int):
        super().__init__()
        self.tower, self.parts = tower, parts
        width = tower.shape.width
        self.register_buffer("mean", torch.zeros(width))
        self.linear = nn.Linear(width, parts.width)
        self.up = nn.Linear(width, hidden)
        self.down = nn.Linear(hidden, parts.width)
        nn.init.zeros_(self.down.weight)
        nn.init.zeros_(self.down.bias)

    def pooled(self, ids: Tensor) -> Tensor:
        """Centred unit mean token vectors, float[batch,width]: all of e5's point much the same way."""
        return F.normalize(self.tower(ids).float(), dim=-1) - self.mean

    def head(self, pooled: Tensor) -> Tensor:
        """Centred means -> joined unit embeddings."""
        y = self.linear(pooled) + self.down(F.gelu(self.up(pooled * 6.0)))
        return join(*y.split([self.parts.caption, self.parts.conse], -1), self.parts.weight)

    def forward(self, ids: Tensor) -> Tensor:
        return self.head(self.pooled(ids))

    @torch.no_grad()
    def fit_linear(self, vectors: Tensor, targets: Tensor, ridge: float = 1e-2) -> None:
        """Start the linear map from the ridge regression of `targets` on unit mean token vectors."""
        self.mean.copy_(vectors.mean(0))
        x = vectors - self.mean
        left = x.T @ x / len(x) + ridge * x.var(0).mean() * torch.eye(x.shape[1])
        offset = targets.mean(0)
        solved = torch.linalg.solve(left, x.T @ (targets - offset) / len(x))
        self.linear.weight.copy_(solved.T)
        self.linear.bias.copy_(offset)


@dataclass(frozen=True)
class Lessons:
    """What the student learns from; all texts are token lists of its own tokenizer."""

    texts: Mapping[str, Sequence[Tokens]]
    """Translations by language, and English itself."""
    targets: Mapping[str, NDArray[np.int64]]
    """Row of `teacher` of each of these texts."""
    teacher: NDArray[np.float16]
    """The teacher's embeddings of distinct English texts, float16[n,parts.width]."""
    shares: Mapping[str, float]
    """Share of each language among the translations of a step."""
    captions: Sequence[Mapping[str, Sequence[Tokens]]]
    """Captions of each training photo by language."""
    photos: Sequence[NDArray[np.float32]]
    """Embeddings of the training photos, one array a view, float32[photos,parts.width]."""
    labels: NDArray[np.int64]
    """Photos with the same number match the same captions."""


def pad(rows: Sequence[Tokens], pad_id: int) -> Tensor:
    """Token lists -> int64[n,longest], padded on the right."""
    ids = torch.full((len(rows), max(map(len, rows))), pad_id, dtype=torch.long)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = torch.tensor(row)
    return ids


def encode(student: Student, rows: Sequence[Tokens], size: int = 256) -> Tensor:
    """Token lists -> unit float[n,width]; texts of similar length are batched together to save padding."""
    order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
    device, pad_id = student.linear.weight.device, student.tower.shape.pad_id
    parts = [
        student(pad([rows[i] for i in order[start : start + size]], pad_id).to(device))
        for start in range(0, len(rows), size)
    ]
    back = torch.empty(len(rows), dtype=torch.long)
    back[torch.tensor(order)] = torch.arange(len(rows))
    return torch.cat(parts)[back.to(device)]


class Distiller:
    """Training of one student, from its first step or a checkpoint to the last step."""

    def __init__(self, student: Student, lessons: Lessons, config: DistilConfig, log: Callable[[str], None]):
        self.student, self.lessons, self.config, self.log = student, lessons, config, log
        self.device = student.linear.weight.device
        self.languages = sorted(lessons.shares)
        shares = np.array([lessons.shares[language] for language in self.languages])
        self.shares = shares / shares.sum()
        student.requires_grad_(False)
        heads = [*student.linear.parameters(), *student.up.parameters(), *student.down.parameters()]
        layers = list(student.tower.layers.parameters())
        groups = [
            ParameterGroup([p.requires_grad_(True) for p in layers], 0.01, self._rate(config.tower_rate)),
            ParameterGroup([p.requires_grad_(True) for p in heads], 0.05, self._rate(config.head_rate)),
        ]
        self.optimizer = Optimizer(groups, self.device, epsilon=1e-8)
        self.average = [p.detach().clone() for p in self.optimizer.parameters]

    def run(self, checkpoint: Path) -> None:
        """Train to the end, then load the averaged weights."""
        self._resume(checkpoint)
        losses: list[float] = []
        while self.optimizer.step < self.config.steps:
            losses.append(self._step())
            done = self.optimizer.step
            if done % self.config.every == 0 or done == self.config.steps:
                self._save(checkpoint)
                self.log(f"step {done} of {self.config.steps}: loss {np.mean(losses):.3f}")
                losses = []
        with torch.no_grad():
            torch._foreach_copy_(self.optimizer.parameters, self.average)
        self.student.eval()

    def _step(self) -> float:
        step = self.optimizer.step
        rng = np.random.default_rng((SEED, step))
        torch.manual_seed(SEED + step)
        self.student.train()

        def gradients(scale_loss: Callable[[Tensor], Tensor]) -> Tensor:
            loss = self._loss(rng)
            scale_loss(loss).backward()
            return loss

        loss, _ = self.optimizer.update(gradients)
        with torch.no_grad():
            decay = min(self.config.average, (step + 1) / (step + 11))
            torch._foreach_lerp_(self.average, self.optimizer.parameters, 1 - decay)
        return loss

    def _loss(self, rng: np.random.Generator) -> Tensor:
        config, lessons = self.config, self.lessons
        texts, rows = self._draw_pairs(rng)
        photos = rng.integers(len(lessons.captions), size=config.captions)
        captions = [self._caption(lessons.captions[i], rng) for i in photos]
        found, described = encode(self.student, texts + captions).split([len(texts), len(captions)])

        wanted = torch.from_numpy(lessons.teacher[rows]).float().to(self.device)
        loss = (1 - (found * wanted).sum(1)).mean() * config.scale / 2
        scale = torch.tensor(config.scale, device=self.device)
        same = torch.from_numpy(rows[:, None] == rows[None]).float().to(self.device)
        loss = loss + config.telling_apart * clip_loss(wanted, found, scale, same)

        view = lessons.photos[rng.integers(len(lessons.photos))]
        images = torch.from_numpy(view[photos]).to(self.device)
        labels = lessons.labels[photos]
        same = torch.from_numpy(labels[:, None] == labels[None]).float().to(self.device)
        return loss + config.matching * clip_loss(images, described, scale, same)

    def _draw_pairs(self, rng: np.random.Generator) -> tuple[list[Tokens], NDArray[np.int64]]:
        texts, rows = [], []
        for number in rng.choice(len(self.languages), self.config.pairs, p=self.shares):
            language = self.languages[number]
            i = rng.integers(len(self.lessons.texts[language]))
            texts.append(self.lessons.texts[language][i])
            rows.append(self.lessons.targets[language][i])
        return texts, np.array(rows)

    @staticmethod
    def _caption(captions: Mapping[str, Sequence[Tokens]], rng: np.random.Generator) -> Tokens:
        """Half of the captions are English, the others of any language that the photo has."""
        others = sorted(set(captions) - {"en"})
        language = "en" if not others or rng.random() < 0.5 else others[rng.integers(len(others))]
        return captions[language][rng.integers(len(captions[language]))]

    def _rate(self, peak: float) -> Callable[[int], float]:
        """Cosine schedule from `peak` to a hundredth, with warm-up."""

        def rate(step: int) -> float:
            done = step / self.config.steps
            return (
                peak
                * min(1.0, (step + 1) / (_WARM_UP * self.config.steps))
                * (0.5 * (1 + math.cos(math.pi * done)) + 0.01)
            )

        return rate

    def _save(self, checkpoint: Path) -> None:
        state = {
            "identity": asdict(self.config),
            "trained": self.optimizer.parameters,
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
        }
        write_state(state, checkpoint)

    def _resume(self, checkpoint: Path) -> None:
        if not checkpoint.is_file():
            return
        state = read_state(checkpoint)
        if differences(state, asdict(self.config)):
            self.log("the checkpoint has another config: starting again")
            return
        with torch.no_grad():
            torch._foreach_copy_(self.optimizer.parameters, [t.to(self.device) for t in state["trained"]])
            torch._foreach_copy_(self.average, [t.to(self.device) for t in state["average"]])
        self.optimizer.load_state_dict(state["optimizer"])
        self.log(f"resuming after step {self.optimizer.step}")
