"""Atomic replacement of the catalog by another file; the old file is kept beside it.

A journal of the old file must never remain beside the new file, as SQLite would damage the new file with it;
see `exclusive`. `core.files.atomic_write` would neither move the journal nor keep the old file.
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
_NOT_DAMAGE = (
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
)


def connect(file: Path) -> sqlite3.Connection:
    """Open an existing SQLite file, which may be damaged; invalid UTF-8 is read as U+FFFD."""
    uri = f"{file.absolute().as_uri()}?mode=rw"
    connection = sqlite3.connect(uri, uri=True, timeout=_BUSY_SECONDS, isolation_level=None)
    connection.text_factory = lambda text: text.decode(errors="replace")
    return connection


def is_damage(error: Exception) -> bool:
    """True if the error means damaged content, not a lock, missing permissions, or a full or failing disk."""
    return sqlite_code(error) not in _NOT_DAMAGE


@contextmanager
def exclusive(catalog: Path) -> Iterator[sqlite3.Connection]:
    """Yield an exclusive connection to the catalog, and merge its journal into the file.

    The journal of a damaged file may remain; `replace_catalog` moves it with the file. Raises
    `LibraryError` if another process uses the catalog.
    """
    with closing(connect(catalog)) as connection:
        try:
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            connection.execute("PRAGMA journal_mode = DELETE")
            connection.execute("BEGIN EXCLUSIVE")
        except SQLITE_ERRORS as error:
            if not is_damage(error):
                raise LibraryError(
                    f"can't replace {catalog} ({error}): end other clipsight processes that use this "
                    "library, make sure that its disk works and has free space, and run the command again"
                ) from error
        yield connection


def replace_catalog(new: Path, catalog: Path, reason: str) -> Path | None:
    """Rename the file `new` to `catalog`; return the new path of the old catalog, None if there was none.

    The old file is kept as `catalog.REASON-DATE`. A catalog exists at every moment.
    """
    sync(new)
    aside = None
    if os.path.exists(catalog):
        aside = catalog.with_name(f"{catalog.name}.{reason}-{datetime.now():%Y%m%d-%H%M%S-%f}")
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
def temporary_file(folder: Path) -> Iterator[Path]:
    """Yield a path in `folder` for a temporary file; remove the file and its journals at the end."""
    file = folder / f".clipsight-{secrets.token_hex(8)}.tmp"
    try:
        yield file
    finally:
        for suffix in ("", "-journal", "-wal", "-shm"):
            with suppress(OSError):
                os.unlink(f"{file}{suffix}")
