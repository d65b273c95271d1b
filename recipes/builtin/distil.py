"""Distillation of the English text embeddings into the multilingual tower (Reimers & Gurevych 2020).

A translation learns to lie where the English tower puts its English (arXiv:2004.09813); captions in every
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
from torch import Tensor
from torch.nn import functional as F

from clipsight.training.optimizer import Optimizer, ParameterGroup
from clipsight.training.trainer import differences, read_state, write_state

from .data import SEED
from .states import TokenStates
from .student import Student

_WARM_UP = 0.04
"""Share of the steps before the rates reach their peak."""

_FIRST_FIT = 7500
"""Texts from which the linear map starts."""


@dataclass(frozen=True)
class DistilConfig:
    """Hyperparameters; a resumed run must have the same values."""

    steps: int = 1500
    pairs: int = 160
    """Translations of a step."""
    captions: int = 132
    """Captioned photos of a step."""
    layers_rate: float = 4e-4
    head_rate: float = 1.5e-3
    repeating: float = 10.0
    """Weight of the distance from the English tower's embedding."""
    telling_apart: float = 0.3
    """Weight of the cross entropy among the step's translations."""
    matching: float = 0.6
    """Weight of the cross entropy of a caption's photo among all training photos."""
    finding: float = 0.45
    """Weight of the cross entropy of a photo's caption among those of the step."""
    scale: float = 20.0
    average: float = 0.99
    """Decay of the running average of the weights; the average is shipped."""
    names: float = 0.2
    """Share of names of everyday things among each language's translations of a step."""
    every: int = 100
    """Steps between checkpoints."""


CAPTIONED = "captioned"
"""Group of the photos with captions in several languages."""

WITHIN: Mapping[str, float] = {
    "zh": 0.28, "de": 0.16, "en": 0.15, "fr": 0.15, "ar": 0.13, "zh-Hant": 0.08, "es": 0.05,
}  # fmt: skip
"""Weight of each language among a captioned photo's captions, where the photo has them."""

NAMING: Mapping[str, float] = {
    "en": 0.20, "zh": 0.14, "ja": 0.09, "ko": 0.09, "de": 0.08, "fr": 0.08, "es": 0.08, "ru": 0.08,
    "ar": 0.08, "pt": 0.07, "it": 0.07, "zh-Hant": 0.06,
}  # fmt: skip
"""The same among the names and labels of other photos."""

PAIRS: Mapping[str, float] = {"en": 0.14, "zh": 0.12, "zh-Hant": 0.05}
"""Shares of these languages among the translations of a step; the others share the rest."""

GROUPS: Mapping[str, float] = {CAPTIONED: 0.66, "everyday": 0.24, "other": 0.10}
"""Shares of the groups of photos among the captions of a step; a group without photos is left out."""


@dataclass(frozen=True)
class Lessons:
    """What the student learns from; texts are numbers in `states`."""

    states: TokenStates
    teacher: Tensor
    """The English tower's embeddings of the English texts, unit float[texts,width]."""
    pairs: Mapping[str, NDArray[np.int64]]
    """By language, rows of a text and its English, int64[n,2]."""
    names: Mapping[str, NDArray[np.int64]]
    """The rows of `pairs` whose English names an everyday thing; languages without any are left out."""
    captions: Sequence[Mapping[str, NDArray[np.int64]]]
    """Captions of each training photo by language."""
    images: Tensor
    """Embeddings of the training photos, unit float[photos,width]."""
    labels: NDArray[np.int64]
    """Photos with the same number match the same captions."""
    groups: Sequence[str]
    """Group of each photo, as in GROUPS."""


