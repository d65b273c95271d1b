"""Backup of the catalog to one file, and restoring it.

The backup is a catalog: records of photos, vectors, labels and settings. It has no index files, which are
derived from it, and not the photos themselves.
"""

import os
import sqlite3
from contextlib import closing, nullcontext, suppress
from pathlib import Path

from clipsight.core.errors import LibraryError
from clipsight.core.files import atomic_write
from clipsight.maintenance.check_catalog import integrity_problems
from clipsight.maintenance.replacement import connect, exclusive, replace_catalog, temporary_file
from clipsight.store.catalog import CATALOG_NAME
from clipsight.store.database import SQLITE_ERRORS
from clipsight.store.schema import MIGRATIONS


def backup(library: Path, file: Path, *, replace: bool = False) -> int:
    """Write the catalog of the folder `library` to `file`; return the number of photos.

    Other processes may read and write meanwhile: the backup is one committed state. It is written atomically.
    Raises `LibraryError` if the file can't be written, or exists and `replace` is false.
    """
    if not os.path.exists(library / CATALOG_NAME):
        raise LibraryError(f"there is no library at {library}: clipsight index ~/Pictures makes one")
    _check_target(library, file, replace)
    with atomic_write(file) as new:
        try:
            with closing(connect(library / CATALOG_NAME)) as source:
                # VACUUM INTO copies one snapshot, without free pages. It needs the file name as text.
                source.execute("VACUUM INTO CAST(? AS TEXT)", (os.fsencode(new),))
            with closing(connect(new)) as copy:
                (photos,) = copy.execute("SELECT count(*) FROM photos").fetchone()
        except SQLITE_ERRORS as error:
            raise LibraryError(f"can't back up {library} to {file}: {error}") from error
    return int(photos)


def _check_target(library: Path, file: Path, replace: bool) -> None:
    if os.path.isdir(file):
        raise LibraryError(f"{file} is a folder: name a file")
    if file.resolve().parent == library.resolve():
        raise LibraryError(f"{file} lies in the library itself: name a file elsewhere, best on another disk")
    if os.path.lexists(file) and not replace:
        raise LibraryError(f"{file} exists: name another file, or replace it with `replace=True`")


def restore(file: Path, library: Path, *, replace: bool = False) -> Path | None:
    """Restore the backup `file` as the catalog of the folder `library`.

    Returns the path of the old catalog, which is kept beside the new one; None if there was none. Raises
    `LibraryError` if the file is not a valid backup, the library holds photos and `replace` is false, or
    another process uses the library.
    """
    _check_backup(file)
    library.mkdir(parents=True, exist_ok=True)
    catalog = library / CATALOG_NAME
    with temporary_file(library) as new:
        with closing(connect(file)) as source, closing(sqlite3.connect(new, isolation_level=None)) as copy:
            source.backup(copy)
            copy.execute("DELETE FROM meta WHERE key = 'uuid'")  # index files are of another catalog
        with exclusive(catalog) if os.path.exists(catalog) else nullcontext() as old:
            if old is not None and not replace:
                _check_empty(old, library)
            return replace_catalog(new, catalog, "replaced")


def _check_backup(file: Path) -> None:
    if not os.path.isfile(file):
        raise LibraryError(f"no such file: {file}")
    problems = integrity_problems(file)
    if problems:
        raise LibraryError(f"{file} is damaged or no backup ({problems[0]}): name another file")
    with closing(connect(file)) as connection:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    if version > len(MIGRATIONS):
        raise LibraryError(f"{file} was written by a newer clipsight: upgrade clipsight to restore it")
    if not version or not {"meta", "photos", "vectors"} <= tables:
        raise LibraryError(f"{file} is no backup of a library: name a file that clipsight backup wrote")


def _check_empty(old: sqlite3.Connection, library: Path) -> None:
    photos = 0
    with suppress(*SQLITE_ERRORS):  # a damaged catalog may be replaced
        (photos,) = old.execute("SELECT count(*) FROM photos").fetchone()
    if photos:
        raise LibraryError(
            f"the library at {library} holds {photos:,} photos: `replace=True` sets it aside, or name another"
            " `library`"
        )
