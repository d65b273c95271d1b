"""Comparison of a sample of photos, read and embedded again, with the vectors in the catalog.

Detects vectors of other photos, and files whose content changed without a change of size and date, which
indexing does not notice.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from clipsight.core.arrays import Float16
from clipsight.core.errors import InvalidVectorError, PhotoError
from clipsight.core.files import mtime_ns
from clipsight.core.progress import StageProgress
from clipsight.indexing.indexer import IndexOptions, root_of
from clipsight.indexing.media.photo import decode
from clipsight.indexing.pipeline import hash_content
from clipsight.maintenance.check_catalog import Problem
from clipsight.store.catalog import Catalog
from clipsight.store.records import Model, State

if TYPE_CHECKING:
    from clipsight.models.encoder import Encoder

MIN_COSINE = 0.98
"""Minimum cosine of two embeddings of one photo. Other versions of libraries, and JPEGs decoded at another
scale, give higher cosines (benchmarks/README.md, "reduced against full-size decode": 0.995)."""

_BATCH_SIZE = 16


@dataclass(frozen=True, slots=True)
class _StoredPhoto:
    """A photo in the catalog."""

    id: int
    folder: bytes
    name: bytes
    size: int
    mtime_ns: int
    hash: bytes | None
    vector: Float16

    @property
    def path(self) -> Path:
        return Path(os.fsdecode(os.path.join(self.folder, self.name)))


@dataclass
class PhotoComparison:
    """A random sample of `count` photos, or all if there are fewer, compared with their files."""

    catalog: Catalog
    model: Model
    encoder: "Encoder"
    count: int
    compared: int = field(default=0, init=False)
    skipped: int = field(default=0, init=False)
    """Number of files that no longer exist, have changed since they were indexed, or can't be read."""

    def problems(self, progress: StageProgress) -> Iterator[Problem]:
        """Yield problems: photos whose content has changed unnoticed, and vectors of another photo."""
        ids = self._sample()
        for start in range(0, len(ids), _BATCH_SIZE):
            progress("photos read again", start, len(ids))
            yield from self._compare([self._photo(id_) for id_ in ids[start : start + _BATCH_SIZE]])

    def _sample(self) -> list[int]:
        rows = self.catalog.database.rows(
            "SELECT p.id FROM photos p CROSS JOIN vectors v ON v.photo_id = p.id AND v.model_id = ? "
            "WHERE p.state = ? ORDER BY p.id",
            (self.model.id, State.PRESENT),
        )
        ids = np.fromiter((id_ for (id_,) in rows), dtype=np.int64, count=len(rows))
        chosen = np.random.default_rng().permutation(len(ids))[: self.count]
        return [int(id_) for id_ in ids[np.sort(chosen)]]

    def _photo(self, photo_id: int) -> _StoredPhoto | None:
        row = self.catalog.database.row(
            "SELECT p.folder, p.name, p.size, p.mtime_ns, p.hash, v.vector FROM photos p "
            "JOIN vectors v ON v.photo_id = p.id WHERE p.id = ? AND v.model_id = ? AND p.state = ?",
            (photo_id, self.model.id, State.PRESENT),
        )
        if row is None:
            return None
        folder, name, size, mtime_ns, content, vector = row
        return _StoredPhoto(
            photo_id, folder, name, size, mtime_ns, content, np.frombuffer(vector, dtype="<f2")
        )

    def _compare(self, sample: Sequence[_StoredPhoto | None]) -> Iterator[Problem]:
        same_content: list[tuple[_StoredPhoto, npt.NDArray[np.uint8]]] = []
        for photo in sample:
            try:
                if photo is None or not _is_unchanged(photo):
                    self.skipped += 1
                elif photo.hash is not None and hash_content(photo.path) != photo.hash:
                    self.compared += 1
                    yield Problem(
                        f"{str(photo.path)!r} was changed, though its size and date were not",
                        "its vector is dropped; the next clipsight index reads it again",
                        partial(self._drop_vector, photo),
                    )
                else:
                    same_content.append((photo, self._pixels(photo)))
            except (OSError, PhotoError):
                self.skipped += 1
        if same_content:
            yield from self._compare_vectors(*zip(*same_content, strict=True))

    def _compare_vectors(
        self, photos: Sequence[_StoredPhoto], pixels: Sequence[npt.NDArray[np.uint8]]
    ) -> Iterator[Problem]:
        self.compared += len(photos)
        try:
            vectors = self.encoder.encode_pixels(pixels)
        except InvalidVectorError as error:
            vectors = error.vectors
        for photo, vector in zip(photos, vectors, strict=True):
            cosine = float(photo.vector.astype(np.float64) @ vector.astype(np.float64))
            if not cosine >= MIN_COSINE:
                yield Problem(
                    f"the vector of {str(photo.path)!r} is not of this photo (cosine {cosine:.3f})",
                    "dropped, also of files of the same content; the next clipsight index embeds them again",
                    partial(self._drop_vectors_of_content, photo),
                )

    def _pixels(self, photo: _StoredPhoto) -> npt.NDArray[np.uint8]:
        """The photo decoded and preprocessed as in indexing."""
        root = root_of(photo.folder, self.catalog)
        options = IndexOptions() if root is None else IndexOptions.from_json(root.options)
        decoded = decode(
            photo.path,
            mtime_ns=photo.mtime_ns,
            min_side=None if options.exact else max(self.encoder.input_size),
            max_pixels=options.max_pixels,
        )
        return self.encoder.preprocess(decoded.image)

    def _drop_vector(self, photo: _StoredPhoto) -> None:
        self.catalog.database.run("DELETE FROM vectors WHERE photo_id = ?", (photo.id,))

    def _drop_vectors_of_content(self, photo: _StoredPhoto) -> None:
        """Delete the vectors of all files with this content, as indexing copies a vector from any of them."""
        self.catalog.database.run(
            "DELETE FROM vectors WHERE photo_id = ?1 OR photo_id IN (SELECT id FROM photos WHERE hash = ?2)",
            (photo.id, photo.hash),
        )


def _is_unchanged(photo: _StoredPhoto) -> bool:
    stat = photo.path.stat()
    return (stat.st_size, mtime_ns(stat)) == (photo.size, photo.mtime_ns)