class Distiller:
    """Training of one student, from its first step or a checkpoint to the last step."""

    def __init__(self, student: Student, lessons: Lessons, config: DistilConfig, log: Callable[[str], None]):
        self.student, self.lessons, self.config, self.log = student, lessons, config, log
        self.languages = sorted(lessons.pairs)
        self.shares = shares_of(self.languages)
        groups = np.array(lessons.groups)
        some = np.array([bool(captions) for captions in lessons.captions])
        of = {name: np.flatnonzero((groups == name) & some) for name in GROUPS}
        self.photos = {name: photos for name, photos in of.items() if len(photos)}
        english = [captions.get("en", np.array([], int)) for captions in lessons.captions]
        mean = [lessons.teacher[rows].mean(0) if len(rows) else lessons.teacher[0] * 0 for rows in english]
        self.described = F.normalize(torch.stack(mean), dim=1)
        """What the teacher says of each photo: the mean of its English captions."""
        student.requires_grad_(False)
        trained = [
            ParameterGroup(_free(student.trained_layers()), 0.01, self._rate(config.layers_rate)),
            ParameterGroup(_free(student.heads()), 0.05, self._rate(config.head_rate)),
        ]
        self.optimizer = Optimizer(trained, torch.device("cpu"), epsilon=1e-8, clip_gradient=5.0)
        self.average = [p.detach().clone() for p in self.optimizer.parameters]

    def run(self, checkpoint: Path) -> None:
        """Train to the end, then load the averaged weights."""
        if not self._resume(checkpoint):
            self._fit_linear()
        losses: list[float] = []
        while self.optimizer.step < self.config.steps:
            losses.append(self._step())
            done = self.optimizer.step
            if done % self.config.every == 0 or done == self.config.steps:
                self._save(checkpoint)
                self.log(f"text tower: step {done} of {self.config.steps}, loss {np.mean(losses):.3f}")
                losses = []
        with torch.no_grad():
            torch._foreach_copy_(self.optimizer.parameters, self.average)
        self.student.eval()

    @torch.no_grad()
    def _fit_linear(self) -> None:
        rng = np.random.default_rng(SEED)
        texts, targets = self._draw_pairs(rng, _FIRST_FIT)
        photos = self._draw_photos(rng, _FIRST_FIT // 3)
        captions, wanted = self._draw_captions(rng, photos)
        pooled = self.lessons.states.embed(self.student, np.concatenate([texts, captions]), pooled=True)
        self.student.fit_linear(pooled, torch.cat([self.lessons.teacher[targets], wanted]))
        self.average = [p.detach().clone() for p in self.optimizer.parameters]

    def _step(self) -> float:
        step = self.optimizer.step
        rng = np.random.default_rng((SEED, step))

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
        texts, targets = self._draw_pairs(rng, config.pairs)
        photos = self._draw_photos(rng, config.captions)
        captions, described = self._draw_captions(rng, photos)
        together = lessons.states.embed(self.student, np.concatenate([texts, captions]))
        found, told = together.split([len(texts), len(captions)])

        wanted = lessons.teacher[targets]
        loss = config.repeating * (1 - (found * wanted).sum(1)).mean()
        same = _same(targets, targets)
        loss = loss + config.telling_apart * F.cross_entropy(config.scale * found @ wanted.T, same)

        loss = loss + config.repeating * (1 - (told * described).sum(1)).mean()
        labels = lessons.labels[photos]
        cosines = told @ lessons.images.T
        loss = loss + config.matching * F.cross_entropy(config.scale * cosines, _same(labels, lessons.labels))
        cosines = lessons.images[photos] @ told.T
        return loss + config.finding * F.cross_entropy(config.scale * cosines, _same(labels, labels))

    def _draw_pairs(
        self, rng: np.random.Generator, count: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Texts and their English."""
        numbers = rng.choice(len(self.languages), count, p=self.shares)
        rows = []
        for language in (self.languages[number] for number in numbers):
            pairs = self.lessons.pairs[language]
            if rng.random() < self.config.names:
                pairs = self.lessons.names.get(language, pairs)
            rows.append(pairs[rng.integers(len(pairs))])
        return np.stack(rows)[:, 0], np.stack(rows)[:, 1]

    def _draw_photos(self, rng: np.random.Generator, count: int) -> NDArray[np.int64]:
        """Photos of each group by its share."""
        total = sum(GROUPS[name] for name in self.photos)
        return np.concatenate(
            [rng.choice(rows, round(count * GROUPS[name] / total)) for name, rows in self.photos.items()]
        )

    def _draw_captions(
        self, rng: np.random.Generator, photos: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], Tensor]:
        """A caption of each photo in a language drawn by WITHIN or NAMING, and what the teacher says of it:
        of English the caption's own embedding, of others the mean of the photo's English ones.
        """
        texts, wanted = [], []
        for photo in photos:
            captions = self.lessons.captions[photo]
            shares = WITHIN if self.lessons.groups[photo] == CAPTIONED else NAMING
            languages = sorted(captions.keys() & shares.keys())
            weights = np.array([shares[language] for language in languages])
            language = languages[rng.choice(len(languages), p=weights / weights.sum())]
            text = captions[language][rng.integers(len(captions[language]))]
            texts.append(text)
            wanted.append(self.lessons.teacher[text] if language == "en" else self.described[photo])
        return np.array(texts), torch.stack(wanted)

    def _rate(self, peak: float) -> Callable[[int], float]:
        """Cosine schedule from `peak` to a hundredth, with warm-up."""

        def rate(step: int) -> float:
            done = step / self.config.steps
            warm = min(1.0, (step + 1) / (_WARM_UP * self.config.steps))
            return peak * warm * (0.5 * (1 + math.cos(math.pi * done)) + 0.01)

        return rate

    def _save(self, checkpoint: Path) -> None:
        state = {
            "identity": asdict(self.config),
            "mean": self.student.mean,
            "trained": self.optimizer.parameters,
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
        }
        write_state(state, checkpoint)

    def _resume(self, checkpoint: Path) -> bool:
        if not checkpoint.is_file():
            return False
        state = read_state(checkpoint)
        if differences(state, asdict(self.config)):
            self.log("the checkpoint has another config: starting again")
            return False
        with torch.no_grad():
            self.student.mean.copy_(state["mean"])
            torch._foreach_copy_(self.optimizer.parameters, state["trained"])
            torch._foreach_copy_(self.average, state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.log(f"resuming after step {self.optimizer.step}")
        return True


def shares_of(languages: Sequence[str]) -> NDArray[np.float64]:
    """Share of each language among the translations of a step."""
    others = [language for language in languages if language not in PAIRS]
    rest = 1 - sum(PAIRS[language] for language in languages if language in PAIRS)
    shares = np.array([PAIRS.get(language, rest / max(1, len(others))) for language in languages])
    return shares / shares.sum()


def _free(parameters: list[torch.nn.Parameter]) -> list[torch.nn.Parameter]:
    return [parameter.requires_grad_(True) for parameter in parameters]


def _same(rows: NDArray[np.int64], columns: NDArray[np.int64]) -> Tensor:
    """Equal shares of each row for the columns with the same number, float[rows,columns]."""
    same = torch.from_numpy(np.equal.outer(rows, columns)).float()
    return same / same.sum(1, keepdim=True)
