"""Classification of photos by id, uploads and folders, as a stream."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from clipsight.core.errors import BusyError
from clipsight.models.encoder import Cancelled, Stop
from clipsight.search.embeddings import CHUNK, failures_below, stored_embeddings
from clipsight.search.results import Embeddings
from clipsight.store.records import Model
from clipsight.web.service.snapshots import CurrentLibrary


def upload_embeddings(names: Sequence[str], vectors: npt.NDArray[np.float32]) -> Embeddings:
    """Embeddings of uploads float32[n, dim]; their id is 0, their path is their name."""
    return Embeddings(np.zeros(len(names), np.int64), tuple(map(Path, names)), vectors)


def iter_embeddings(
    current: CurrentLibrary,
    model: Model,
    *,
    uploads: Embeddings,
    photo_ids: Sequence[int],
    folders: Sequence[bytes] | None,
    stop: Stop | None,
) -> Iterator[Embeddings]:
    """Yield `uploads`, the photos with these ids, and all photos in `folders` (empty: all; None: none).

    Raises `BusyError` if the library has been switched from `model` to another one, and `Cancelled`.
    """
    with current.use() as library:
        if library.model != model:
            raise BusyError("the library has just been switched to another model: try again")
        if len(uploads):
            yield uploads
        for start in range(0, len(photo_ids), CHUNK):
            photos = library.embedded_photos(photo_ids[start : start + CHUNK])
            yield Embeddings(
                np.array([photo.photo_id for photo in photos], np.int64),
                tuple(Path(os.fsdecode(photo.path)) for photo in photos),
                np.stack([photo.vector for photo in photos]).astype(np.float32),
            )
        if folders is None:
            return
        for chunk in stored_embeddings(library.catalog, model, folders or None):
            if stop is not None and stop.is_set():
                raise Cancelled
            yield chunk
        yield failures_below(folders, library.catalog.failures())
