"""Queue of the files to read in one run of indexing, kept in SQLite as they may not fit in memory."""

from collections.abc import Iterable

from clipsight.store.catalog.photos import signed, unsigned
from clipsight.store.database import Database
from clipsight.store.records import FileStat


class QueueQueries:
    """The statements of `Catalog` on the queue."""

    _db: Database

    def clear_queue(self) -> None:
        """Create an empty queue in SQLite's temporary database, private to this connection."""
        self._db.run("DROP TABLE IF EXISTS temp.queue")
        self._db.run(
            "CREATE TEMP TABLE queue (id INTEGER PRIMARY KEY, folder BLOB, name BLOB, size INTEGER, "
            "mtime_ns INTEGER, device INTEGER, sidecars BLOB, sidecar_stamp INTEGER)"
        )

    def enqueue(self, files: Iterable[FileStat]) -> None:
        """Append files to the queue."""
        self._db.run_many(
            "INSERT INTO temp.queue (folder, name, size, mtime_ns, device, sidecars, sidecar_stamp) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    file.folder,
                    file.name,
                    file.size,
                    file.mtime_ns,
                    signed(file.device),
                    b"/".join(file.sidecars) or None,
                    file.sidecar_stamp,
                )
                for file in files
            ],
        )

    def dequeue(self, count: int) -> list[FileStat]:
        """Remove up to `count` files from the head of the queue and return them."""
        with self._db.transaction():
            rows = self._db.rows(
                "SELECT id, folder, name, size, mtime_ns, device, sidecars, sidecar_stamp FROM temp.queue "
                "ORDER BY id LIMIT ?",
                (count,),
            )
            if rows:
                self._db.run("DELETE FROM temp.queue WHERE id <= ?", (rows[-1][0],))
        return [
            FileStat(
                folder,
                name,
                size,
                mtime_ns,
                unsigned(device),
                tuple(sidecars.split(b"/")) if sidecars else (),
                sidecar_stamp,
            )
            for _, folder, name, size, mtime_ns, device, sidecars, sidecar_stamp in rows
        ]
