"""Vectors of the catalog: one per photo and model, read in chunks for search and export."""

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from clipsight.core.arrays import Float16, Ids
from clipsight.store.catalog.photos import INFO_COLUMNS, PhotoQueries, chunks
from clipsight.store.path_ranges import Interval, gaps, intervals_of, merged
from clipsight.store.records import EmbeddedPhoto, FileStat, Model, PhotoInfo, RankedRow, State

_CHUNK = 2048  # vectors read at a time: 4 MB as float32[n, 512] while an index is built


class VectorQueries(PhotoQueries):
    """The statements of `Catalog` on vectors."""

    # -- writing ------------------------------------------------------------------

    def put_vector(self, photo_id: int, model: Model, vector: npt.NDArray[np.floating[Any]]) -> None:
        """Store the unit vector of a photo, float[dim], as float16."""
        blob = np.ascontiguousarray(vector, dtype="<f2").tobytes()
        self._db.run("DELETE FROM vectors WHERE photo_id = ? AND model_id = ?", (photo_id, model.id))
        self._db.run(
            "INSERT INTO vectors (photo_id, model_id, vector) VALUES (?, ?, ?)", (photo_id, model.id, blob)
        )

    def import_vector(
        self, file: FileStat, state: State, model: Model, vector: npt.NDArray[np.floating[Any]]
    ) -> bool:
        """Add a vector, float[dim], computed elsewhere; do nothing and return False if the photo has one."""
        known = self._db.row(
            "SELECT p.id, v.id FROM photos p LEFT JOIN vectors v ON v.photo_id = p.id AND v.model_id = ? "
            "WHERE p.folder = ? AND p.name = ?",
            (model.id, file.folder, file.name),
        )
        if known is not None and known[1] is not None:
            return False
        photo_id = known[0] if known else self.put_photo(file, None, PhotoInfo(), state)
        self.put_vector(photo_id, model, vector)
        return True

    # -- photos with their vectors -----------------------------------------------

    def embedded_photos(self, vector_ids: Sequence[int] | Ids) -> list[EmbeddedPhoto]:
        """The photos of these vector ids, without missing ones; ids that no longer exist are skipped."""
        return [
            photo
            for part in chunks(vector_ids)
            for photo in self._embedded(f"v.id IN ({', '.join('?' * len(part))})", part)
        ]

    def ranked_rows(self, vector_ids: Sequence[int] | Ids) -> list[RankedRow]:
        """As `embedded_photos`, without vectors and metadata, for many photos."""
        return [
            RankedRow(vector_id, photo_id, os.path.join(folder, name), content_hash, state)
            for part in chunks(vector_ids)
            for vector_id, photo_id, folder, name, content_hash, state in self._db.rows(
                "SELECT v.id, p.id, p.folder, p.name, p.hash, p.state "
                "FROM vectors v JOIN photos p ON p.id = v.photo_id "
                f"WHERE v.id IN ({', '.join('?' * len(part))}) AND p.state != ?",
                (*part, State.MISSING),
            )
        ]

    def embedded_photos_by_id(self, photo_ids: Sequence[int], model: Model) -> dict[int, EmbeddedPhoto]:
        """The photos with these ids that have a vector of `model`, by photo id, without missing ones."""
        return {
            photo.photo_id: photo
            for part in chunks(photo_ids)
            for photo in self._embedded(
                f"p.id IN ({', '.join('?' * len(part))}) AND v.model_id = ?", [*part, model.id]
            )
        }

    def iter_embedded_photos(
        self, model: Model, folders: Sequence[bytes] | None = None
    ) -> Iterator[EmbeddedPhoto]:
        """Yield the photos in and below `folders` (None: all) with their vectors of `model`.

        Ordered by vector id, without missing photos; read a thousand at a time.
        """
        if folders is not None:
            inside = merged([interval for folder in folders for interval in intervals_of(folder)])
            ids = np.sort(self._ids_between(inside, model))
            for start in range(0, len(ids), 1000):
                photos = self.embedded_photos(ids[start : start + 1000])
                yield from sorted(photos, key=lambda photo: photo.vector_id)
            return
        last = 0
        while photos := self._embedded(
            "v.id > ? AND v.model_id = ?", [last, model.id], "ORDER BY v.id LIMIT 1000"
        ):
            yield from photos
            last = photos[-1].vector_id

    # -- vectors -----------------------------------------------------------------

    def vector_of(self, file: FileStat, model: Model) -> tuple[int, Float16] | None:
        """Photo id and vector, float16[dim], of a file with unchanged size and mtime; None if not stored."""
        row = self._db.row(
            "SELECT p.id, v.vector FROM photos p JOIN vectors v ON v.photo_id = p.id AND v.model_id = ? "
            "WHERE p.folder = ? AND p.name = ? AND p.size = ? AND p.mtime_ns = ?",
            (model.id, file.folder, file.name, file.size, file.mtime_ns),
        )
        return None if row is None else (row[0], np.frombuffer(row[1], dtype="<f2"))

    def vectors_after(self, vector_id: int, model: Model) -> Iterator[tuple[Ids, Float16]]:
        """Yield chunks of (ids int64[n], vectors float16[n, dim]) with ids above `vector_id`, ascending."""
        while True:
            found = self._db.rows(
                "SELECT id, vector FROM vectors WHERE id > ? AND model_id = ? ORDER BY id LIMIT ?",
                (vector_id, model.id, _CHUNK),
            )
            if not found:
                return
            yield _stacked(found, model)
            vector_id = int(found[-1][0])

    def vectors_with(self, ids: Sequence[int] | Ids, model: Model) -> Iterator[tuple[Ids, Float16]]:
        """Yield chunks like `vectors_after` for those of `ids` that are vectors of `model`."""
        for start in range(0, len(ids), _CHUNK):
            part = [int(id_) for id_ in ids[start : start + _CHUNK]]
            found = self._db.rows(
                f"SELECT id, vector FROM vectors WHERE id IN ({', '.join('?' * len(part))}) AND model_id = ?",
                (*part, model.id),
            )
            if found:
                yield _stacked(found, model)

    def sample_vectors(self, model: Model, count: int) -> Float16:
        """Up to `count` vectors of `model`, spread evenly over its ids: float16[n, dim].

        All of them if their ids span no more than `count`. Seeks from id to id in the index, so the cost does
        not grow with the library.
        """
        first, last = (
            self._db.value(f"SELECT {end}(id) FROM vectors WHERE model_id = ?", (model.id,))
            for end in ("min", "max")
        )
        stride = 1 if first is None else (last - first) // count + 1
        rows = self._db.rows(
            "WITH RECURSIVE step (id) AS (SELECT ?1 UNION ALL "
            "SELECT (SELECT min(id) FROM vectors WHERE model_id = ?2 AND id >= step.id + ?3) FROM step "
            "WHERE step.id IS NOT NULL) SELECT vector FROM step JOIN vectors USING (id)",
            (first, model.id, stride),
        )
        blob = b"".join(vector for (vector,) in rows)
        return np.frombuffer(blob, dtype="<f2").reshape(len(rows), model.dim)

    # -- ids ---------------------------------------------------------------------

    def vector_ids(self, model: Model) -> Ids:
        """Ids, int64[n], of all vectors of `model`."""
        rows = self._db.rows("SELECT id FROM vectors WHERE model_id = ?", (model.id,))
        return np.fromiter((id_ for (id_,) in rows), dtype=np.int64, count=len(rows))

    def vector_ids_under(self, folders: Sequence[bytes], model: Model) -> Ids | None:
        """Ids, int64[n], of the vectors of photos in and below `folders`; None if these hold all photos.

        May include ids of no vector: if `folders` hold most photos, the result is the complement of the ids
        of the other photos.
        """
        inside = merged([interval for folder in folders for interval in intervals_of(folder)])
        outside = gaps(inside)
        if not any(self._any_between(*gap) for gap in outside):
            return None
        total = self._db.value("SELECT count(*) FROM photos")
        if 2 * sum(self._count_between(*interval) for interval in inside) <= total:
            return self._ids_between(inside, model)
        return np.delete(np.arange(self.last_vector_id() + 1), self._ids_between(outside, model))

    def count_vectors(self, model: Model) -> int:
        """Number of vectors of `model`."""
        return int(self._db.value("SELECT count(*) FROM vectors WHERE model_id = ?", (model.id,)))

    def has_more_vectors(self, model: Model, count: int) -> bool:
        """True if there are more than `count` vectors of `model`; reads at most `count` + 1 rows."""
        found = "SELECT 1 FROM vectors WHERE model_id = ? LIMIT ?"
        return int(self._db.value(f"SELECT count(*) FROM ({found})", (model.id, count + 1))) > count

    def last_vector_id(self) -> int:
        """The highest vector id ever assigned, of any model."""
        return int(self._db.value("SELECT seq FROM sqlite_sequence WHERE name = 'vectors'") or 0)

    # -- internals ---------------------------------------------------------------

    def _embedded(
        self, condition: str, arguments: Sequence[int | bytes], order: str = ""
    ) -> list[EmbeddedPhoto]:
        """Photos with vectors, without missing ones; `condition` is SQL on photos p and vectors v."""
        rows = self._db.rows(
            f"SELECT v.id, p.id, p.folder, p.name, p.size, p.hash, p.state, v.vector, {INFO_COLUMNS} "
            f"FROM vectors v JOIN photos p ON p.id = v.photo_id WHERE {condition} AND p.state != ? {order}",
            (*arguments, State.MISSING),
        )
        return [
            EmbeddedPhoto(
                vector_id,
                photo_id,
                os.path.join(folder, name),
                size,
                content_hash,
                State(state),
                PhotoInfo(*info),
                np.frombuffer(vector, dtype="<f2"),
            )
            for vector_id, photo_id, folder, name, size, content_hash, state, vector, *info in rows
        ]

    def _any_between(self, low: bytes, high: bytes) -> bool:
        sql = "SELECT EXISTS (SELECT 1 FROM photos WHERE folder >= ? AND folder < ?)"
        return bool(self._db.value(sql, (low, high)))

    def _count_between(self, low: bytes, high: bytes) -> int:
        sql = "SELECT count(*) FROM photos WHERE folder >= ? AND folder < ?"
        return int(self._db.value(sql, (low, high)))

    def _ids_between(self, intervals: Iterable[Interval], model: Model) -> Ids:
        """Ids of the vectors of photos whose folders lie in these intervals."""
        found = [np.empty(0, dtype=np.int64)]
        for low, high in intervals:
            rows = self._db.rows(
                "SELECT v.id FROM photos p CROSS JOIN vectors v ON v.photo_id = p.id AND v.model_id = ? "
                "WHERE p.folder >= ? AND p.folder < ?",
                (model.id, low, high),
            )
            found.append(np.fromiter((id_ for (id_,) in rows), dtype=np.int64, count=len(rows)))
        return np.concatenate(found)


def _stacked(rows: list[tuple[int, bytes]], model: Model) -> tuple[Ids, Float16]:
    """Rows of ids and vectors as ids int64[n] and vectors float16[n, dim]."""
    ids = np.fromiter((id_ for id_, _ in rows), dtype=np.int64, count=len(rows))
    blob = b"".join(vector for _, vector in rows)
    return ids, np.frombuffer(blob, dtype="<f2").reshape(len(rows), model.dim)
