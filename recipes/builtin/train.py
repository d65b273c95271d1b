"""Training: first the heads and the text tower on pooled features, then the last image blocks with them.

What the image tower's lower blocks make of a photo never changes, so it is computed once (features.py).
Every epoch is seeded by its own number and ends in a checkpoint, so a run that was interrupted goes on to
the same result.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from clipsight.training.loss import clip_loss
from clipsight.training.optimizer import Optimizer, ParameterGroup
from clipsight.training.trainer import differences, read_state, write_state

from .data import SEED, Photo
from .features import View
from .loss import anchor_loss, forgetting_loss, naming_loss, ranking_loss, same_label
from .metrics import percent_recall
from .model import FROZEN_WIDTH, TAP_WIDTH, TRAINED_FROM, Builtin
from .texts import Tokens, encode, mean_vectors, tokenise, vocabulary_words


@dataclass(frozen=True)
class Settings:
    """Everything that was chosen on the dev split."""

    views: int = 4
    """The plain view of each photo and augmented ones; each more costs a pass over the training photos."""
    hidden: int = 1536
    dropout: float = 0.3
    captioned: int = 256
    """Captioned photos a step; each other source adds its share of a batch beside them."""
    head_epochs: int = 3
    joint_epochs: int = 6
    head_rate: float = 1e-3
    text_rate: float = 1.5e-4
    image_rate: float = 1e-4
    forgetting: float = 1.0
    anchor: float = 0.6
    naming: float = 0.25
    ranking: float = 0.15
    average: float = 0.98
    """Decay of the running average of the weights, which is what ships."""


SHARES = {"products": 0.25, "clothing": 0.22, "scenes": 0.08, "imagenet": 0.33}
"""Photos of each labelled source for one captioned photo."""

_COCO_REPEATS = 2
_WORDS_A_STEP = 64
"""Words, and as many sentences, that are compared with where they were before training."""
_CONSE_SCALE = 20.0
"""Factor of ConSE's cosines of words and photos; it is never trained."""
_LIKELY_NAMES, _OTHER_NAMES = 112, 48
"""Classes a step whose names are compared with photos: the batch's likeliest, and some at random."""


@dataclass(frozen=True)
class Material:
    """The training photos and their words, indexed as `views` are."""

    photos: Sequence[Photo]
    views: Sequence[View]
    sentences: Sequence[str]
    class_captions: Sequence[Sequence[str]]
    """What each of ImageNet's classes may be called."""


class _Sampler:
    """Endless shuffled passes over the training photos of one source."""

    def __init__(self, indices: Sequence[int], rng: np.random.Generator):
        self._indices, self._rng, self._queue = list(indices), rng, list[int]()

    def take(self, count: int) -> list[int]:
        while len(self._queue) < count:
            self._queue += [self._indices[i] for i in self._rng.permutation(len(self._indices))]
        taken, self._queue = self._queue[:count], self._queue[count:]
        return taken


