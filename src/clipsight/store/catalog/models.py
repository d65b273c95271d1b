"""Models and indexed folders (roots) of the catalog."""

from clipsight.store.database import Database
from clipsight.store.records import Model, Root


class ModelQueries:
    """The statements of `Catalog` on models and roots."""

    _db: Database

    # -- models ---------------------------------------------------------------

    def add_model(self, fingerprint: str, name: str, source: str, dim: int) -> Model:
        """The model with this fingerprint, added if it is new."""
        with self._db.transaction():
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
        """The model that the library is being switched to; None if no switch is in progress."""
        return self._model("WHERE id = ?", self._setting("next_model"))

    def begin_switch(self, model: Model) -> None:
        """Record that the library is being switched to `model`, whose vectors are still incomplete."""
        self._set("next_model", str(model.id))

    def set_current_model(self, model: Model) -> None:
        """Let searches use `model`, end the switch, and delete other models and their vectors."""
        with self._db.transaction():
            self._set("current_model", str(model.id))
            self._db.run("DELETE FROM meta WHERE key = 'next_model'")
            self._db.run("DELETE FROM models WHERE id != ?", (model.id,))

    # -- roots ----------------------------------------------------------------

    def roots(self) -> list[Root]:
        """The folders that the user asked to index, ordered by path."""
        rows = self._db.rows("SELECT path, options, reachable, indexed FROM roots ORDER BY path")
        return [Root(path, options, bool(reachable), indexed) for path, options, reachable, indexed in rows]

    def set_root(self, path: bytes, options: str, *, reachable: bool, indexed: str | None) -> None:
        """Add or update a root, and delete roots below it; `indexed=None` keeps the stored date."""
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

    # -- internals ------------------------------------------------------------

    def _model(self, condition: str, argument: object) -> Model | None:
        row = self._db.row(f"SELECT id, fingerprint, name, source, dim FROM models {condition}", (argument,))
        return Model(*row) if row else None

    def _setting(self, key: str) -> str | None:
        value = self._db.value("SELECT value FROM meta WHERE key = ?", (key,))
        return None if value is None else str(value)

    def _set(self, key: str, value: str) -> None:
        self._db.run("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", (key, value))
