"""Recall@k of photos by captions and of captions by photos, where a photo may have several captions.

The protocol is that of CLIP_benchmark (`zeroshot_retrieval`) and of Karpathy & Fei-Fei 2015: a caption looks
for its one photo; a photo is found out by any of its captions. Called by `clipsight evaluate --retrieval`,
the training's validation, recipes and benchmarks.
"""

import csv
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from clipsight.errors import LabelError
from clipsight.labelled import embed_files

if TYPE_CHECKING:
    from clipsight.indexing.indexer import Observer
    from clipsight.library import Library

Vectors = npt.NDArray[np.float32]

_BLOCK = 1 << 24
"""Cosines that are held at once: 64 MB."""


@dataclass(frozen=True)
class Recall:
    """How well one side finds the other. Shares are from 0 to 1."""

    at1: float
    at5: float
    at10: float
    median_rank: float
    """1 is the best."""

    @classmethod
    def of(cls, ranks: npt.NDArray[np.int64]) -> "Recall":
        """From ranks int64[n], 0 for the first place."""
        at1, at5, at10 = (float((ranks < k).mean()) for k in (1, 5, 10))
        return cls(at1, at5, at10, float(np.median(ranks)) + 1)

    def to_dict(self) -> dict[str, float]:
        """The figures as `--json` prints them."""
        return {
            "recall@1": round(self.at1, 6),
            "recall@5": round(self.at5, 6),
            "recall@10": round(self.at10, 6),
            "median_rank": self.median_rank,
        }


@dataclass(frozen=True)
class Retrieval:
    """Both directions, on so many photos and captions."""

    photos: int
    captions: int
    text_to_image: Recall
    image_to_text: Recall
    failures: tuple[tuple[Path, str], ...] = ()
    """Photos that could not be read, with the reason; they and their captions were left out."""

    def to_dict(self) -> dict[str, Any]:
        """The figures as `--json` prints them."""
        return {
            "photos": self.photos,
            "captions": self.captions,
            "text_to_image": self.text_to_image.to_dict(),
            "image_to_text": self.image_to_text.to_dict(),
            "failures": [{"path": str(path), "reason": reason} for path, reason in self.failures],
        }


def recall(images: Vectors, texts: Vectors, owner: Sequence[int]) -> tuple[Recall, Recall]:
    """Text to image and image to text, for unit vectors float[n, dim] and float[m, dim].

    Caption j belongs to photo `owner[j]`; every photo has at least one. Ties count for the right one.
    Memory is bounded: the cosines are made in blocks.
    """
    own = np.asarray(owner, dtype=np.int64)
    if set(own.tolist()) != set(range(len(images))):
        raise ValueError("every caption needs a photo, and every photo a caption")
    return Recall.of(_text_ranks(images, texts, own)), Recall.of(_image_ranks(images, texts, own))


def _text_ranks(images: Vectors, texts: Vectors, own: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """How many photos lie nearer to each caption than its own: int64[m]."""
    ranks = []
    for block in _blocks(len(texts), len(images)):
        cosines = texts[block] @ images.T
        right = cosines[np.arange(len(cosines)), own[block]]
        ranks.append((cosines > right[:, None]).sum(1))
    return np.concatenate(ranks)


def _image_ranks(images: Vectors, texts: Vectors, own: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """How many captions lie nearer to each photo than the best of its own: int64[n]."""
    order = np.argsort(own, kind="stable")  # the captions of a block of photos are neighbours then
    firsts = np.searchsorted(own[order], np.arange(len(images) + 1))
    ranks = []
    for block in _blocks(len(images), len(texts)):
        cosines = images[block] @ texts.T
        mine = order[firsts[block.start] : firsts[block.stop]]
        best = np.full(len(cosines), -np.inf, dtype=cosines.dtype)
        np.maximum.at(best, own[mine] - block.start, cosines[own[mine] - block.start, mine])
        ranks.append((cosines > best[:, None]).sum(1))
    return np.concatenate(ranks)


def _blocks(rows: int, columns: int) -> list[slice]:
    step = max(1, _BLOCK // columns)
    return [slice(start, min(start + step, rows)) for start in range(0, rows, step)]


def measure_retrieval(source: Path, library: "Library", *, observer: "Observer | None" = None) -> Retrieval:
    """Recall on the captioned photos of a CSV with `filepath` and `caption`, one row a caption.

    The photos' folders are indexed in `library` first. Raises `LabelError` for a CSV that can't be used
    or of which no photo can be read.
    """
    captions = read_captions(source)
    paths, images, failures = embed_files(list(captions), library, observer=observer)
    if not paths:
        raise LabelError(
            f"no photo that {source} names can be read: the first is {failures[0][0]}, {failures[0][1]}"
        )
    texts = library.encoder.encode_texts([caption for path in paths for caption in captions[path]])
    owner = [row for row, path in enumerate(paths) for _ in captions[path]]
    return Retrieval(len(paths), len(texts), *recall(images, texts, owner), failures)


def read_captions(source: Path) -> dict[Path, list[str]]:
    """The captions of each photo in a CSV with the columns `filepath` and `caption`.

    Paths are relative to the CSV file's folder. Raises `LabelError`.
    """
    found: dict[Path, list[str]] = {}
    try:
        with source.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            if not {"filepath", "caption"} <= set(reader.fieldnames or ()):
                raise LabelError(f"{source} needs the columns filepath and caption")
            for number, row in enumerate(reader, start=2):
                name, caption = (row["filepath"] or "").strip(), (row["caption"] or "").strip()
                if not name or not caption:
                    raise LabelError(f"{source}, line {number}: filepath or caption is empty")
                found.setdefault(Path(os.path.abspath(source.parent / name)), []).append(caption)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise LabelError(f"can't read the captions in {source}: {reason}") from error
    if not found:
        raise LabelError(f"{source} has no caption: one row a caption, with filepath and caption")
    return found
