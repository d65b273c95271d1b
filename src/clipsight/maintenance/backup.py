"""A copy of the catalog in one file, and the way back. Called by `library`.

The copy is a catalog itself: photos, vectors, labels and settings. Index files are not in it, as they are
made from the catalog, nor are the photos.
"""

import os
import sqlite3
from contextlib import closing, nullcontext, suppress
from pathlib import Path

from clipsight.core.errors import LibraryError
from clipsight.core.files import atomic_write
from clipsight.maintenance.check_catalog import damage
from clipsight.maintenance.replacement import connect, held, put_in_place, temporary
from clipsight.store.catalog import CATALOG_NAME
from clipsight.store.database import SQLITE_ERRORS
from clipsight.store.schema import MIGRATIONS


def back_up(library: Path, file: Path, *, replace: bool = False) -> int:
    """Write the catalog of the folder `library` as it is now to `file`; how many photos it holds.

    Others may go on reading and writing meanwhile: the copy is one state that was committed. It is
    written whole or not at all. Raises `LibraryError` for a file that exists, unless `replace`, or that
    can't be written.
    """
    if not (library / CATALOG_NAME).exists():
        raise LibraryError(f"there is no library at {library}: clipsight index ~/Pictures makes one")
    _check_target(library, file, replace)
    with atomic_write(file) as new:
        try:
            with closing(connect(library / CATALOG_NAME)) as source:
                # From one snapshot, only what is in use, in order. SQLite takes no bytes for a name.
                source.execute("VACUUM INTO CAST(? AS TEXT)", (os.fsencode(new),))
            with closing(connect(new)) as copy:
                (photos,) = copy.execute("SELECT count(*) FROM photos").fetchone()
        except SQLITE_ERRORS as error:
            raise LibraryError(f"can't back up {library} to {file}: {error}") from error
    return int(photos)


def _check_target(library: Path, file: Path, replace: bool) -> None:
    if file.is_dir():
        raise LibraryError(f"{file} is a folder: name a file")
    if file.resolve().parent == library.resolve():
        raise LibraryError(f"{file} lies in the library itself: name a file elsewhere, best on another disk")
    if os.path.lexists(file) and not replace:
        raise LibraryError(f"{file} exists: name another file, or replace it with `replace=True`")


def restore(file: Path, library: Path, *, replace: bool = False) -> Path | None:
    """Make the backup in `file` the catalog of the folder `library`; where the old catalog went, if any.

    The old catalog is kept beside the new one. Raises `LibraryError` for a file that is no sound backup,
    a library that holds photos, unless `replace`, and one that another process uses.
    """
    _check_backup(file)
    library.mkdir(parents=True, exist_ok=True)
    catalog = library / CATALOG_NAME
    with temporary(library) as new:
        with closing(connect(file)) as source, closing(sqlite3.connect(new, isolation_level=None)) as copy:
            source.backup(copy)
            copy.execute("DELETE FROM meta WHERE key = 'uuid'")  # index files were made of another catalog
        with held(catalog) if catalog.exists() else nullcontext() as old:
            if old is not None and not replace:
                _refuse_photos(old, library)
            return put_in_place(new, catalog, "replaced")


def _check_backup(file: Path) -> None:
    if not file.is_file():
        raise LibraryError(f"no such file: {file}")
    problems = damage(file)
    if problems:
        raise LibraryError(f"{file} is damaged or no backup ({problems[0]}): name another file")
    with closing(connect(file)) as connection:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    if version > len(MIGRATIONS):
        raise LibraryError(f"{file} was written by a newer clipsight: upgrade clipsight to restore it")
    if not version or not {"meta", "photos", "vectors"} <= tables:
        raise LibraryError(f"{file} is no backup of a library: name a file that clipsight backup wrote")


def _refuse_photos(old: sqlite3.Connection, library: Path) -> None:
    photos = 0
    with suppress(*SQLITE_ERRORS):  # a damaged catalog is what backups are for
        (photos,) = old.execute("SELECT count(*) FROM photos").fetchone()
    if photos:
        raise LibraryError(
            f"the library at {library} holds {photos:,} photos: `replace=True` sets it aside, or name another"
            " `library`"
        )
