"""A cache on disk: byte strings by key, in one SQLite file that may be deleted at any time."""

import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing, suppress
from pathlib import Path

from clipsight.store.database import DAMAGED, SQLITE_ERRORS, sqlite_code

_FORMAT = 1
_TIMEOUT_SECONDS = 5.0  # for another process's commit, which takes milliseconds
_KEYS_PER_STATEMENT = 500
_REPLACED = (*DAMAGED, sqlite3.SQLITE_ERROR)
"""Result codes for which the file is replaced: damage, or a table that is not as expected."""

_EVICTED = 0.1
"""Fraction of the entries that are evicted at once."""


class _OtherFormatError(Exception):
    """The file has tables, but not those of this format."""


class BlobCache:
    """Values by key in `file`, shared by threads and processes; the oldest are evicted above `max_bytes`.

    Errors of SQLite are never raised. Each value is stored with a checksum of key and value; a damaged value
    counts as missing. A damaged file, or one of another format, is replaced by the next `put`. A file that
    can't be read or written, or stays locked, acts as an empty cache.
    """

    def __init__(self, file: Path, *, max_bytes: int) -> None:
        self.file = file
        self._max_bytes = max_bytes

    def get(self, keys: Iterable[bytes]) -> dict[bytes, bytes]:
        """The cached values of `keys`."""
        wanted = list(keys)
        found: dict[bytes, bytes] = {}
        with suppress(*SQLITE_ERRORS), closing(self._open(create=False)) as connection:
            for start in range(0, len(wanted), _KEYS_PER_STATEMENT):
                part = wanted[start : start + _KEYS_PER_STATEMENT]
                rows = connection.execute(
                    f"SELECT key, checksum, value FROM entries WHERE key IN ({', '.join('?' * len(part))})",
                    part,
                )
                for key, checksum, value in rows:
                    if type(value) is bytes and checksum == _checksum(key, value):
                        found[key] = value
        return found

    def put(self, values: Mapping[bytes, bytes]) -> None:
        """Add or replace values."""
        try:
            self._write(values)
        except (_OtherFormatError, *SQLITE_ERRORS) as error:
            if not isinstance(error, _OtherFormatError) and sqlite_code(error) not in _REPLACED:
                return
            self._remove()
            with suppress(_OtherFormatError, *SQLITE_ERRORS):
                self._write(values)

    def _write(self, values: Mapping[bytes, bytes]) -> None:
        rows = [(key, _checksum(key, value), value) for key, value in values.items()]
        with closing(self._open(create=True)) as connection, connection:
            connection.execute("PRAGMA synchronous = OFF")  # a file damaged by a power cut is replaced
            connection.execute("BEGIN IMMEDIATE")
            if _number(connection, "PRAGMA user_version") != _FORMAT:
                _create(connection)
            connection.executemany(
                "INSERT OR REPLACE INTO entries (key, checksum, value) VALUES (?, ?, ?)", rows
            )
            while _used_bytes(connection) > self._max_bytes and _evict(connection):
                pass

    def _open(self, *, create: bool) -> sqlite3.Connection:
        address = f"{self.file.absolute().as_uri()}?mode={'rwc' if create else 'rw'}"
        return sqlite3.connect(address, uri=True, timeout=_TIMEOUT_SECONDS, isolation_level=None)

    def _remove(self) -> None:
        """Delete the file; first its journals, from which SQLite would restore old pages into a new file."""
        for suffix in ("-journal", "-wal", "-shm", ""):
            with suppress(OSError):
                self.file.with_name(self.file.name + suffix).unlink()


def _create(connection: sqlite3.Connection) -> None:
    if _number(connection, "SELECT count(*) FROM sqlite_master"):
        raise _OtherFormatError
    connection.execute(
        "CREATE TABLE entries (number INTEGER PRIMARY KEY AUTOINCREMENT, key BLOB NOT NULL UNIQUE, "
        "checksum BLOB NOT NULL, value BLOB NOT NULL)"
    )
    connection.execute(f"PRAGMA user_version = {_FORMAT}")


def _evict(connection: sqlite3.Connection) -> bool:
    """Delete the oldest entries; return False if there are none."""
    oldest = "SELECT min(number) + ? * (max(number) - min(number)) FROM entries"
    return connection.execute(f"DELETE FROM entries WHERE number <= ({oldest})", (_EVICTED,)).rowcount > 0


def _used_bytes(connection: sqlite3.Connection) -> int:
    """Size of the used pages of the file."""
    pages = _number(connection, "PRAGMA page_count") - _number(connection, "PRAGMA freelist_count")
    return pages * _number(connection, "PRAGMA page_size")


def _number(connection: sqlite3.Connection, sql: str) -> int:
    return int(connection.execute(sql).fetchone()[0])


def _checksum(key: bytes, value: bytes) -> bytes:
    import xxhash

    return xxhash.xxh3_64_digest(key + value)