def _batches(photos: Sequence[Photo], settings: Settings, rng: np.random.Generator) -> Iterator[list[int]]:
    """One epoch: each captioned photo about once, with the other sources' shares in every batch."""
    of: dict[str, list[int]] = {}
    for i, photo in enumerate(photos):
        if photo.split == "train":
            of.setdefault(photo.source, []).append(i)
    captioned = of["flickr"] + of["coco"] * _COCO_REPEATS
    main = _Sampler(captioned, rng)
    sides = {source: _Sampler(of[source], rng) for source in SHARES}
    for _ in range(max(1, len(captioned) // settings.captioned)):
        batch = main.take(settings.captioned)
        for source, share in SHARES.items():
            batch += sides[source].take(max(1, round(settings.captioned * share)))
        yield batch


class Trainer:
    """A model on its way; `run` takes it to the end from wherever the checkpoint left it."""

    def __init__(self, model: Builtin, material: Material, settings: Settings, say: Callable[[str], None]):
        self.model, self.material, self.settings, self.say = model, material, settings, say
        self.device = model.log_scale.device
        self.labels = _label_numbers(material.photos)
        self.tokens = [tokenise(photo.captions) for photo in material.photos]
        self.names = [tokenise(captions) for captions in material.class_captions]
        self.sentences, self.words = tokenise(material.sentences), tokenise(vocabulary_words())
        self.published = copy.deepcopy(model.text).requires_grad_(False).eval()
        with torch.no_grad():
            pooled = torch.from_numpy(material.views[0].pooled).to(self.device)
            train = [i for i, photo in enumerate(material.photos) if photo.split == "train"]
            model.image_head.mean.copy_(pooled[train].mean(0))
            model.image_head.std.copy_(pooled[train].std(0) + 1e-3)
            last = [torch.from_numpy(view.pooled[:, TAP_WIDTH:]).to(self.device) for view in material.views]
            self.before = [model.image.classifier(x).softmax(-1).half() for x in last]
        batches = _batches(material.photos, settings, np.random.default_rng(0))
        self.epoch_steps = sum(1 for _ in batches)
        self.optimizer = Optimizer(self._groups(), self.device, epsilon=1e-8)
        self.trained = self.optimizer.parameters
        self.average = [p.detach().clone() for p in self.trained]

    def run(self, checkpoint: Path) -> None:
        """Train to the end, then put the averaged weights in place."""
        first = self._resume(checkpoint)
        self.say(f"epoch {first} of {self._epochs}: {self._dev_recall()}")
        for epoch in range(first, self._epochs):
            started, loss = time.monotonic(), self._epoch(epoch)
            self._save(checkpoint, epoch + 1)
            took = time.monotonic() - started
            done = f"epoch {epoch + 1} of {self._epochs}"
            self.say(f"{done}: loss {loss:.3f}, {took:.0f} s, {self._dev_recall()}")
        with torch.no_grad():
            torch._foreach_copy_(self.trained, self.average)
        self.model.eval()

    @torch.no_grad()
    def _dev_recall(self) -> str:
        """How well the averaged weights find the dev split's photos; training goes on as if never asked."""
        dev = [i for i, p in enumerate(self.material.photos) if p.split == "dev" and p.source == "flickr"]
        if not dev:
            return "no dev photos"
        kept = [p.clone() for p in self.trained]
        torch._foreach_copy_(self.trained, self.average)
        self.model.eval()
        plain = np.zeros(len(dev), dtype=int)
        images = self.model.encode_pooled(self._pooled(plain, dev, joint=True))
        texts = encode(self.model, [tokens for i in dev for tokens in self.tokens[i]])
        owner = [k for k, i in enumerate(dev) for _ in self.tokens[i]]
        torch._foreach_copy_(self.trained, kept)
        found = percent_recall(images.cpu().numpy(), texts.cpu().numpy(), owner)["text_to_image"]
        return f"dev recall at 1, 5, 10: {found}"

    @property
    def _epochs(self) -> int:
        return self.settings.head_epochs + self.settings.joint_epochs

    def _epoch(self, epoch: int) -> float:
        rng = np.random.default_rng((SEED, epoch))
        torch.manual_seed(SEED + epoch)
        self.model.train()
        joint = epoch >= self.settings.head_epochs
        batches = list(_batches(self.material.photos, self.settings, rng))  # all drawn before the first step
        return float(np.mean([self._step(batch, rng, joint) for batch in batches]))

    def _step(self, batch: list[int], rng: np.random.Generator, joint: bool) -> float:
        def gradients(scale_loss: Callable[[Tensor], Tensor]) -> Tensor:
            loss = self._loss(batch, rng, joint)
            scale_loss(loss).backward()
            return loss

        loss, _ = self.optimizer.update(gradients)
        steps = self.optimizer.step
        with torch.no_grad():
            decay = min(self.settings.average, steps / (steps + 10))
            torch._foreach_lerp_(self.average, self.trained, 1 - decay)
        return loss

    def _rate(self, peak: float, *, rests: bool = False) -> Callable[[int], float]:
        """A cosine from `peak` to a hundredth after a warm-up; while it `rests`, in the first phase, zero."""

        def rate(step: int) -> float:
            if rests and step < self.settings.head_epochs * self.epoch_steps:
                return 0.0
            done = step / (self._epochs * self.epoch_steps)
            return peak * min(1.0, (step + 1) / 40) * (0.5 * (1 + math.cos(math.pi * done)) + 0.01)

        return rate

    def _groups(self) -> list[ParameterGroup]:
        """What is trained, each part at its own rate.

        Not the word table: 36,000 captions would only bend it.
        """
        model, settings = self.model, self.settings
        image = [*model.image.blocks[TRAINED_FROM:], model.image.head, model.image.classifier]
        model.requires_grad_(False)
        return [
            ParameterGroup(_opened(model.image_head, model.text_head), 0.05, self._rate(settings.head_rate)),
            ParameterGroup(_opened(model.text.layers), 0.01, self._rate(settings.text_rate)),
            ParameterGroup(_opened(*image), 0.01, self._rate(settings.image_rate, rests=True)),
            ParameterGroup([model.log_scale.requires_grad_(True)], 0.0, self._rate(settings.head_rate)),
        ]

    def _loss(self, batch: list[int], rng: np.random.Generator, joint: bool) -> Tensor:
        model, settings = self.model, self.settings
        which = rng.integers(len(self.material.views), size=len(batch))
        pooled = self._pooled(which, batch, joint=joint)
        before = torch.stack([self.before[v][i] for v, i in zip(which, batch, strict=True)]).float()
        named = self._classes_to_name(before, rng)
        captions = [_any(self.tokens[i], rng) for i in batch]
        names = [_any(self.names[i], rng) for i in named.tolist()]
        words = [_any(self.words, rng) for _ in range(_WORDS_A_STEP)]
        anchors = words + [_any(self.sentences, rng) for _ in range(_WORDS_A_STEP)]
        texts, name_texts, anchor_texts = encode(model, captions + names + anchors).split(
            [len(captions), len(names), len(anchors)]
        )
        images = model.encode_pooled(pooled)
        scale = model.log_scale.exp().clamp(max=100.0)  # the paper's clamp
        same = same_label(self.labels[torch.tensor(batch)]).to(self.device)
        loss = clip_loss(images, texts, scale, same)
        loss = loss + settings.naming * naming_loss(images @ name_texts.T, scale, before[:, named])
        with torch.no_grad():
            published = F.normalize(mean_vectors(self.published, anchors), dim=1)
            conse = published[: len(words)] @ model.mix(before).T
        loss = loss + settings.anchor * anchor_loss(anchor_texts, published)
        cosines = anchor_texts[: len(words)] @ images.T
        loss = loss + settings.ranking * ranking_loss(cosines, scale, conse, _CONSE_SCALE)
        if joint:
            logits = model.image.classifier(pooled[:, TAP_WIDTH:])
            loss = loss + settings.forgetting * forgetting_loss(logits, before)
        return loss

    def _classes_to_name(self, before: Tensor, rng: np.random.Generator) -> Tensor:
        """Numbers of the classes likeliest in a batch and of some others, int64[classes]."""
        order = before.sum(0).argsort(descending=True).cpu()
        others = rng.choice(len(order) - _LIKELY_NAMES, _OTHER_NAMES, replace=False)
        return torch.cat([order[:_LIKELY_NAMES], order[_LIKELY_NAMES + torch.from_numpy(others)]])

    def _pooled(self, which: np.ndarray, batch: Sequence[int], *, joint: bool) -> Tensor:
        """Pooled features of view which[k] of photo batch[k]: as cached, or through the trained blocks."""
        pooled = self._gather([view.pooled for view in self.material.views], which, batch)
        if not joint:
            return pooled
        maps = self._gather([view.maps for view in self.material.views], which, batch)
        with torch.autocast(self.device.type, torch.bfloat16):
            return self.model.pool_maps(maps, pooled[:, :FROZEN_WIDTH])

    def _gather(self, arrays: Sequence[np.ndarray], which: np.ndarray, batch: Sequence[int]) -> Tensor:
        rows = np.stack([arrays[v][i] for v, i in zip(which, batch, strict=True)])
        return torch.from_numpy(rows).to(self.device).float()

    def _save(self, checkpoint: Path, epoch: int) -> None:
        state = {
            "identity": asdict(self.settings),
            "epoch": epoch,
            "trained": self.trained,
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
        }
        write_state(state, checkpoint)

    def _resume(self, checkpoint: Path) -> int:
        """Take up a checkpoint made with the same settings; return the epoch to go on with."""
        if not checkpoint.is_file():
            return 0
        state = read_state(checkpoint)
        if differences(state, asdict(self.settings)):
            self.say("the checkpoint was made with other settings: starting again")
            return 0
        with torch.no_grad():
            torch._foreach_copy_(self.trained, [each.to(self.device) for each in state["trained"]])
            torch._foreach_copy_(self.average, [each.to(self.device) for each in state["average"]])
        self.optimizer.load_state_dict(state["optimizer"])
        self.say(f"resuming after epoch {state['epoch']}")
        return int(state["epoch"])


def _any(choices: Sequence[Tokens], rng: np.random.Generator) -> Tokens:
    return choices[rng.integers(len(choices))]


def _label_numbers(photos: Sequence[Photo]) -> Tensor:
    _, numbers = np.unique([photo.label for photo in photos], return_inverse=True)
    return torch.from_numpy(numbers)


def _opened(*modules: nn.Module) -> list[nn.Parameter]:
    """The modules' parameters, to be trained from now on."""
    return [parameter.requires_grad_(True) for module in modules for parameter in module.parameters()]
