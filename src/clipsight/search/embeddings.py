"""Embeddings of many photos: stored ones of a library, and those of single files."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from clipsight.core.errors import NoDirectionError, PhotoError
from clipsight.core.files import mtime_ns
from clipsight.search.results import Embeddings
from clipsight.store.catalog import Catalog
from clipsight.store.records import FileStat, Model

if TYPE_CHECKING:
    from clipsight.models.encoder import Encoder

CHUNK = 1024
"""Photos in memory at once."""

_FILES_PER_BATCH = 16


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


def embed_files(
    files: Iterable[Path], catalog: Catalog, model: Model, encoder: Callable[[], "Encoder"]
) -> Iterator[Embeddings]:
    """Yield the photos in these files, in their order, in chunks.

    Unchanged files of the library keep their stored vectors; others are read and embedded, but not added to
    the library. `encoder` is called when the first file must be read. Unreadable files are listed in their
    chunk's `failures`.
    """
    rest = iter(files)
    while chunk := list(islice(rest, _FILES_PER_BATCH)):
        yield _embed(chunk, catalog, model, encoder)


def _embed(files: list[Path], catalog: Catalog, model: Model, encoder: Callable[[], "Encoder"]) -> Embeddings:
    found: dict[Path, tuple[int, np.ndarray]] = {}
    failures = []
    pixels = {}
    for file in files:
        stored = _stored_vector(file, catalog, model)
        if stored is not None:
            found[file] = stored
            continue
        try:
            pixels[file] = _read(file, encoder())
        except PhotoError as error:
            failures.append((file, str(error)))
    if pixels:
        embedded = list(pixels)
        try:
            vectors = encoder().encode_pixels(list(pixels.values()))
        except NoDirectionError as error:
            vectors = error.vectors
            failures += [(embedded[row], error.reason) for row in error.rows]
            for row in error.rows:
                del pixels[embedded[row]]
        found |= {file: (0, vector) for file, vector in zip(embedded, vectors, strict=True) if file in pixels}
    good = [file for file in files if file in found]
    return Embeddings(
        ids=np.array([found[file][0] for file in good], dtype=np.int64),
        paths=tuple(good),
        vectors=np.array([found[file][1] for file in good], dtype=np.float32).reshape(len(good), model.dim),
        failures=tuple(failures),
    )


def _stored_vector(file: Path, catalog: Catalog, model: Model) -> "tuple[int, np.ndarray] | None":
    path = Path(os.path.abspath(file))
    try:
        stat = path.stat()
    except OSError:
        return None  # reading it will say why
    name = FileStat(
        os.fsencode(path.parent), os.fsencode(path.name), stat.st_size, mtime_ns(stat), stat.st_dev
    )
    return catalog.vector_of(name, model)


def _read(file: Path, encoder: "Encoder") -> "np.ndarray":
    from clipsight.indexing.media.photo import open_picture

    return encoder.preprocess(open_picture(file.expanduser(), min_side=max(encoder.input_size)))
