"""Photos of the catalog: their files, metadata and states, and files that could not be read."""

import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any

from clipsight.core.arrays import Ids
from clipsight.core.text import nfc
from clipsight.store.database import Database
from clipsight.store.path_ranges import under
from clipsight.store.records import (
    MISSING_DAYS,
    Counts,
    Failure,
    FileStat,
    IndexedFile,
    Model,
    PartialPhoto,
    PhotoInfo,
    PhotoRecord,
    State,
)

INFO_COLUMNS = ", ".join(field.name for field in fields(PhotoInfo))

_MAX_PARAMETERS = 5000
"""Parameters of one statement at most; SQLite allows 32,766."""


def chunks(ids: Sequence[int] | Ids) -> Iterator[list[int]]:
    """Yield `ids` in lists short enough for the parameters of one statement."""
    for start in range(0, len(ids), _MAX_PARAMETERS):
        yield [int(id_) for id_ in ids[start : start + _MAX_PARAMETERS]]


class PhotoQueries:
    """The statements of `Catalog` on photos and failures."""

    _db: Database

    # -- files of a folder ------------------------------------------------------

    def indexed_files(self, folder: bytes, model: Model) -> dict[bytes, IndexedFile]:
        """The photos directly in `folder`, by name."""
        rows = self._db.rows(
            "SELECT p.name, p.id, p.size, p.mtime_ns, p.device, p.state, v.id IS NOT NULL, "
            "p.partial IS NOT NULL, p.sidecar_stamp "
            "FROM photos p LEFT JOIN vectors v ON v.photo_id = p.id AND v.model_id = ? WHERE p.folder = ?",
            (model.id, folder),
        )
        return {
            name: IndexedFile(
                id_,
                size,
                mtime_ns,
                unsigned(device),
                State(state),
                bool(embedded),
                bool(partial),
                sidecar_stamp,
            )
            for name, id_, size, mtime_ns, device, state, embedded, partial, sidecar_stamp in rows
        }

    def failed_files(self, folder: bytes, model: Model) -> dict[bytes, tuple[int, int] | None]:
        """Size in bytes and mtime in ns of the failed files directly in `folder`, by name.

        None for a file that only another model than `model` could not embed.
        """
        rows = self._db.rows(
            "SELECT name, size, mtime_ns, model_id FROM failures WHERE folder = ?", (folder,)
        )
        return {
            name: (size, mtime_ns) if model_id in (None, model.id) else None
            for name, size, mtime_ns, model_id in rows
        }

    def folders_under(self, root: bytes) -> list[bytes]:
        """Those of `root` and the folders below it that hold photos or failures, ordered by path."""
        where, arguments = under(root)
        rows = self._db.rows(
            f"SELECT DISTINCT folder FROM photos WHERE {where} "
            f"UNION SELECT DISTINCT folder FROM failures WHERE {where} ORDER BY 1",
            (*arguments, *arguments),
        )
        return [folder for (folder,) in rows]

    def has_folder(self, folder: bytes) -> bool:
        """True if `folder` was indexed, lies in a folder that was, or holds photos of the library."""
        roots = [path.rstrip(b"/") for (path,) in self._db.rows("SELECT path FROM roots")]
        if any(folder == root or folder.startswith(root + b"/") for root in roots):
            return True
        where, arguments = under(folder)
        return bool(self._db.value(f"SELECT EXISTS (SELECT 1 FROM photos WHERE {where})", arguments))

    def stored_form(self, folder: bytes) -> bytes:
        """The stored path that equals `folder` in NFC; `folder` itself if there is none.

        File names from macOS are decomposed (NFD), typed ones are composed (NFC).
        """
        where, arguments = under(folder)
        if folder.isascii() or self._db.value(
            f"SELECT EXISTS (SELECT 1 FROM photos WHERE {where})", arguments
        ):
            return folder
        wanted = nfc(os.fsdecode(folder))
        depth = folder.count(b"/") + 1
        for (stored,) in self._db.rows("SELECT DISTINCT folder FROM photos ORDER BY folder"):
            above = b"/".join(stored.split(b"/")[:depth])
            if nfc(os.fsdecode(above)) == wanted:
                return above
        return folder

    def find_content(
        self, content_hash: bytes, model: Model, *, whole: bool = False
    ) -> tuple[int, bytes] | None:
        """Id and path of a photo with this content and a vector of `model`, or None.

        With `whole`, photos of which only a part could be decoded don't count.
        """
        row = self._db.row(
            "SELECT p.id, p.folder, p.name FROM photos p CROSS JOIN vectors v ON v.photo_id = p.id "
            "WHERE p.hash = ? AND v.model_id = ? AND (p.partial IS NULL OR NOT ?) LIMIT 1",
            (content_hash, model.id, whole),
        )
        return (row[0], os.path.join(row[1], row[2])) if row else None

    def has_content(self, file: FileStat, content_hash: bytes) -> bool:
        """True if the photo at this path is recorded with this content."""
        sql = "SELECT EXISTS (SELECT 1 FROM photos WHERE folder = ? AND name = ? AND hash = ?)"
        return bool(self._db.value(sql, (file.folder, file.name, content_hash)))

    def with_copies(self, photo_ids: Collection[int]) -> set[int]:
        """`photo_ids`, and the ids of photos with the same content."""
        found = set(photo_ids)
        for part in chunks(list(photo_ids)):
            rows = self._db.rows(
                "SELECT copy.id FROM photos p JOIN photos copy ON copy.hash = p.hash "
                f"WHERE p.id IN ({', '.join('?' * len(part))})",
                part,
            )
            found.update(id_ for (id_,) in rows)
        return found

    # -- writing -----------------------------------------------------------------

    def put_photo(
        self,
        file: FileStat,
        content_hash: bytes | None,
        info: PhotoInfo,
        state: State = State.PRESENT,
    ) -> int:
        """Add or replace the photo at the path of `file`, and return its id.

        Vectors are deleted if `content_hash` differs from the stored one.
        """
        columns = f"size, mtime_ns, device, sidecar_stamp, hash, {INFO_COLUMNS}, state, state_since"
        old = self._db.row(
            "SELECT id, hash FROM photos WHERE folder = ? AND name = ?", (file.folder, file.name)
        )
        values = (
            file.size,
            file.mtime_ns,
            signed(file.device),
            file.sidecar_stamp,
            content_hash,
            *_info_values(info),
            state,
            None if state is State.PRESENT else _now(),
        )
        self._db.run("DELETE FROM failures WHERE folder = ? AND name = ?", (file.folder, file.name))
        if old is None:
            cursor = self._db.run(
                f"INSERT INTO photos (folder, name, {columns}) VALUES ({', '.join('?' * (len(values) + 2))})",
                (file.folder, file.name, *values),
            )
            assert cursor.lastrowid is not None
            return cursor.lastrowid
        photo_id, old_hash = old
        if old_hash != content_hash:
            self._db.run("DELETE FROM vectors WHERE photo_id = ?", (photo_id,))
        self._db.run(
            f"UPDATE photos SET ({columns}) = ({', '.join('?' * len(values))}) WHERE id = ?",
            (*values, photo_id),
        )
        return int(photo_id)

    def copy_photo(self, source_id: int, file: FileStat, content_hash: bytes, info: PhotoInfo) -> None:
        """Add a photo with the vectors of `source_id`, a photo with the same content."""
        photo_id = self.put_photo(file, content_hash, info)
        self._db.run(
            "INSERT OR IGNORE INTO vectors (photo_id, model_id, vector) "
            "SELECT ?, model_id, vector FROM vectors WHERE photo_id = ? AND photo_id != ?",
            (photo_id, source_id, photo_id),
        )

    def move_photo(self, photo_id: int, file: FileStat) -> None:
        """Change the path of a photo; keep its id and vectors."""
        self._db.run(
            "DELETE FROM photos WHERE folder = ? AND name = ? AND id != ?", (file.folder, file.name, photo_id)
        )
        self._db.run("DELETE FROM failures WHERE folder = ? AND name = ?", (file.folder, file.name))
        self._db.run(
            "UPDATE photos SET folder = ?, name = ? WHERE id = ?", (file.folder, file.name, photo_id)
        )
        self.touch(photo_id, file)

    def touch(self, photo_id: int, file: FileStat) -> None:
        """Update file size, mtime, device and sidecars of a photo with unchanged content; mark it present."""
        self._db.run(
            "UPDATE photos SET size = ?, mtime_ns = ?, device = ?, sidecar_stamp = ?, state = 0, "
            "state_since = NULL WHERE id = ?",
            (file.size, file.mtime_ns, signed(file.device), file.sidecar_stamp, photo_id),
        )

    def set_info(self, photo_id: int, info: PhotoInfo) -> None:
        """Replace the metadata of a photo."""
        values = _info_values(info)
        self._db.run(
            f"UPDATE photos SET ({INFO_COLUMNS}) = ({', '.join('?' * len(values))}) WHERE id = ?",
            (*values, photo_id),
        )

    def set_state(self, photo_ids: Iterable[int], state: State) -> None:
        """Set the state of photos; where it changes, also `state_since` to now."""
        self._db.run_many(
            "UPDATE photos SET state = ?1, state_since = ?2 WHERE id = ?3 AND state != ?1",
            [(state, None if state is State.PRESENT else _now(), photo_id) for photo_id in photo_ids],
        )

    def set_state_under(self, folder: bytes, state: State) -> int:
        """Set the state of photos in and below `folder` that are not missing; return how many changed."""
        where, arguments = under(folder)
        since = None if state is State.PRESENT else _now()
        cursor = self._db.run(
            f"UPDATE photos SET state = ?, state_since = ? WHERE {where} AND state NOT IN (?, ?)",
            (state, since, *arguments, state, State.MISSING),
        )
        return cursor.rowcount

    def put_failure(self, file: FileStat, reason: str, model: Model | None = None) -> None:
        """Record why a file can't be used, and delete its photo, if any; it is read again when it changes.

        With `model`, the photo could be read but not be embedded by this model; other models read it again.
        """
        self._db.run("DELETE FROM photos WHERE folder = ? AND name = ?", (file.folder, file.name))
        self._record_failure(file, file.size, file.mtime_ns, reason, model)

    def put_unreadable(self, file: FileStat, reason: str) -> None:
        """Record why a file could not be opened; every run tries it again."""
        self._record_failure(file, -1, -1, reason, None)

    def drop_failures(self, folder: bytes, names: Iterable[bytes]) -> None:
        """Delete the failures of files that no longer exist."""
        self._db.run_many(
            "DELETE FROM failures WHERE folder = ? AND name = ?", [(folder, name) for name in names]
        )

    def purge_missing(self) -> None:
        """Delete photos that have been missing for more than `MISSING_DAYS`."""
        self._db.run(
            "DELETE FROM photos WHERE state != 0 AND state = ? "  # for the partial index on state != 0
            "AND julianday('now', 'localtime') - julianday(state_since) > ?",
            (State.MISSING, MISSING_DAYS),
        )

    def forget(self, folder: bytes) -> int:
        """Delete all records of `folder` and the folders below it; return the number of photos."""
        where, arguments = under(folder)
        roots, _ = under(folder, "path")
        with self._db.transaction():
            photos = self._db.run(f"DELETE FROM photos WHERE {where}", arguments).rowcount
            self._db.run(f"DELETE FROM failures WHERE {where}", arguments)
            self._db.run(f"DELETE FROM roots WHERE {roots}", arguments)
        return photos

    # -- reading -----------------------------------------------------------------

    def photo_id_at(self, path: bytes) -> int | None:
        """The id of the photo at this absolute path, or None."""
        folder, name = os.path.split(path)
        found = self._db.value("SELECT id FROM photos WHERE folder = ? AND name = ?", (folder, name))
        return None if found is None else int(found)

    def photo(self, photo_id: int) -> PhotoRecord | None:
        """The photo with this id, or None if there is none or its file is missing."""
        return self.photos([photo_id]).get(photo_id)

    def photos(self, photo_ids: Sequence[int]) -> dict[int, PhotoRecord]:
        """The photos with these ids, by id, without those that are not there or whose file is missing."""
        rows = (
            row
            for part in chunks(photo_ids)
            for row in self._db.rows(
                f"SELECT id, folder, name, size, mtime_ns, state, {INFO_COLUMNS} FROM photos "
                f"WHERE id IN ({', '.join('?' * len(part))}) AND state != ?",
                (*part, State.MISSING),
            )
        )
        return {
            id_: PhotoRecord(id_, os.path.join(folder, name), size, mtime_ns, State(state), PhotoInfo(*info))
            for id_, folder, name, size, mtime_ns, state, *info in rows
        }

    def photo_info(self, photo_id: int) -> PhotoInfo:
        """Metadata of the photo with this id, missing or not."""
        row = self._db.row(f"SELECT {INFO_COLUMNS} FROM photos WHERE id = ?", (photo_id,))
        return PhotoInfo(*row) if row else PhotoInfo()

    def counts(self, folder: bytes | None = None) -> Counts:
        """Number of photos by state, of all or of those in and below `folder`."""
        where, arguments = ("1", []) if folder is None else under(folder)
        with self._db.snapshot():
            photos = self._db.value(f"SELECT count(*) FROM photos WHERE {where}", arguments)
            away = dict(
                self._db.rows(
                    f"SELECT state, count(*) FROM photos INDEXED BY photos_away WHERE state != 0 AND {where} "
                    "GROUP BY state",  # both statements read a covering index only, not the table
                    arguments,
                )
            )
        unreachable, missing = (away.get(int(state), 0) for state in (State.UNREACHABLE, State.MISSING))
        return Counts(photos - unreachable - missing, unreachable, missing)

    def count_in_state(self, photo_ids: Sequence[int], state: State) -> int:
        """Number of these photos that are in `state`."""
        return sum(
            int(
                self._db.value(
                    f"SELECT count(*) FROM photos WHERE state = ? AND id IN ({', '.join('?' * len(part))})",
                    (state, *part),
                )
            )
            for part in chunks(photo_ids)
        )

    def count_unembedded(self, model: Model) -> int:
        """Number of photos without a vector of `model`, unreachable ones included."""
        return int(
            self._db.value(
                "SELECT count(*) FROM photos p WHERE state != ? AND NOT EXISTS "
                "(SELECT 1 FROM vectors v WHERE v.photo_id = p.id AND v.model_id = ?)",
                (State.MISSING, model.id),
            )
        )

    def failures(self) -> list[Failure]:
        """The files that could not be read, ordered by path."""
        rows = self._db.rows("SELECT folder, name, reason, date FROM failures ORDER BY folder, name")
        return [Failure(os.path.join(folder, name), reason, date) for folder, name, reason, date in rows]

    def partial_photos(self) -> list[PartialPhoto]:
        """The photos of which only a part could be decoded, ordered by path; missing ones are left out."""
        rows = self._db.rows(
            "SELECT folder, name, partial FROM photos WHERE partial IS NOT NULL AND state != ? "
            "ORDER BY folder, name",
            (State.MISSING,),
        )
        return [PartialPhoto(os.path.join(folder, name), reason) for folder, name, reason in rows]

    # -- internals ---------------------------------------------------------------

    def _record_failure(
        self, file: FileStat, size: int, mtime_ns: int, reason: str, model: Model | None
    ) -> None:
        self._db.run(
            "INSERT OR REPLACE INTO failures (folder, name, size, mtime_ns, reason, date, model_id) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            (file.folder, file.name, size, mtime_ns, reason, _now(), model and model.id),
        )


def _info_values(info: PhotoInfo) -> tuple[Any, ...]:
    return tuple(getattr(info, column) for column in INFO_COLUMNS.split(", "))


def signed(device: int) -> int:
    """Convert an unsigned 64-bit device number to the signed 64 bits that SQLite stores."""
    return device - 2**64 if device >= 2**63 else device


def unsigned(stored: int) -> int:
    """Convert a stored device number back to unsigned: the inverse of `signed`."""
    return stored % 2**64


def _now() -> str:
    return datetime.now().isoformat(timespec="seconds")
