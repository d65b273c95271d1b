"""Embeddings of labels, kept on disk: each is computed once for a model and a set of templates.

A convenience only: where the file is damaged it is begun anew, where it can't be read or written the
labels are embedded again. Called by `classify`.
"""

import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt

from clipsight.classification.prompts import TemplateSet
from clipsight.store.database import DAMAGED, SQLITE_ERRORS, sqlite_code

Vector = npt.NDArray[np.float32]

MOST_KEPT = 20_000
"""Labels; the oldest go first. 40 MB for vectors of 512 numbers."""

_WAIT_SECONDS = 5.0  # for another process's commit, which takes milliseconds
_ASKED_AT_ONCE = 500
_MEANING = "mean of the templates' unit vectors, unit length, float32"
"""Part of every key: what is kept must be computed anew once this sentence has to change."""


class LabelCache:
    """The cache in `folder` (a library's), shared by all processes that use it.

    Vectors are looked up by `key`; each is kept with a checksum of key and vector, so that one that was
    damaged on disk is computed again rather than believed.
    """

    def __init__(self, folder: Path) -> None:
        self.file = folder / "labels.sqlite3"

    @staticmethod
    def key(fingerprint: str, templates: TemplateSet, label: str) -> bytes:
        """16 bytes that stand for a label, the texts of its templates, and a model."""
        import xxhash

        parts = (_MEANING, fingerprint, *templates.templates, label)
        return xxhash.xxh3_128_digest("".join(f"{len(part)}:{part}" for part in parts).encode())

    def get(self, keys: Iterable[bytes]) -> dict[bytes, Vector]:
        """The vectors, float32[dim], of those keys that are kept."""
        wanted = list(keys)
        found: dict[bytes, Vector] = {}
        with suppress(*SQLITE_ERRORS), closing(self._open(create=False)) as connection:
            for start in range(0, len(wanted), _ASKED_AT_ONCE):
                part = wanted[start : start + _ASKED_AT_ONCE]
                rows = connection.execute(
                    f"SELECT key, checksum, vector FROM labels WHERE key IN ({', '.join('?' * len(part))})",
                    part,
                )
                for key, checksum, vector in rows:
                    if type(vector) is bytes and checksum == _checksum(key, vector):
                        found[key] = np.frombuffer(vector, dtype="<f4").astype(np.float32)
        return found

    def put(self, vectors: Mapping[bytes, Vector]) -> None:
        """Keep these vectors; not at all if the file can't be written."""
        rows = []
        for key, vector in vectors.items():
            blob = np.ascontiguousarray(vector, dtype="<f4").tobytes()
            rows.append((key, _checksum(key, blob), blob))
        try:
            self._write(rows)
        except SQLITE_ERRORS as error:
            if not _is_damage(error):
                return
            self._remove()
            with suppress(*SQLITE_ERRORS):
                self._write(rows)

    def _write(self, rows: list[tuple[bytes, bytes, bytes]]) -> None:
        with closing(self._open(create=True)) as connection, connection:
            connection.execute("PRAGMA synchronous = OFF")  # a file that a power cut damages is begun anew
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(
                "CREATE TABLE IF NOT EXISTS labels (number INTEGER PRIMARY KEY AUTOINCREMENT, "
                "key BLOB NOT NULL UNIQUE, checksum BLOB NOT NULL, vector BLOB NOT NULL)"
            )
            connection.executemany(
                "INSERT OR REPLACE INTO labels (key, checksum, vector) VALUES (?, ?, ?)", rows
            )
            connection.execute(
                "DELETE FROM labels WHERE number <= (SELECT max(number) FROM labels) - ?", (MOST_KEPT,)
            )

    def _open(self, *, create: bool) -> sqlite3.Connection:
        address = f"{self.file.absolute().as_uri()}?mode={'rwc' if create else 'rw'}"
        return sqlite3.connect(address, uri=True, timeout=_WAIT_SECONDS, isolation_level=None)

    def _remove(self) -> None:
        """Begin anew. The journal goes first: a new file must not be rolled back to parts of the old one."""
        for suffix in ("-journal", ""):
            with suppress(OSError):
                self.file.with_name(self.file.name + suffix).unlink()


def _checksum(key: bytes, vector: bytes) -> bytes:
    import xxhash

    return xxhash.xxh3_64_digest(key + vector)


def _is_damage(error: Exception) -> bool:
    """Whether the file is to blame, or holds another table; not a lock or a full disk."""
    return sqlite_code(error) in (*DAMAGED, sqlite3.SQLITE_ERROR)
