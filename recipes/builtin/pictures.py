"""The photos that the image head learns from: which ones, their views, captions and prompts."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from .data import SEED, Photo, class_names, load_photos_with_everyday
from .everyday import held_out_names, load_everyday
from .features import Runner, pooled_view
from .heads import Lessons, Prompts
from .licences import Choice, allowed
from .prompts import choices
from .words import class_captions

_CAPTIONS = {"flickr": 3, "products": 2}
"""Captions a photo that are learnt from; of other sets, all."""

_LEARNT = ("flickr", "products", "clothing", "scenes")


def chosen_photos(photos: Sequence[Photo], unseen: Collection[str], choice: Choice) -> list[Photo]:
    """The same photos; those that may not be trained on get the split "left out".

    These are photos of sets that `choice` excludes, and photos with a name in `unseen`.
    """
    return [
        photo
        if photo.split != "train"
        or (allowed(photo.source, choice) and not {photo.label, *photo.captions}.intersection(unseen))
        else replace(photo, split="left out")
        for photo in photos
    ]


def all_and_chosen(data: Path, choice: Choice, *, control: bool) -> tuple[list[Photo], list[Photo]]:
    """All photos, and `chosen_photos`; for a `control` a fifth of the labelled sets' names are unseen."""
    everything = load_photos_with_everyday(data)
    unseen = held_out_names(load_everyday(data, SEED), SEED) if control else frozenset()
    return everything, chosen_photos(everything, unseen, choice)


def viewed(photos: Sequence[Photo], view: int) -> list[int]:
    """Photos that have this view: those for training, in the first view those for choosing too, in augmented
    views none of sets that the first head learnt from at length.
    """
    return [
        i
        for i, photo in enumerate(photos)
        if photo.split in ("train", "dev")
        and (view == 0 or (photo.split == "train" and photo.source not in _LEARNT))
    ]


@dataclass(frozen=True)
class Pictures:
    """All photos, in the order of the data, and what is to be learnt of those for training."""

    photos: Sequence[Photo]
    views: Sequence[NDArray[np.float32]]
    """Pooled features by view, float32[photos,FEATURES]; rows of zeros are missing."""
    captions: Sequence[Sequence[str]]
    """English captions to learn, by photo; none of photos that are not for training."""
    classes: Sequence[Sequence[str]]
    """Captions of ImageNet's classes."""
    prompts: Mapping[int, tuple[tuple[str, ...], int]]
    """As of `prompts.choices`, for photos with captions."""

    def texts(self) -> list[str]:
        """All texts, each once."""
        prompts = (texts for texts, _ in self.prompts.values())
        return list(
            dict.fromkeys(text for rows in (*self.classes, *self.captions, *prompts) for text in rows)
        )

    def lessons(self, vectors: Mapping[str, Tensor]) -> tuple[Tensor, Lessons]:
        """The class names' embeddings, unit float[1000,width], and the head's lessons, from the embeddings of
        `texts`.
        """
        row = {text: i for i, text in enumerate(vectors)}
        known = torch.stack([torch.stack([vectors[text] for text in rows]).mean(0) for rows in self.classes])
        prompts = {
            i: Prompts([row[text] for text in texts], right) for i, (texts, right) in self.prompts.items()
        }
        captions = [[row[text] for text in rows] for rows in self.captions]
        table = torch.stack(list(vectors.values()))
        return F.normalize(known, dim=1), Lessons(self.photos, self.views, table, captions, prompts)


def read_pictures(
    data: Path,
    chosen: Sequence[Photo],
    everything: Sequence[Photo],
    views: int,
    cache: Path,
    runner: Callable[[], Runner],
    log: Callable[[str], None],
) -> Pictures:
    """Read the photos; their views are kept in the folder `cache`, which runs of any choice share."""
    paths = [cache / f"view-{view}.npy" for view in range(views)]
    pooled = [
        pooled_view(data, everything, viewed(everything, view), view, path, runner, log)
        for view, path in enumerate(paths)
    ]
    captions = [
        photo.captions[: _CAPTIONS.get(photo.source)] if photo.split == "train" else () for photo in chosen
    ]
    prompts = {i: found for i, found in choices(data, chosen).items() if captions[i]}
    classes = [class_captions(i, name) for i, name in enumerate(class_names(data))]
    return Pictures(chosen, pooled, captions, classes, prompts)
