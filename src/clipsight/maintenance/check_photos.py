"""Photos read and embedded again: whether the vectors that the catalog keeps are theirs. Called by `checkup`.

The only way to see a vector under the wrong photo, and a file that was changed while its size and date
stayed as they were, which indexing takes for unchanged.
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
from clipsight.core.errors import PhotoError
from clipsight.indexing.indexer import IndexOptions, root_of
from clipsight.indexing.media.photo import decode
from clipsight.indexing.pipeline import hash_content
from clipsight.maintenance.check_catalog import Problem, Progress
from clipsight.store.catalog import Catalog
from clipsight.store.records import Model, State

if TYPE_CHECKING:
    from clipsight.models.encoder import Encoder

SAME = 0.98
"""Cosine from which two embeddings are of one photo: other versions of libraries, and JPEGs decoded at
another scale, move it less (benchmarks/README.md, "reduced against full-size decode": 0.995)."""

_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class _Kept:
    """A photo as the catalog has it."""

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
class Recheck:
    """A random sample of `count` photos, or all if there are fewer, compared with their files."""

    catalog: Catalog
    model: Model
    encoder: "Encoder"
    count: int
    compared: int = field(default=0, init=False)
    skipped: int = field(default=0, init=False)
    """Files that are gone, have another size or date than the catalog knows, or can't be read."""

    def problems(self, progress: Progress) -> Iterator[Problem]:
        """Photos whose content has changed unseen, and vectors that are not of their photo."""
        ids = self._sample()
        for start in range(0, len(ids), _AT_ONCE):
            progress("photos read again", start, len(ids))
            yield from self._compare([self._kept(id_) for id_ in ids[start : start + _AT_ONCE]])

    def _sample(self) -> list[int]:
        rows = self.catalog.database.rows(
            "SELECT p.id FROM photos p CROSS JOIN vectors v ON v.photo_id = p.id AND v.model_id = ? "
            "WHERE p.state = ? ORDER BY p.id",
            (self.model.id, State.PRESENT),
        )
        ids = np.fromiter((id_ for (id_,) in rows), dtype=np.int64, count=len(rows))
        chosen = np.random.default_rng().permutation(len(ids))[: self.count]
        return [int(id_) for id_ in ids[np.sort(chosen)]]

    def _kept(self, photo_id: int) -> _Kept | None:
        row = self.catalog.database.row(
            "SELECT p.folder, p.name, p.size, p.mtime_ns, p.hash, v.vector FROM photos p "
            "JOIN vectors v ON v.photo_id = p.id WHERE p.id = ? AND v.model_id = ? AND p.state = ?",
            (photo_id, self.model.id, State.PRESENT),
        )
        if row is None:
            return None
        folder, name, size, mtime_ns, content, vector = row
        return _Kept(photo_id, folder, name, size, mtime_ns, content, np.frombuffer(vector, dtype="<f2"))

    def _compare(self, sample: Sequence[_Kept | None]) -> Iterator[Problem]:
        same_content: list[tuple[_Kept, npt.NDArray[np.uint8]]] = []
        for kept in sample:
            try:
                if kept is None or not _is_as_known(kept):
                    self.skipped += 1
                elif kept.hash is not None and hash_content(kept.path) != kept.hash:
                    self.compared += 1
                    yield Problem(
                        f"{str(kept.path)!r} was changed, though its size and date were not",
                        "its vector is dropped; the next clipsight index reads it again",
                        partial(self._drop_vector, kept),
                    )
                else:
                    same_content.append((kept, self._pixels(kept)))
            except (OSError, PhotoError):
                self.skipped += 1
        if same_content:
            yield from self._compare_vectors(*zip(*same_content, strict=True))

    def _compare_vectors(
        self, photos: Sequence[_Kept], pixels: Sequence[npt.NDArray[np.uint8]]
    ) -> Iterator[Problem]:
        self.compared += len(photos)
        for kept, vector in zip(photos, self.encoder.encode_pixels(pixels), strict=True):
            cosine = float(kept.vector.astype(np.float64) @ vector.astype(np.float64))
            if not cosine >= SAME:
                yield Problem(
                    f"the vector of {str(kept.path)!r} is not of this photo (cosine {cosine:.3f})",
                    "dropped, also of files of the same content; the next clipsight index embeds them again",
                    partial(self._drop_vectors_of_content, kept),
                )

    def _pixels(self, kept: _Kept) -> npt.NDArray[np.uint8]:
        """The photo as indexing gives it to the encoder."""
        root = root_of(kept.folder, self.catalog)
        options = IndexOptions() if root is None else IndexOptions.from_json(root.options)
        photo = decode(
            kept.path,
            mtime_ns=kept.mtime_ns,
            min_side=None if options.exact else max(self.encoder.input_size),
            max_pixels=options.max_pixels,
        )
        return self.encoder.preprocess(photo.image)

    def _drop_vector(self, kept: _Kept) -> None:
        self.catalog.database.run("DELETE FROM vectors WHERE photo_id = ?", (kept.id,))

    def _drop_vectors_of_content(self, kept: _Kept) -> None:
        """Of all files of this content, as indexing takes a vector over from any of them."""
        self.catalog.database.run(
            "DELETE FROM vectors WHERE photo_id = ?1 OR photo_id IN (SELECT id FROM photos WHERE hash = ?2)",
            (kept.id, kept.hash),
        )


def _is_as_known(kept: _Kept) -> bool:
    stat = kept.path.stat()
    return (stat.st_size, stat.st_mtime_ns) == (kept.size, kept.mtime_ns)
