"""The catalog: which photos there are, their vectors, and what could not be read.

The only source of truth; the FAISS index is derived from it. Every SQL statement about
photos is here. Paths are bytes split into folder and name; a folder has no trailing slash.
CROSS JOIN is SQLite's way to say in which order to visit tables; left to itself it may begin
with all vectors of a model. No statement scans the table of vectors, which is gigabytes.
"""

import os
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from clipsight.store.database import Database
from clipsight.store.path_ranges import Interval, gaps, intervals_of, merged, under
from clipsight.store.records import (
    MISSING_DAYS,
    Counts,
    Description,
    Failure,
    FileStat,
    Hit,
    Ids,
    Known,
    Model,
    Root,
    State,
    Vectors,
)

CATALOG_NAME = "catalog.sqlite3"

_CHUNK = 2048  # vectors read at a time: 4 MB at 512 dimensions, as float32 while an index is made
_DESCRIPTION = "width, height, format, taken, taken_source, camera, orientation, latitude, longitude"


class Catalog:
    """The catalog in the folder `library`, made there if there is none; errors as `Database`."""

    def __init__(self, library: Path) -> None:
        self._db = Database(library / CATALOG_NAME)
        self.uuid = self._setting("uuid") or self._new_uuid()

    def close(self) -> None:
        """Close the database connection."""
        self._db.close()

    @property
    def database(self) -> Database:
        """For the rooms of the store that keep tables of their own beside the photos (`store.labels`)."""
        return self._db

    def transaction(self) -> AbstractContextManager[None]:
        """Writes inside are committed together or not at all."""
        return self._db.transaction()

    def snapshot(self) -> AbstractContextManager[None]:
        """Reads inside see the catalog as it is now, whatever other processes commit meanwhile."""
        return self._db.snapshot()

    def version(self) -> tuple[int, int]:
        """Differs from an earlier one after any change, whichever process made it."""
        return self._db.value("PRAGMA data_version"), self._db.value("SELECT total_changes()")

    # -- models ---------------------------------------------------------------

    def add_model(self, fingerprint: str, name: str, source: str, dim: int) -> Model:
        """The model with this fingerprint, added if it is new."""
        with self.transaction():
            self._db.run(
                "INSERT INTO models (fingerprint, name, source, dim) VALUES (?, ?, ?, ?) "
                "ON CONFLICT (fingerprint) DO UPDATE SET name = excluded.name, source = excluded.source",
                (fingerprint, name, source, dim),
            )
        model = self._model("WHERE fingerprint = ?", fingerprint)
        assert model is not None
        return model

    def current_model(self) -> Model | None:
        """The model that the library searches with; None before the first one is set."""
        return self._model("WHERE id = ?", self._setting("current_model"))

    def next_model(self) -> Model | None:
        """The model that the library is being switched to, if a switch is under way."""
        return self._model("WHERE id = ?", self._setting("next_model"))

    def begin_switch(self, model: Model) -> None:
        """Note that photos are being embedded with `model`, to replace the current one."""
        self._set("next_model", str(model.id))

    def set_current_model(self, model: Model) -> None:
        """Search with `model` from now on; other models and their vectors are dropped."""
        with self.transaction():
            self._set("current_model", str(model.id))
            self._db.run("DELETE FROM meta WHERE key = 'next_model'")
            self._db.run("DELETE FROM models WHERE id != ?", (model.id,))

    def _model(self, condition: str, argument: object) -> Model | None:
        row = self._db.row(f"SELECT id, fingerprint, name, source, dim FROM models {condition}", (argument,))
        return Model(*row) if row else None

    # -- roots ----------------------------------------------------------------

    def roots(self) -> list[Root]:
        """The folders that the user asked to index, by path."""
        rows = self._db.rows("SELECT path, options, reachable, indexed FROM roots ORDER BY path")
        return [Root(path, options, bool(reachable), indexed) for path, options, reachable, indexed in rows]

    def set_root(self, path: bytes, options: str, *, reachable: bool, indexed: str | None) -> None:
        """Add or update a root; roots below it are absorbed; `indexed` None keeps the date there is."""
        below = path.rstrip(b"/")
        self._db.run(
            "DELETE FROM roots WHERE path >= ? AND path < ? AND path != ?", (below + b"/", below + b"0", path)
        )
        self._db.run(
            "INSERT INTO roots (path, options, reachable, indexed) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (path) DO UPDATE SET options = excluded.options, reachable = excluded.reachable, "
            "indexed = coalesce(excluded.indexed, indexed)",
            (path, options, reachable, indexed),
        )

    # -- what is known of a folder ----------------------------------------------

    def known(self, folder: bytes, model: Model) -> dict[bytes, Known]:
        """The photos directly in `folder`, by name."""
        rows = self._db.rows(
            "SELECT p.name, p.id, p.size, p.mtime_ns, p.device, p.state, v.id IS NOT NULL "
            "FROM photos p LEFT JOIN vectors v ON v.photo_id = p.id AND v.model_id = ? WHERE p.folder = ?",
            (model.id, folder),
        )
        return {
            name: Known(id_, size, mtime_ns, device % 2**64, State(state), bool(embedded))
            for name, id_, size, mtime_ns, device, state, embedded in rows
        }

    def known_failures(self, folder: bytes) -> dict[bytes, tuple[int, int]]:
        """Size and mtime (ns) of the files directly in `folder` that failed, by name."""
        rows = self._db.rows("SELECT name, size, mtime_ns FROM failures WHERE folder = ?", (folder,))
        return {name: (size, mtime_ns) for name, size, mtime_ns in rows}

    def folders_under(self, root: bytes) -> list[bytes]:
        """`root` and the folders below it that hold photos or failures, in order."""
        where, arguments = under(root)
        rows = self._db.rows(
            f"SELECT DISTINCT folder FROM photos WHERE {where} "
            f"UNION SELECT DISTINCT folder FROM failures WHERE {where} ORDER BY 1",
            (*arguments, *arguments),
        )
        return [folder for (folder,) in rows]

    def knows(self, folder: bytes) -> bool:
        """Whether `folder` was indexed, lies in one that was, or holds photos of the library."""
        roots = [root.path.rstrip(b"/") for root in self.roots()]
        if any(folder == root or folder.startswith(root + b"/") for root in roots):
            return True
        where, arguments = under(folder)
        return bool(self._db.value(f"SELECT EXISTS (SELECT 1 FROM photos WHERE {where})", arguments))

    def find_content(self, content_hash: bytes, model: Model) -> tuple[int, bytes] | None:
        """Id and path of a photo with this content that has a vector of `model`."""
        row = self._db.row(
            "SELECT p.id, p.folder, p.name FROM photos p CROSS JOIN vectors v ON v.photo_id = p.id "
            "WHERE p.hash = ? AND v.model_id = ? LIMIT 1",
            (content_hash, model.id),
        )
        return (row[0], os.path.join(row[1], row[2])) if row else None

    def has_content(self, file: FileStat, content_hash: bytes) -> bool:
        """Whether the photo at this path is known to have this content."""
        sql = "SELECT EXISTS (SELECT 1 FROM photos WHERE folder = ? AND name = ? AND hash = ?)"
        return bool(self._db.value(sql, (file.folder, file.name, content_hash)))

    # -- files waiting to be read ---------------------------------------------

    def clear_queue(self) -> None:
        """Start an empty queue of files; it lives in SQLite's temporary file, of this process alone."""
        self._db.run("DROP TABLE IF EXISTS temp.queue")
        self._db.run(
            "CREATE TEMP TABLE queue (id INTEGER PRIMARY KEY, folder BLOB, name BLOB, size INTEGER, "
            "mtime_ns INTEGER, device INTEGER)"
        )

    def queue(self, files: Iterable[FileStat]) -> None:
        """Append files to the queue."""
        self._db.run_many(
            "INSERT INTO temp.queue (folder, name, size, mtime_ns, device) VALUES (?, ?, ?, ?, ?)",
            [(file.folder, file.name, file.size, file.mtime_ns, _signed(file.device)) for file in files],
        )

    def take_queued(self, count: int) -> list[FileStat]:
        """Take up to `count` files from the head of the queue."""
        with self.transaction():
            rows = self._db.rows(
                "SELECT id, folder, name, size, mtime_ns, device FROM temp.queue ORDER BY id LIMIT ?",
                (count,),
            )
            if rows:
                self._db.run("DELETE FROM temp.queue WHERE id <= ?", (rows[-1][0],))
        return [
            FileStat(folder, name, size, mtime_ns, device % 2**64)
            for _, folder, name, size, mtime_ns, device in rows
        ]

    # -- writing photos ---------------------------------------------------------

    def put_photo(
        self,
        file: FileStat,
        content_hash: bytes | None,
        description: Description,
        state: State = State.PRESENT,
    ) -> int:
        """Add or replace the photo at this path and return its id; vectors of other content are dropped."""
        columns = f"size, mtime_ns, device, hash, {_DESCRIPTION}, state, state_since"
        old = self._db.row(
            "SELECT id, hash FROM photos WHERE folder = ? AND name = ?", (file.folder, file.name)
        )
        values = (
            file.size,
            file.mtime_ns,
            _signed(file.device),
            content_hash,
            *_description_values(description),
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

    def put_vector(self, photo_id: int, model: Model, vector: npt.NDArray[np.floating[Any]]) -> None:
        """Store the photo's unit vector, float[dim], as float16."""
        blob = np.ascontiguousarray(vector, dtype="<f2").tobytes()
        self._db.run("DELETE FROM vectors WHERE photo_id = ? AND model_id = ?", (photo_id, model.id))
        self._db.run(
            "INSERT INTO vectors (photo_id, model_id, vector) VALUES (?, ?, ?)", (photo_id, model.id, blob)
        )

    def add_imported(
        self, file: FileStat, state: State, model: Model, vector: npt.NDArray[np.floating[Any]]
    ) -> bool:
        """Add a vector computed elsewhere; False, and nothing is done, if the photo has one already."""
        known = self._db.row(
            "SELECT p.id, v.id FROM photos p LEFT JOIN vectors v ON v.photo_id = p.id AND v.model_id = ? "
            "WHERE p.folder = ? AND p.name = ?",
            (model.id, file.folder, file.name),
        )
        if known is not None and known[1] is not None:
            return False
        photo_id = known[0] if known else self.put_photo(file, None, Description(), state)
        self.put_vector(photo_id, model, vector)
        return True

    def copy_photo(self, source_id: int, file: FileStat, content_hash: bytes) -> None:
        """Add a photo whose content is already known: metadata and vectors come from `source_id`."""
        photo_id = self.put_photo(file, content_hash, self._description(source_id))
        self._db.run(
            "INSERT OR IGNORE INTO vectors (photo_id, model_id, vector) "
            "SELECT ?, model_id, vector FROM vectors WHERE photo_id = ? AND photo_id != ?",
            (photo_id, source_id, photo_id),
        )

    def move_photo(self, photo_id: int, file: FileStat) -> None:
        """The photo is now at this path: its id, metadata and vectors stay."""
        self._db.run(
            "DELETE FROM photos WHERE folder = ? AND name = ? AND id != ?", (file.folder, file.name, photo_id)
        )
        self._db.run("DELETE FROM failures WHERE folder = ? AND name = ?", (file.folder, file.name))
        self._db.run(
            "UPDATE photos SET folder = ?, name = ? WHERE id = ?", (file.folder, file.name, photo_id)
        )
        self.touch(photo_id, file)

    def touch(self, photo_id: int, file: FileStat) -> None:
        """The photo's content is as it was: take over what the file system says, mark it present."""
        self._db.run(
            "UPDATE photos SET size = ?, mtime_ns = ?, device = ?, state = 0, state_since = NULL "
            "WHERE id = ?",
            (file.size, file.mtime_ns, _signed(file.device), photo_id),
        )

    def mark(self, photo_ids: Iterable[int], state: State) -> None:
        """Set the photos' state, dated now where it changes."""
        self._db.run_many(
            "UPDATE photos SET state = ?1, state_since = ?2 WHERE id = ?3 AND state != ?1",
            [(state, None if state is State.PRESENT else _now(), photo_id) for photo_id in photo_ids],
        )

    def mark_under(self, folder: bytes, state: State) -> int:
        """Set the state of the photos in and below `folder` that are not missing; how many changed."""
        where, arguments = under(folder)
        since = None if state is State.PRESENT else _now()
        cursor = self._db.run(
            f"UPDATE photos SET state = ?, state_since = ? WHERE {where} AND state NOT IN (?, ?)",
            (state, since, *arguments, state, State.MISSING),
        )
        return cursor.rowcount

    def put_failure(self, file: FileStat, reason: str) -> None:
        """Record why the file is no photo; one that it was before is dropped. Tried again when it changes."""
        self._db.run("DELETE FROM photos WHERE folder = ? AND name = ?", (file.folder, file.name))
        self._record_failure(file, file.size, file.mtime_ns, reason)

    def put_unreadable(self, file: FileStat, reason: str) -> None:
        """Record why the file could not be read at all; it is tried again at each run."""
        self._record_failure(file, -1, -1, reason)

    def _record_failure(self, file: FileStat, size: int, mtime_ns: int, reason: str) -> None:
        self._db.run(
            "INSERT OR REPLACE INTO failures (folder, name, size, mtime_ns, reason, date) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            (file.folder, file.name, size, mtime_ns, reason, _now()),
        )

    def drop_failures(self, folder: bytes, names: Iterable[bytes]) -> None:
        """Forget failures of files that are gone."""
        self._db.run_many(
            "DELETE FROM failures WHERE folder = ? AND name = ?", [(folder, name) for name in names]
        )

    def purge_missing(self) -> None:
        """Drop photos that have been missing for more than `MISSING_DAYS`."""
        self._db.run(
            "DELETE FROM photos WHERE state != 0 AND state = ? "  # the first term admits the partial index
            "AND julianday('now', 'localtime') - julianday(state_since) > ?",
            (State.MISSING, MISSING_DAYS),
        )

    def forget(self, folder: bytes) -> int:
        """Drop everything known of `folder` and below it; how many photos that were."""
        where, arguments = under(folder)
        roots, _ = under(folder, "path")
        with self.transaction():
            photos = self._db.run(f"DELETE FROM photos WHERE {where}", arguments).rowcount
            self._db.run(f"DELETE FROM failures WHERE {where}", arguments)
            self._db.run(f"DELETE FROM roots WHERE {roots}", arguments)
        return photos

    # -- reading for search and export --------------------------------------------

    def hits(self, vector_ids: Sequence[int] | Ids) -> list[Hit]:
        """The photos behind these vector ids that may be shown; ids that no longer exist are left out."""
        found = []
        for start in range(0, len(vector_ids), 5000):
            part = [int(id_) for id_ in vector_ids[start : start + 5000]]
            rows = self._db.rows(
                f"SELECT v.id, p.id, p.folder, p.name, p.size, p.state, v.vector, {_DESCRIPTION} "
                "FROM vectors v JOIN photos p ON p.id = v.photo_id "
                f"WHERE v.id IN ({', '.join('?' * len(part))}) AND p.state != ?",
                (*part, State.MISSING),
            )
            found += [_hit(row) for row in rows]
        return found

    def each_hit(self, model: Model, folders: Sequence[bytes] | None = None) -> Iterator[Hit]:
        """The photos in and below `folders` (None: all) that may be shown, with their vectors of `model`.

        In the order of vector ids, read a thousand at a time.
        """
        if folders is not None:
            inside = merged([interval for folder in folders for interval in intervals_of(folder)])
            ids = np.sort(self._ids_between(inside, model))
            for start in range(0, len(ids), 1000):
                yield from sorted(self.hits(ids[start : start + 1000]), key=lambda hit: hit.vector_id)
            return
        last = 0
        while True:
            rows = self._db.rows(
                f"SELECT v.id, p.id, p.folder, p.name, p.size, p.state, v.vector, {_DESCRIPTION} "
                "FROM vectors v JOIN photos p ON p.id = v.photo_id "
                "WHERE v.id > ? AND v.model_id = ? AND p.state != ? ORDER BY v.id LIMIT 1000",
                (last, model.id, State.MISSING),
            )
            if not rows:
                return
            yield from (_hit(row) for row in rows)
            last = rows[-1][0]

    def vector_of(self, file: FileStat, model: Model) -> tuple[int, Vectors] | None:
        """The photo id and vector, float16[dim], of a file as it is now, if it has one."""
        row = self._db.row(
            "SELECT p.id, v.vector FROM photos p JOIN vectors v ON v.photo_id = p.id AND v.model_id = ? "
            "WHERE p.folder = ? AND p.name = ? AND p.size = ? AND p.mtime_ns = ?",
            (model.id, file.folder, file.name, file.size, file.mtime_ns),
        )
        return None if row is None else (row[0], np.frombuffer(row[1], dtype="<f2"))

    def vectors_after(self, vector_id: int, model: Model) -> Iterator[tuple[Ids, Vectors]]:
        """Chunks of (ids int64[n], vectors float16[n, dim]) with ids above `vector_id`, ascending."""
        while True:
            found = self._db.rows(
                "SELECT id, vector FROM vectors WHERE id > ? AND model_id = ? ORDER BY id LIMIT ?",
                (vector_id, model.id, _CHUNK),
            )
            if not found:
                return
            yield _stacked(found, model)
            vector_id = int(found[-1][0])

    def vectors_with(self, ids: Sequence[int] | Ids, model: Model) -> Iterator[tuple[Ids, Vectors]]:
        """Chunks like those of `vectors_after`, of these ids as far as they are vectors of `model`."""
        for start in range(0, len(ids), _CHUNK):
            part = [int(id_) for id_ in ids[start : start + _CHUNK]]
            found = self._db.rows(
                f"SELECT id, vector FROM vectors WHERE id IN ({', '.join('?' * len(part))}) AND model_id = ?",
                (*part, model.id),
            )
            if found:
                yield _stacked(found, model)

    def vector_ids(self, model: Model) -> Ids:
        """Ids, int64[n], of all vectors of `model`."""
        rows = self._db.rows("SELECT id FROM vectors WHERE model_id = ?", (model.id,))
        return np.fromiter((id_ for (id_,) in rows), dtype=np.int64, count=len(rows))

    def count_vectors(self, model: Model) -> int:
        """How many vectors of `model` there are."""
        return int(self._db.value("SELECT count(*) FROM vectors WHERE model_id = ?", (model.id,)))

    def last_vector_id(self) -> int:
        """The highest vector id that was ever given out, of any model."""
        return int(self._db.value("SELECT seq FROM sqlite_sequence WHERE name = 'vectors'") or 0)

    def sample_vectors(self, model: Model, count: int) -> Vectors:
        """Up to `count` vectors of `model`, spread evenly over its ids: float16[n, dim].

        All of them where their ids span no more than `count`. Steps along the ids, over gaps,
        so that the cost does not grow with the library.
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

    def vector_ids_under(self, folders: Sequence[bytes], model: Model) -> Ids | None:
        """Ids, int64[n], that the vectors of photos in `folders` have and no others of `model`.

        None where that is all photos. Ids that no vector has may be among them: where most photos
        are in `folders`, it is all ids but those of the few that are not.
        """
        inside = merged([interval for folder in folders for interval in intervals_of(folder)])
        outside = gaps(inside)
        if not any(self._any_between(*gap) for gap in outside):
            return None
        total = self._db.value("SELECT count(*) FROM photos")
        if 2 * sum(self._count_between(*interval) for interval in inside) <= total:
            return self._ids_between(inside, model)
        return np.delete(np.arange(self.last_vector_id() + 1), self._ids_between(outside, model))

    def photo_id_at(self, path: bytes) -> int | None:
        """The id of the photo at this absolute path, if the library has it."""
        folder, name = os.path.split(path)
        found = self._db.value("SELECT id FROM photos WHERE folder = ? AND name = ?", (folder, name))
        return None if found is None else int(found)

    # -- status -------------------------------------------------------------------

    def counts(self, folder: bytes | None = None) -> Counts:
        """How many photos there are by state, in all or in and below `folder`."""
        where, arguments = ("1", []) if folder is None else under(folder)
        with self.snapshot():
            photos = self._db.value(f"SELECT count(*) FROM photos WHERE {where}", arguments)
            away = dict(
                self._db.rows(
                    f"SELECT state, count(*) FROM photos INDEXED BY photos_away WHERE state != 0 AND {where} "
                    "GROUP BY state",  # both statements read an index only, not the photos
                    arguments,
                )
            )
        unreachable, missing = (away.get(int(state), 0) for state in (State.UNREACHABLE, State.MISSING))
        return Counts(photos - unreachable - missing, unreachable, missing)

    def count_in_state(self, photo_ids: Sequence[int], state: State) -> int:
        """How many of these photos are in `state`."""
        return sum(
            int(
                self._db.value(
                    f"SELECT count(*) FROM photos WHERE state = ? AND id IN ({', '.join('?' * len(part))})",
                    (state, *part),
                )
            )
            for part in (photo_ids[start : start + 5000] for start in range(0, len(photo_ids), 5000))
        )

    def lacking_vectors(self, model: Model) -> int:
        """How many photos, unreachable ones included, have no vector of `model` yet."""
        return int(
            self._db.value(
                "SELECT count(*) FROM photos p WHERE state != ? AND NOT EXISTS "
                "(SELECT 1 FROM vectors v WHERE v.photo_id = p.id AND v.model_id = ?)",
                (State.MISSING, model.id),
            )
        )

    def failures(self) -> list[Failure]:
        """Every file that could not be read, by path."""
        rows = self._db.rows("SELECT folder, name, reason, date FROM failures ORDER BY folder, name")
        return [Failure(os.path.join(folder, name), reason, date) for folder, name, reason, date in rows]

    # -- internals ------------------------------------------------------------------

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

    def _description(self, photo_id: int) -> Description:
        row = self._db.row(f"SELECT {_DESCRIPTION} FROM photos WHERE id = ?", (photo_id,))
        return Description(*row) if row else Description()

    def _setting(self, key: str) -> str | None:
        value = self._db.value("SELECT value FROM meta WHERE key = ?", (key,))
        return None if value is None else str(value)

    def _set(self, key: str, value: str) -> None:
        self._db.run("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", (key, value))

    def _new_uuid(self) -> str:
        self._db.run("INSERT OR IGNORE INTO meta (key, value) VALUES ('uuid', ?)", (uuid.uuid4().hex,))
        made = self._setting("uuid")  # another process's, if it was first
        assert made is not None
        return made


def _stacked(rows: list[tuple[int, bytes]], model: Model) -> tuple[Ids, Vectors]:
    """Rows of ids and vectors as ids int64[n] and vectors float16[n, dim]."""
    ids = np.fromiter((id_ for id_, _ in rows), dtype=np.int64, count=len(rows))
    blob = b"".join(vector for _, vector in rows)
    return ids, np.frombuffer(blob, dtype="<f2").reshape(len(rows), model.dim)


def _hit(row: tuple[Any, ...]) -> Hit:
    vector_id, photo_id, folder, name, size, state, vector, *description = row
    return Hit(
        vector_id,
        photo_id,
        os.path.join(folder, name),
        size,
        State(state),
        Description(*description),
        np.frombuffer(vector, dtype="<f2"),
    )


def _description_values(description: Description) -> tuple[Any, ...]:
    return tuple(getattr(description, column) for column in _DESCRIPTION.split(", "))


def _signed(device: int) -> int:
    """A device number as SQLite can hold it: 64 bits with a sign."""
    return device - 2**64 if device >= 2**63 else device


def _now() -> str:
    return datetime.now().isoformat(timespec="seconds")
