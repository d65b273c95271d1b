"""Photos that no model of ours was trained on, with their embeddings, labels and captions.

Those of the dev and test splits of the builtin model's recipe: captioned photos, and sets with one label a
photo (things, instruments, food, groceries, tools, rooms, clothes, scenes, drawings).
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from clipsight.models.encoder import Encoder
from recipes.builtin.data import Photo, load_photos_with_everyday
from recipes.builtin.everyday import LABELLED

Vectors = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]

CAPTIONED = ("flickr", "coco")
LABELLED_SETS = (*LABELLED, "clothing", "scenes")

_BATCH = 16


@dataclass(frozen=True, eq=False)
class Photos:
    """Photos with their unit vectors, float32[n, dim]."""

    photos: tuple[Photo, ...]
    vectors: Vectors

    @cached_property
    def sources(self) -> npt.NDArray[np.str_]:
        return np.array([photo.source for photo in self.photos])

    @cached_property
    def labels(self) -> npt.NDArray[np.str_]:
        return np.array([photo.label for photo in self.photos])

    @cached_property
    def captioned(self) -> Bools:
        """True for photos with captions, bool[n]."""
        return np.isin(self.sources, CAPTIONED)

    @cached_property
    def half(self) -> npt.NDArray[np.int64]:
        """0 or 1 for each photo, by a hash of its path."""
        return np.array([bucket(photo.path, 2) for photo in self.photos])

    @cached_property
    def _sentences(self) -> tuple[list[tuple[int, str]], dict[str, set[int]]]:
        """Captions with their photo's number, words between single spaces; the captions with each word."""
        sentences = [
            (row, f" {' '.join(words_of(caption))} ")
            for row in np.flatnonzero(self.captioned).tolist()
            for caption in self.photos[row].captions
        ]
        having: dict[str, set[int]] = defaultdict(set)
        for number, (_, text) in enumerate(sentences):
            for word in text.split():
                having[word].add(number)
        return sentences, having

    def mention(self, *groups: Iterable[str]) -> Bools:
        """True for photos with a caption that has a word, or words in a row, of each of `groups`: bool[n]."""
        sentences, _ = self._sentences
        found = set.intersection(*(set().union(*map(self._saying, group)) for group in groups))
        mentioned = np.zeros(len(self.photos), np.bool_)
        mentioned[[sentences[number][0] for number in found]] = True
        return mentioned

    def _saying(self, term: str) -> set[int]:
        """Captions with these words in a row."""
        sentences, having = self._sentences
        words = words_of(term)
        found = set.intersection(*(having.get(word, set()) for word in words)) if words else set()
        row = f" {' '.join(words)} "
        return found if len(words) == 1 else {number for number in found if row in sentences[number][1]}


def words_of(text: str) -> list[str]:
    """Words of an English text in lower case, without punctuation and hyphens."""
    return re.sub(r"[^a-z0-9' ]", " ", text.lower()).split()


def bucket(name: str, count: int) -> int:
    """One of `count` numbers, by a hash of `name`."""
    return int.from_bytes(hashlib.sha256(f"calibration/{name}".encode()).digest()[:8], "big") % count


def load(data: Path, encoder: Encoder, work: Path, log: Callable[[str], None]) -> Photos:
    """The photos of `data`, embedded once: vectors are kept in `work`.

    Raises RecipeError for missing data.
    """
    chosen = [
        photo
        for photo in load_photos_with_everyday(data)
        if photo.split != "train" and photo.source in (*CAPTIONED, *LABELLED_SETS)
    ]
    cache = work / f"photos-{encoder.folder.fingerprint()}.npz"
    known: dict[str, Vectors] = {}
    if cache.is_file():
        with np.load(cache) as kept:
            known = dict(zip(kept["paths"].tolist(), kept["vectors"], strict=True))
    missing = [photo.path for photo in chosen if photo.path not in known]
    if missing:
        log(f"embedding {len(missing)} photos")
        known |= _embed(data, missing, encoder)
        work.mkdir(parents=True, exist_ok=True)
        np.savez(cache, paths=np.array(list(known)), vectors=np.stack(list(known.values())))
    return Photos(tuple(chosen), np.stack([known[photo.path] for photo in chosen]))


def _embed(data: Path, paths: Sequence[str], encoder: Encoder) -> dict[str, Vectors]:
    def batch(names: Sequence[str]) -> Vectors:
        pixels = []
        for name in names:
            with Image.open(data / name) as image:
                pixels.append(encoder.preprocess(image.convert("RGB")))
        return encoder.encode_pixels(pixels)

    chunks = [paths[start : start + _BATCH] for start in range(0, len(paths), _BATCH)]
    with ThreadPoolExecutor(encoder.workers) as pool:
        vectors = np.concatenate(list(pool.map(batch, chunks)))
    return dict(zip(paths, vectors, strict=True))
