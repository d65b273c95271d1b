"""Training in two phases: the heads and the text tower on cached features, then also the last image blocks.

The output of the image tower's frozen blocks is computed once (features.py). Every epoch is seeded by its
number and ends with a checkpoint, so that an interrupted run resumes to the same result.
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
from .everyday import DOCUMENTS, LABELLED, NAMED
from .features import View
from .loss import anchor_loss, forgetting_loss, naming_loss, ranking_loss, same_label
from .metrics import percent_recall
from .model import FROZEN_WIDTH, TAP_WIDTH, TRAINED_FROM, Builtin
from .texts import Tokens, encode, mean_vectors, tokenise, vocabulary_words
from .towers import fast_precision


@dataclass(frozen=True)
class TrainConfig:
    """Hyperparameters, chosen on the dev split; a resumed run must have the same values."""

    views: int = 4
    """Views per photo, the first without augmentation."""
    hidden: int = 1536
    dropout: float = 0.3
    captioned: int = 256
    """Captioned photos per step; every other source adds its share (SHARES)."""
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
    """Decay of the running average of the weights; the average is shipped."""


SHARES = {"products": 0.25, "clothing": 0.22, "scenes": 0.08, "imagenet": 0.33, "everyday": 0.7}
"""Photos of each other group of sources per captioned photo; a group without photos is left out."""

_COCO_REPEATS = 2
_WORDS_A_STEP = 64
"""Words per step, and sentences, for the anchor loss."""
_CONSE_SCALE = 20.0
"""Fixed logit scale of ConSE's cosines of words and photos."""
_LIKELY_NAMES, _OTHER_NAMES = 112, 48
"""Classes per step for the naming loss: the batch's likeliest, and random ones."""


@dataclass(frozen=True)
class TrainingData:
    """Photos with their cached views, and texts."""

    photos: Sequence[Photo]
    views: Sequence[View]
    sentences: Sequence[str]
    class_captions: Sequence[Sequence[str]]
    """Names of each ImageNet class."""


class _Sampler:
    """Infinite sampler over the photos of one source, reshuffled in each pass."""

    def __init__(self, indices: Sequence[int], rng: np.random.Generator):
        self._indices, self._rng, self._queue = list(indices), rng, list[int]()

    def take(self, count: int) -> list[int]:
        while len(self._queue) < count:
            self._queue += [self._indices[i] for i in self._rng.permutation(len(self._indices))]
        taken, self._queue = self._queue[:count], self._queue[count:]
        return taken


