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

from .data import SEED, Photo
from .features import View
from .loss import anchor_loss, clip_loss, forgetting_loss, naming_loss, ranking_loss, same_label
from .metrics import recall
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
        self.groups = _parameter_groups(model, settings)
        self.trained = [p for group in self.groups for p in group["params"]]
        self.average = [p.detach().clone() for p in self.trained]
        self.optimiser = torch.optim.AdamW(self.groups, betas=(0.9, 0.98))
        self.steps = 0

    def run(self, checkpoint: Path) -> None:
        """Train to the end, then put the averaged weights in place."""
        total = self.settings.head_epochs + self.settings.joint_epochs
        for epoch in range(self._resume(checkpoint), total):
            started, loss = time.monotonic(), self._epoch(epoch, total)
            self._save(checkpoint, epoch + 1)
            took = time.monotonic() - started
            self.say(f"epoch {epoch + 1} of {total}: loss {loss:.3f}, {took:.0f} s, {self._dev_recall()}")
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
        found = recall(images.cpu().numpy(), texts.cpu().numpy(), owner)["text_to_image"]
        return f"dev recall at 1, 5, 10: {found}"

    def _epoch(self, epoch: int, total: int) -> float:
        rng = np.random.default_rng((SEED, epoch))
        torch.manual_seed(SEED + epoch)
        self.model.train()
        joint = epoch >= self.settings.head_epochs
        batches = list(_batches(self.material.photos, self.settings, rng))
        losses = []
        for i, batch in enumerate(batches):
            self._set_rates((epoch + i / len(batches)) / total, joint)
            loss = self._loss(batch, rng, joint)
            self.optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(self.trained, 1.0)
            self.optimiser.step()
            self.steps += 1
            with torch.no_grad():
                decay = min(self.settings.average, self.steps / (self.steps + 10))
                torch._foreach_lerp_(self.average, self.trained, 1 - decay)
            losses.append(loss.item())
        return float(np.mean(losses))

    def _set_rates(self, done: float, joint: bool) -> None:
        """A cosine from the top to zero after a short warm-up; the image blocks rest in the first phase."""
        warm = min(1.0, (self.steps + 1) / 40)
        for group in self.optimiser.param_groups:
            rest = group["name"] == "image" and not joint
            group["lr"] = (
                0.0 if rest else group["peak"] * warm * (0.5 * (1 + math.cos(math.pi * done)) + 0.01)
            )

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
        partial = checkpoint.with_suffix(".partial")
        state = {
            "epoch": epoch,
            "steps": self.steps,
            "settings": asdict(self.settings),
            "trained": self.trained,
            "average": self.average,
            "optimiser": self.optimiser.state_dict(),
        }
        torch.save(state, partial)
        partial.replace(checkpoint)

    def _resume(self, checkpoint: Path) -> int:
        """Take up a checkpoint made with the same settings; return the epoch to go on with."""
        if not checkpoint.is_file():
            return 0
        state = torch.load(checkpoint, map_location=self.device, weights_only=True)
        if state["settings"] != asdict(self.settings):
            self.say("the checkpoint was made with other settings: starting again")
            return 0
        with torch.no_grad():
            torch._foreach_copy_(self.trained, state["trained"])
            torch._foreach_copy_(self.average, state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.steps = state["steps"]
        self.say(f"resuming after epoch {state['epoch']}")
        return int(state["epoch"])


def _any(choices: Sequence[Tokens], rng: np.random.Generator) -> Tokens:
    return choices[rng.integers(len(choices))]


def _label_numbers(photos: Sequence[Photo]) -> Tensor:
    _, numbers = np.unique([photo.label for photo in photos], return_inverse=True)
    return torch.from_numpy(numbers)


def _parameter_groups(model: Builtin, settings: Settings) -> list[dict]:
    """What is trained, each part at its own rate; not the word table: 36,000 captions would only bend it."""
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    parts: dict[str, tuple[list[nn.Module], float, float]] = {
        "heads": ([model.image_head, model.text_head], settings.head_rate, 0.05),
        "text": ([model.text.layers], settings.text_rate, 0.01),
        "image": (
            [*model.image.blocks[TRAINED_FROM:], model.image.head, model.image.classifier],
            settings.image_rate,
            0.01,
        ),
    }
    groups = []
    for name, (modules, peak, decay) in parts.items():
        parameters = [p for module in modules for p in module.parameters()]
        groups.append({"name": name, "params": parameters, "peak": peak, "weight_decay": decay})
    groups.append(
        {"name": "scale", "params": [model.log_scale], "peak": settings.head_rate, "weight_decay": 0.0}
    )
    for group in groups:
        for parameter in group["params"]:
            parameter.requires_grad_(True)
        group["lr"] = group["peak"]
    return groups
