"""Captioned photos to batches: decoded, cropped and tokenised in worker processes, in a seeded order.

What a photo's turn yields depends on the seed, the epoch and the photo alone, not on workers or processes,
so a run that is resumed, or spread over more processes, goes on with the same batches. Called by `trainer`,
`held_out` and `run`.
"""

import math
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

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
from clipsight.training.source import Indices, Source

if TYPE_CHECKING:
    pass

Pixels = npt.NDArray[np.uint8]

_TRIES = 20
"""Photos tried one after another for one place in a batch before it is given up."""


@dataclass(frozen=True)
class Batch:
    """What the workers hand over: uint8[batch,height,width,3] and token ids int64[batch,context]."""

    pixels: Tensor
    ids: Tensor
    skipped: tuple[tuple[str, str], ...] = ()
    """Photos in whose place others stand, with the reason."""

    def inputs(self, device: torch.device, config: PreprocessConfig) -> tuple[Tensor, Tensor]:
        """What `CLIP` takes: normalised float32[batch,3,height,width] and the ids, on `device`."""
        return normalise(self.pixels.to(device), config), self.ids.to(device)


@dataclass(frozen=True)
class Examples(Dataset[tuple[Pixels | None, npt.NDArray[np.int64], tuple[tuple[str, str], ...]]]):
    """The photos `indices` of `source` as training sees them, by (epoch, index).

    One caption drawn at random, and a crop of at least `crop` of the area with up to 4:3 stretch, resized:
    the only augmentation, as in OpenCLIP. A photo that can't be read is replaced by another.
    """

    source: Source
    indices: Indices
    image_size: int
    context_length: int
    crop: float = 0.9
    seed: int = 0

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(
        self, key: tuple[int, int]
    ) -> tuple[Pixels | None, npt.NDArray[np.int64], tuple[tuple[str, str], ...]]:
        epoch, index = key
        rng = np.random.default_rng((self.seed, epoch, index))
        skipped = []
        for _ in range(_TRIES):
            try:
                captions = self.source.captions(index)
                image = decode(self.source.photo(index), mtime_ns=0, min_side=self._min_side()).image
            except PhotoError as error:
                skipped.append((self.source.name(index), str(error)))
                index = int(rng.choice(self.indices))
                continue
            caption = captions[rng.integers(len(captions))]
            pixels = random_crop(image, self.image_size, self.crop, rng)
            return pixels, tokenise([caption], self.context_length)[0], tuple(skipped)
        return None, np.zeros(0, np.int64), tuple(skipped)

    def _min_side(self) -> int:
        return math.ceil(self.image_size / math.sqrt(self.crop))


def random_crop(image: Image, size: int, least: float, rng: np.random.Generator) -> Pixels:
    """A part of the photo with at least the share `least` of its area, as uint8[size,size,3].

    As torchvision's RandomResizedCrop(size, scale=(least, 1), ratio=(3/4, 4/3)), bicubic.
    """
    left, top, width, height = _crop_box(image.width, image.height, least, rng)
    box = (left, top, left + width, top + height)
    return np.asarray(image.resize((size, size), Resampling.BICUBIC, box), np.uint8)


def _crop_box(
    width: int, height: int, least: float, rng: np.random.Generator
) -> tuple[float, float, float, float]:
    narrowest, widest = 3 / 4, 4 / 3
    for _ in range(10):
        area = width * height * rng.uniform(least, 1)
        ratio = math.exp(rng.uniform(math.log(narrowest), math.log(widest)))
        across, down = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < across <= width and 0 < down <= height:
            left, top = rng.integers(width - across + 1), rng.integers(height - down + 1)
            return int(left), int(top), across, down
    w, h = min(width, height * widest), min(height, width / narrowest)
    return (width - w) / 2, (height - h) / 2, w, h


@dataclass(frozen=True)
class Plan:
    """Which photos each step takes: every photo once an epoch, in an order of its own; the rest is dropped.

    A process takes its part of each batch: rows `rank * batch / processes` and on.
    """

    examples: Examples
    batch: int
    """Photos a step, of all processes together."""
    steps: int
    """Of the whole run."""
    first: int = 0
    """The step to begin with, 0 for a run that is not resumed."""
    rank: int = 0
    processes: int = 1

    def __len__(self) -> int:
        return self.steps - self.first

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        an_epoch = len(self.examples) // self.batch
        share = self.batch // self.processes
        epoch, order = -1, np.zeros(0, np.int64)
        for step in range(self.first, self.steps):
            if step // an_epoch != epoch:
                epoch = step // an_epoch
                order = self._order(epoch)
            start = step % an_epoch * self.batch + self.rank * share
            yield [(epoch, int(index)) for index in order[start : start + share]]

    def _order(self, epoch: int) -> Indices:
        source, indices = self.examples.source, self.examples.indices
        wanted = np.zeros(len(source), dtype=bool)
        wanted[indices] = True
        order = source.order(np.random.default_rng((self.examples.seed, epoch)))
        return order[wanted[order]]


def batches(plan: Plan, workers: int) -> Iterator[Batch]:
    """The batches of a plan, read ahead by `workers` processes; with 0, by this one."""
    return iter(_loader(plan.examples, workers, _collate, batch_sampler=plan))


@dataclass(frozen=True)
class Plain(Dataset[tuple[int, Pixels | None, str]]):
    """The photos `indices` of `source` as search sees them, the middle, resized; or why one can't be read."""

    source: Source
    indices: Indices
    config: PreprocessConfig

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, row: int) -> tuple[int, Pixels | None, str]:
        index = int(self.indices[row])
        try:
            image = decode(self.source.photo(index), mtime_ns=0, min_side=max(self.config.size)).image
        except PhotoError as error:
            return index, None, str(error)
        return index, resize_and_crop(image, self.config), ""


def plain_batches(photos: Plain, batch: int, workers: int) -> Iterator[list[tuple[int, Pixels | None, str]]]:
    """All of them once, in their order."""
    return iter(_loader(photos, workers, list, batch_size=batch))


def _loader(
    data: Dataset[Any], workers: int, collate: Callable[[list[Any]], Any], **options: Any
) -> DataLoader[Any]:
    return DataLoader(
        data,
        collate_fn=collate,
        num_workers=workers,
        worker_init_fn=_ignore_interrupts,
        generator=torch.Generator(),  # its own, so that the model's random numbers go on as if never asked
        **options,
    )


def _collate(examples: list[Any]) -> Batch:
    pixels = [pixels for pixels, _, _ in examples if pixels is not None]
    ids = [ids for pixels, ids, _ in examples if pixels is not None]
    skipped = tuple(each for _, _, skipped in examples for each in skipped)
    if not pixels:
        return Batch(torch.empty(0), torch.empty(0), skipped)
    return Batch(torch.from_numpy(np.stack(pixels)), torch.from_numpy(np.stack(ids)), skipped)


def _ignore_interrupts(worker: int) -> None:
    """Ctrl-C is for the process that trains; it ends its workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
