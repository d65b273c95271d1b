"""Embeddings of photos: those stored in a library, and those of given photos of any kind."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from clipsight.core.arrays import Float16, Float32, UInt8
from clipsight.core.errors import InvalidVectorError, PhotoError
from clipsight.core.files import mtime_ns
from clipsight.indexing.media.picture import Picture
from clipsight.search.results import Embeddings
from clipsight.store.catalog import Catalog
from clipsight.store.records import Failure, FileStat, Model

if TYPE_CHECKING:
    from PIL.Image import Image

    from clipsight.models.encoder import Encoder
    from clipsight.models.preprocess import PreprocessConfig

CHUNK = 1024
"""Photos in memory at once."""

_PHOTOS_PER_BATCH = 16


def stored_embeddings(
    catalog: Catalog, model: Model, folders: Sequence[bytes] | None
) -> Iterator[Embeddings]:
    """Yield all indexed photos in and below `folders` (None: all), in chunks of up to `CHUNK`."""
    photos = catalog.iter_embedded_photos(model, folders)
    while chunk := list(islice(photos, CHUNK)):
        yield Embeddings(
            ids=np.array([photo.photo_id for photo in chunk], dtype=np.int64),
            paths=tuple(Path(os.fsdecode(photo.path)) for photo in chunk),
            vectors=np.stack([photo.vector for photo in chunk]).astype(np.float32),
        )


def failures_below(folders: Sequence[bytes], failures: Iterable[Failure]) -> Embeddings:
    """A chunk without photos, with those of `failures` that are below `folders` (empty: all)."""
    inside = tuple(folder.rstrip(b"/") + b"/" for folder in folders) or (b"",)
    return Embeddings(
        np.empty(0, np.int64),
        (),
        np.empty((0, 0), np.float32),
        tuple(
            (Path(os.fsdecode(failure.path)), failure.reason)
            for failure in failures
            if failure.path.startswith(inside)
        ),
    )


class PhotoEncoder(Protocol):
    """The part of `Encoder` that embeds photos."""

    @property
    def name(self) -> str:
        """Name of the model."""

    @property
    def dim(self) -> int:
        """Length of a vector."""

    @property
    def preprocessing(self) -> "PreprocessConfig":
        """Preparation of photos."""

    def preprocess(self, image: "Image") -> UInt8:
        """Pixels of an RGB photo as the model takes them, uint8[H, W, 3]."""

    def encode_pixels(self, pixels: Sequence[UInt8]) -> Float32:
        """Unit vectors of such pixels, float32[n, dim]."""


def embed_pictures(pictures: Sequence[Picture], encoder: PhotoEncoder) -> Float32:
    """Unit vectors of photos, float32[n, dim], in their order; pictures given as vectors are not embedded.

    Raises `PhotoError` for the first photo that can't be read, or for which the model returns no valid
    vector.
    """
    vectors, failures = _embed(pictures, encoder)
    for row, reason in sorted(failures.items()):
        raise PhotoError(f"can't use the picture {pictures[row].name}: {reason}")
    return vectors


def embed_photos(
    photos: Sequence[Picture], catalog: Catalog, model: Model, encoder: Callable[[], "Encoder"]
) -> Iterator[Embeddings]:
    """Yield photos with their vectors, in their order, in chunks.

    Unchanged files of the library have their stored vectors; others are read and embedded, but not added to
    the library. `encoder` is called when the first photo must be read. Unreadable photos are listed in their
    chunk's `failures`. Raises `PhotoError`, before anything is read, for a given vector of another length
    than `model`'s.
    """
    for photo in photos:
        photo.vector_of(model.name, model.dim)
    starts = range(0, len(photos), _PHOTOS_PER_BATCH)
    return (
        _embed_chunk(photos[start : start + _PHOTOS_PER_BATCH], catalog, model, encoder) for start in starts
    )


def _embed_chunk(
    photos: Sequence[Picture], catalog: Catalog, model: Model, encoder: Callable[[], "Encoder"]
) -> Embeddings:
    ids, vectors = np.zeros(len(photos), np.int64), np.empty((len(photos), model.dim), np.float32)
    new = []
    for row, photo in enumerate(photos):
        stored = _stored_vector(photo.file, catalog, model) if photo.file else None
        if stored is None:
            new.append(row)
        else:
            ids[row], vectors[row] = stored
    failures: dict[int, str] = {}
    if new:
        vectors[new], failed = _embed([photos[row] for row in new], encoder())
        failures = {new[place]: reason for place, reason in failed.items()}
    good = [row for row in range(len(photos)) if row not in failures]
    return Embeddings(
        ids=ids[good],
        paths=tuple(photos[row].path for row in good),
        vectors=vectors[good],
        failures=tuple((photos[row].path, failures[row]) for row in sorted(failures)),
        pictures=tuple(photos[row] for row in good),
    )


def _embed(pictures: Sequence[Picture], encoder: PhotoEncoder) -> tuple[Float32, dict[int, str]]:
    """Vectors of photos, float32[n, dim], and the reasons for rows that have none."""
    vectors = np.full((len(pictures), encoder.dim), np.nan, np.float32)
    failures: dict[int, str] = {}
    pixels: dict[int, UInt8] = {}
    for row, picture in enumerate(pictures):
        ready = picture.vector_of(encoder.name, encoder.dim)
        if ready is not None:
            vectors[row] = ready
            continue
        try:
            pixels[row] = encoder.preprocess(picture.open(min_side=max(encoder.preprocessing.size)))
        except PhotoError as error:
            failures[row] = str(error)
    if pixels:
        rows = list(pixels)
        try:
            vectors[rows] = encoder.encode_pixels(list(pixels.values()))
        except InvalidVectorError as error:
            vectors[rows] = error.vectors
            failures |= {rows[place]: error.reason for place in error.rows}
    return vectors, failures


def _stored_vector(file: Path, catalog: Catalog, model: Model) -> "tuple[int, Float16] | None":
    path = Path(os.path.abspath(file))
    try:
        stat = path.stat()
    except (OSError, ValueError):
        return None  # reading the photo raises the error
    name = FileStat(
        os.fsencode(path.parent), os.fsencode(path.name), stat.st_size, mtime_ns(stat), stat.st_dev
    )
    return catalog.vector_of(name, model)
