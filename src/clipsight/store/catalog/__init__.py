"""The catalog: photos, their vectors, models, indexed folders, and files that could not be read.

The catalog is the only source of truth; the FAISS index is derived from it. Paths are bytes, split into
folder and name; a folder has no trailing slash. Statements use CROSS JOIN to fix the order in which SQLite
visits tables: it might otherwise begin with all vectors of a model. No statement scans the table of vectors,
which may have gigabytes.
"""

from contextlib import AbstractContextManager
from pathlib import Path

from clipsight.store.catalog.models import ModelQueries
from clipsight.store.catalog.queue import QueueQueries
from clipsight.store.catalog.vectors import VectorQueries
from clipsight.store.database import Database
from clipsight.store.schema import CATALOG_NAME as CATALOG_NAME


class Catalog(VectorQueries, ModelQueries, QueueQueries):
    """The catalog in the folder `library`, created if missing. Raises the errors of `Database`."""

    def __init__(self, library: Path) -> None:
        self._db = Database(library / CATALOG_NAME)
        self.uuid = self._setting("uuid") or self._new_uuid()

    def close(self) -> None:
        """Close the database connection."""
        self._db.close()

    @property
    def database(self) -> Database:
        """The connection, for other modules of the store that query it."""
        return self._db

    def transaction(self) -> AbstractContextManager[None]:
        """Context in which writes are committed together or not at all."""
        return self._db.transaction()

    def snapshot(self) -> AbstractContextManager[None]:
        """Context in which reads see one state of the catalog, even if other processes commit."""
        return self._db.snapshot()

    def version(self) -> tuple[int, int]:
        """Value that differs after any change, by this process or another."""
        return self.data_version(), self._db.value("SELECT total_changes()")

    def data_version(self) -> int:
        """Number that changes when another connection commits to the catalog."""
        return int(self._db.value("PRAGMA data_version"))

    def _new_uuid(self) -> str:
        import uuid

        self._db.run("INSERT OR IGNORE INTO meta (key, value) VALUES ('uuid', ?)", (uuid.uuid4().hex,))
        stored = self._setting("uuid")  # another process may have stored its own first
        assert stored is not None
        return stored
