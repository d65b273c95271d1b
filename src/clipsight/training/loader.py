"""Batches of captioned photos: decoded, cropped and tokenised in worker processes, in a seeded order.

An example depends only on the seed, the epoch and the index, not on the number of workers or processes, so
that a run that is resumed, or uses more processes, continues with the same batches.
"""

import math
import signal
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL.Image import Image, Resampling
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from clipsight.clip.tokens import normalise, tokenise
from clipsight.core.errors import PhotoError
from clipsight.indexing.media.photo import decode
from clipsight.models.preprocess import PreprocessConfig, resize_and_crop
from clipsight.training.datasets import CaptionDataset, Indices

Pixels = npt.NDArray[np.uint8]
Skipped = tuple[tuple[str, str], ...]
"""Names of unreadable photos, each with the reason."""

TrainingExample = tuple[Pixels | None, npt.NDArray[np.int64], Skipped]
"""uint8[size,size,3] or None, token ids int64[context], and the unreadable photos skipped before."""

EvaluationExample = tuple[int, Pixels | None, str]
"""Index, uint8[height,width,3] or None, and the reason for None."""

_MAX_ATTEMPTS = 20
"""Photos tried for one row of a batch before the row is left out."""


@dataclass(frozen=True)
class Batch:
    """One process's share of a training step."""

    pixels: Tensor
    """uint8[batch,size,size,3]"""
    ids: Tensor
    """Token ids, int64[batch,context]."""
    skipped: Skipped = ()
    """Unreadable photos that were replaced by others."""

    def to_inputs(self, device: torch.device, preprocess: PreprocessConfig) -> tuple[Tensor, Tensor]:
        """Normalised float32[batch,3,size,size] and token ids int64[batch,context] on `device`."""
        return normalise(self.pixels.to(device), preprocess), self.ids.to(device)


@dataclass(frozen=True)
class TrainingExamples(Dataset[TrainingExample]):
    """Augmented photos of `dataset` by (epoch, index), each with one caption drawn at random.

    The only augmentation is OpenCLIP's: a crop of at least `crop` of the area with an aspect ratio changed by
    up to 4:3, resized. An unreadable photo is replaced by another of `indices`.
    """

    dataset: CaptionDataset
    indices: Indices
    image_size: int
    context_length: int
    crop: float = 0.9
    seed: int = 0

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, key: tuple[int, int]) -> TrainingExample:
        epoch, index = key
        rng = np.random.default_rng((self.seed, epoch, index))
        skipped = []
        for _ in range(_MAX_ATTEMPTS):
            try:
                captions = self.dataset.captions(index)
                image = decode(
                    self.dataset.photo(index), mtime_ns=0, min_side=self._min_side(), strict=True
                ).image
            except PhotoError as error:
                skipped.append((self.dataset.name(index), str(error)))
                index = int(rng.choice(self.indices))
                continue
            caption = captions[rng.integers(len(captions))]
            pixels = random_crop(image, self.image_size, self.crop, rng)
            return pixels, tokenise([caption], self.context_length)[0], tuple(skipped)
        return None, np.zeros(0, np.int64), tuple(skipped)

    def _min_side(self) -> int:
        return math.ceil(self.image_size / math.sqrt(self.crop))


def random_crop(image: Image, size: int, min_area: float, rng: np.random.Generator) -> Pixels:
    """Random crop of at least the share `min_area` of the image, resized to uint8[size,size,3].

    As torchvision's RandomResizedCrop(size, scale=(min_area, 1), ratio=(3/4, 4/3)), bicubic.
    """
    left, top, width, height = _crop_box(image.width, image.height, min_area, rng)
    box = (left, top, left + width, top + height)
    return np.asarray(image.resize((size, size), Resampling.BICUBIC, box), np.uint8)


