"""Another file in the place of the catalog: whole or not at all, the old one kept beside it.

Called by `store.recover` and `store.backup`. A journal that belongs to the old file must never lie beside
the new one, which SQLite would damage with it: see `held`.
"""

import os
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import datetime
from pathlib import Path

from clipsight.core.errors import LibraryError
from clipsight.core.files import sync
from clipsight.store.database import SQLITE_ERRORS, sqlite_code

_BUSY_SECONDS = 2.0
_NOT_THE_FILE = (
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
)


def connect(file: Path) -> sqlite3.Connection:
    """A plain connection to an existing SQLite file, damaged or not; what is no UTF-8 reads as U+FFFD."""
    uri = f"{file.absolute().as_uri()}?mode=rw"
    connection = sqlite3.connect(uri, uri=True, timeout=_BUSY_SECONDS, isolation_level=None)
    connection.text_factory = lambda text: text.decode(errors="replace")
    return connection


def is_damage(error: Exception) -> bool:
    """Whether the file's content is to blame; not a lock, missing rights, a full disk or one that fails."""
    return sqlite_code(error) not in _NOT_THE_FILE


@contextmanager
def held(catalog: Path) -> Iterator[sqlite3.Connection]:
    """A connection to the catalog while no other process has one, and while there is no journal beside it.

    Of a damaged file the journal may stay: `put_in_place` then moves it with the file. Raises
    `LibraryError` where another process uses the catalog.
    """
    with closing(connect(catalog)) as connection:
        try:
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            connection.execute("PRAGMA journal_mode = DELETE")
            connection.execute("BEGIN EXCLUSIVE")
        except SQLITE_ERRORS as error:
            if not is_damage(error):
                raise LibraryError(
                    f"can't replace {catalog} ({error}): end other clipsight programs that use this library, "
                    "see that its disk is sound and has room, and run the command again"
                ) from error
        yield connection


def put_in_place(new: Path, catalog: Path, word: str) -> Path | None:
    """Give the file `new` the name `catalog`; the name of the old file, if there is one, is returned.

    The old file is kept as `catalog.WORD-DATE`, and at each moment there is a catalog.
    """
    sync(new)
    aside = None
    if catalog.exists():
        aside = catalog.with_name(f"{catalog.name}.{word}-{datetime.now():%Y%m%d-%H%M%S-%f}")
        for suffix in ("-wal", "-shm"):
            with suppress(FileNotFoundError):
                Path(f"{catalog}{suffix}").rename(f"{aside}{suffix}")
        try:
            os.link(catalog, aside)
        except OSError:  # a file system without hard links
            catalog.rename(aside)
    new.replace(catalog)
    sync(catalog.parent)
    return aside


@contextmanager
def temporary(folder: Path) -> Iterator[Path]:
    """A name in `folder` for a file to be made; whatever lies there at the end is removed."""
    file = folder / f".clipsight-{secrets.token_hex(8)}.tmp"
    try:
        yield file
    finally:
        for suffix in ("", "-journal", "-wal", "-shm"):
            with suppress(OSError):
                os.unlink(f"{file}{suffix}")