def _batches(photos: Sequence[Photo], config: TrainConfig, rng: np.random.Generator) -> Iterator[list[int]]:
    """Yield the batches of an epoch: each captioned photo about once, plus the other groups' shares.

    Without captioned photos (freely licensed sets alone have none), the everyday photos take their place.
    """
    of: dict[str, list[int]] = {}
    for i, photo in enumerate(photos):
        if photo.split == "train":
            of.setdefault(_group(photo.source), []).append(i)
    first = of.get("flickr", []) + of.get("coco", []) * _COCO_REPEATS or of.pop("everyday", [])
    main = _Sampler(first, rng)
    sides = {group: _Sampler(of[group], rng) for group in SHARES if group in of}
    for _ in range(max(1, len(first) // config.captioned)):
        batch = main.take(config.captioned)
        for group, sampler in sides.items():
            batch += sampler.take(max(1, round(config.captioned * SHARES[group])))
        yield batch


def _group(source: str) -> str:
    return "everyday" if source in (*LABELLED, *NAMED, *DOCUMENTS) else source


class Trainer:
    """Training of one model, from its first step or a checkpoint to the last step."""

    def __init__(
        self, model: Builtin, training_data: TrainingData, config: TrainConfig, log: Callable[[str], None]
    ):
        self.model, self.training_data, self.config, self.log = model, training_data, config, log
        self.device = model.log_scale.device
        self.labels = _label_numbers(training_data.photos)
        self.tokens = [tokenise(photo.captions) for photo in training_data.photos]
        self.names = [tokenise(captions) for captions in training_data.class_captions]
        self.sentences, self.words = tokenise(training_data.sentences), tokenise(vocabulary_words())
        self.published = copy.deepcopy(model.text).requires_grad_(False).eval()
        with torch.no_grad():
            pooled = torch.from_numpy(training_data.views[0].pooled).to(self.device)
            train = [i for i, photo in enumerate(training_data.photos) if photo.split == "train"]
            model.image_head.mean.copy_(pooled[train].mean(0))
            model.image_head.std.copy_(pooled[train].std(0) + 1e-3)
            last = [
                torch.from_numpy(view.pooled[:, TAP_WIDTH:]).to(self.device) for view in training_data.views
            ]
            self.before = [model.image.classifier(x).softmax(-1).half() for x in last]
        batches = _batches(training_data.photos, config, np.random.default_rng(0))
        self.epoch_steps = sum(1 for _ in batches)
        self.optimizer = Optimizer(self._groups(), self.device, epsilon=1e-8)
        self.trained = self.optimizer.parameters
        self.average = [p.detach().clone() for p in self.trained]

    def run(self, checkpoint: Path) -> None:
        """Train to the end, then load the averaged weights."""
        first = self._resume(checkpoint)
        self.log(f"epoch {first} of {self._epochs}: {self._dev_recall()}")
        for epoch in range(first, self._epochs):
            started, loss = time.monotonic(), self._epoch(epoch)
            self._save(checkpoint, epoch + 1)
            took = time.monotonic() - started
            done = f"epoch {epoch + 1} of {self._epochs}"
            self.log(f"{done}: loss {loss:.3f}, {took:.0f} s, {self._dev_recall()}")
        with torch.no_grad():
            torch._foreach_copy_(self.trained, self.average)
        self.model.eval()

    @torch.no_grad()
    def _dev_recall(self) -> str:
        """Format the dev recall of the averaged weights; leaves the training state unchanged."""
        dev = [
            i for i, p in enumerate(self.training_data.photos) if p.split == "dev" and p.source == "flickr"
        ]
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
        return self.config.head_epochs + self.config.joint_epochs

    def _epoch(self, epoch: int) -> float:
        rng = np.random.default_rng((SEED, epoch))
        torch.manual_seed(SEED + epoch)
        self.model.train()
        joint = epoch >= self.config.head_epochs
        batches = list(_batches(self.training_data.photos, self.config, rng))  # drawn before the first step
        return float(np.mean([self._step(batch, rng, joint) for batch in batches]))

    def _step(self, batch: list[int], rng: np.random.Generator, joint: bool) -> float:
        def gradients(scale_loss: Callable[[Tensor], Tensor]) -> Tensor:
            loss = self._loss(batch, rng, joint)
            scale_loss(loss).backward()
            return loss

        loss, _ = self.optimizer.update(gradients)
        steps = self.optimizer.step
        with torch.no_grad():
            decay = min(self.config.average, steps / (steps + 10))
            torch._foreach_lerp_(self.average, self.trained, 1 - decay)
        return loss

    def _rate(self, peak: float, *, rests: bool = False) -> Callable[[int], float]:
        """Cosine schedule from `peak` to a hundredth, with warm-up; with `rests`, zero in phase one."""

        def rate(step: int) -> float:
            if rests and step < self.config.head_epochs * self.epoch_steps:
                return 0.0
            done = step / (self._epochs * self.epoch_steps)
            return peak * min(1.0, (step + 1) / 40) * (0.5 * (1 + math.cos(math.pi * done)) + 0.01)

        return rate

    def _groups(self) -> list[ParameterGroup]:
        """Parameter groups with their own rates.

        The token embedding stays frozen: 36,000 captions are too few to train it.
        """
        model, config = self.model, self.config
        image = [*model.image.blocks[TRAINED_FROM:], model.image.head, model.image.classifier]
        model.requires_grad_(False)
        return [
            ParameterGroup(_unfreeze(model.image_head, model.text_head), 0.05, self._rate(config.head_rate)),
            ParameterGroup(_unfreeze(model.text.layers), 0.01, self._rate(config.text_rate)),
            ParameterGroup(_unfreeze(*image), 0.01, self._rate(config.image_rate, rests=True)),
            ParameterGroup([model.log_scale.requires_grad_(True)], 0.0, self._rate(config.head_rate)),
        ]

    def _loss(self, batch: list[int], rng: np.random.Generator, joint: bool) -> Tensor:
        model, config = self.model, self.config
        which = rng.integers(len(self.training_data.views), size=len(batch))
        pooled = self._pooled(which, batch, joint=joint)
        before = torch.stack([self.before[v][i] for v, i in zip(which, batch, strict=True)]).float()
        named = self._classes_to_name(before, rng)
        captions = [_choice(self.tokens[i], rng) for i in batch]
        names = [_choice(self.names[i], rng) for i in named.tolist()]
        words = [_choice(self.words, rng) for _ in range(_WORDS_A_STEP)]
        anchors = words + [_choice(self.sentences, rng) for _ in range(_WORDS_A_STEP)]
        texts, name_texts, anchor_texts = encode(model, captions + names + anchors).split(
            [len(captions), len(names), len(anchors)]
        )
        images = model.encode_pooled(pooled)
        scale = model.log_scale.exp().clamp(max=100.0)  # the paper's clamp
        same = same_label(self.labels[torch.tensor(batch)]).to(self.device)
        loss = clip_loss(images, texts, scale, same)
        loss = loss + config.naming * naming_loss(images @ name_texts.T, scale, before[:, named])
        with torch.no_grad():
            published = F.normalize(mean_vectors(self.published, anchors), dim=1)
            conse = published[: len(words)] @ model.mix(before).T
        loss = loss + config.anchor * anchor_loss(anchor_texts, published)
        cosines = anchor_texts[: len(words)] @ images.T
        loss = loss + config.ranking * ranking_loss(cosines, scale, conse, _CONSE_SCALE)
        if joint:
            logits = model.image.classifier(pooled[:, TAP_WIDTH:])
            loss = loss + config.forgetting * forgetting_loss(logits, before)
        return loss

    def _classes_to_name(self, before: Tensor, rng: np.random.Generator) -> Tensor:
        """Indices of the likeliest classes of a batch and of random others, int64[classes]."""
        order = before.sum(0).argsort(descending=True).cpu()
        others = rng.choice(len(order) - _LIKELY_NAMES, _OTHER_NAMES, replace=False)
        return torch.cat([order[:_LIKELY_NAMES], order[_LIKELY_NAMES + torch.from_numpy(others)]])

    def _pooled(self, which: np.ndarray, batch: Sequence[int], *, joint: bool) -> Tensor:
        """Features of view which[k] of photo batch[k], from the cache or, if `joint`, the trained blocks."""
        pooled = self._gather([view.pooled for view in self.training_data.views], which, batch)
        if not joint:
            return pooled
        maps = self._gather([view.maps for view in self.training_data.views], which, batch)
        with fast_precision(self.device):
            return self.model.pool_maps(maps, pooled[:, :FROZEN_WIDTH])

    def _gather(self, arrays: Sequence[np.ndarray], which: np.ndarray, batch: Sequence[int]) -> Tensor:
        rows = np.stack([arrays[v][i] for v, i in zip(which, batch, strict=True)])
        return torch.from_numpy(rows).to(self.device).float()

    def _save(self, checkpoint: Path, epoch: int) -> None:
        state = {
            "identity": asdict(self.config),
            "epoch": epoch,
            "trained": self.trained,
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
        }
        write_state(state, checkpoint)

    def _resume(self, checkpoint: Path) -> int:
        """Restore a checkpoint with the same config, if there is one; return the next epoch."""
        if not checkpoint.is_file():
            return 0
        state = read_state(checkpoint)
        if differences(state, asdict(self.config)):
            self.log("the checkpoint has another config: starting again")
            return 0
        with torch.no_grad():
            torch._foreach_copy_(self.trained, [each.to(self.device) for each in state["trained"]])
            torch._foreach_copy_(self.average, [each.to(self.device) for each in state["average"]])
        self.optimizer.load_state_dict(state["optimizer"])
        self.log(f"resuming after epoch {state['epoch']}")
        return int(state["epoch"])


def _choice(choices: Sequence[Tokens], rng: np.random.Generator) -> Tokens:
    return choices[rng.integers(len(choices))]


def _label_numbers(photos: Sequence[Photo]) -> Tensor:
    _, numbers = np.unique([photo.label for photo in photos], return_inverse=True)
    return torch.from_numpy(numbers)


def _unfreeze(*modules: nn.Module) -> list[nn.Parameter]:
    """Make the modules' parameters trainable and return them."""
    return [parameter.requires_grad_(True) for module in modules for parameter in module.parameters()]