def _crop_box(
    width: int, height: int, min_area: float, rng: np.random.Generator
) -> tuple[float, float, float, float]:
    min_ratio, max_ratio = 3 / 4, 4 / 3
    for _ in range(10):
        area = width * height * rng.uniform(min_area, 1)
        ratio = math.exp(rng.uniform(math.log(min_ratio), math.log(max_ratio)))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            left, top = rng.integers(width - w + 1), rng.integers(height - h + 1)
            return int(left), int(top), w, h
    widest, highest = min(width, height * max_ratio), min(height, width / min_ratio)
    return (width - widest) / 2, (height - highest) / 2, widest, highest


@dataclass(frozen=True)
class BatchSampler:
    """Seeded batch sampler: (epoch, index) of each example of each remaining step of a run.

    Every epoch has all photos once, in an order of its own, without the last incomplete batch. A process gets
    `batch_size / world_size` consecutive rows of each batch.
    """

    examples: TrainingExamples
    batch_size: int
    """Photos per step, summed over all processes."""
    steps: int
    """Steps of the whole run."""
    first_step: int = 0
    """First step to yield; 0 unless the run is resumed."""
    rank: int = 0
    world_size: int = 1

    def __len__(self) -> int:
        return self.steps - self.first_step

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        steps_per_epoch = len(self.examples) // self.batch_size
        share = self.batch_size // self.world_size
        epoch, order = -1, np.zeros(0, np.int64)
        for step in range(self.first_step, self.steps):
            if step // steps_per_epoch != epoch:
                epoch = step // steps_per_epoch
                order = self._order(epoch)
            start = step % steps_per_epoch * self.batch_size + self.rank * share
            yield [(epoch, int(index)) for index in order[start : start + share]]

    def _order(self, epoch: int) -> Indices:
        dataset, indices = self.examples.dataset, self.examples.indices
        included = np.zeros(len(dataset), dtype=bool)
        included[indices] = True
        order = dataset.shuffled(np.random.default_rng((self.examples.seed, epoch)))
        return order[included[order]]


def training_batches(sampler: BatchSampler, workers: int) -> Iterator[Batch]:
    """Yield the batches of `sampler`, prefetched by `workers` processes, or loaded here if 0."""
    return _batches(sampler.examples, workers, _collate, batch_sampler=sampler)


@dataclass(frozen=True)
class EvaluationExamples(Dataset[EvaluationExample]):
    """Photos `indices` of `dataset`, preprocessed as for search, without augmentation."""

    dataset: CaptionDataset
    indices: Indices
    preprocess: PreprocessConfig

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, row: int) -> EvaluationExample:
        index = int(self.indices[row])
        try:
            photo = self.dataset.photo(index)
            image = decode(photo, mtime_ns=0, min_side=max(self.preprocess.size), strict=True).image
        except PhotoError as error:
            return index, None, str(error)
        return index, resize_and_crop(image, self.preprocess), ""


def evaluation_batches(
    examples: EvaluationExamples, batch_size: int, workers: int
) -> Iterator[list[EvaluationExample]]:
    """Yield all examples once, in order."""
    return _batches(examples, workers, list, batch_size=batch_size)


def _batches(
    data: Dataset[Any], workers: int, collate: Callable[[list[Any]], Any], **options: Any
) -> Iterator[Any]:
    with warnings.catch_warnings():
        # PyTorch's advice for more workers than cores: how many there are is the user's choice.
        warnings.filterwarnings("ignore", "This DataLoader will create", UserWarning)
        loader = DataLoader(
            data,
            collate_fn=collate,
            num_workers=workers,
            worker_init_fn=_reset_signals,
            generator=torch.Generator(),  # separate, so that loading leaves the model's random numbers alone
            **options,
        )
        return iter(loader)


def _collate(examples: list[TrainingExample]) -> Batch:
    pixels = [pixels for pixels, _, _ in examples if pixels is not None]
    ids = [ids for pixels, ids, _ in examples if pixels is not None]
    skipped = tuple(each for _, _, skipped in examples for each in skipped)
    if not pixels:
        return Batch(torch.empty(0), torch.empty(0), skipped)
    return Batch(torch.from_numpy(np.stack(pixels)), torch.from_numpy(np.stack(ids)), skipped)


def _reset_signals(worker: int) -> None:
    """Ignore Ctrl-C in a worker: the training process handles it and ends its workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
