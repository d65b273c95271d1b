"""A connection to one SQLite file: migrations, transactions, and errors that tell users what to do."""

import errno
import os
import shutil
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from clipsight.core.errors import LibraryError
from clipsight.core.fork import leak_after_fork
from clipsight.store.schema import MIGRATIONS

SQLITE_ERRORS = (sqlite3.Error, UnicodeDecodeError)
"""Exceptions of `sqlite3`; for a damaged file it may even fail to decode SQLite's error message."""

BUSY_TIMEOUT_SECONDS = 60.0
"""Time to wait for the commit of another process, which normally takes milliseconds."""

_PAGE_SIZE = 8192
"""Bytes; seven float16 vectors of 512 dimensions fill a page. SQLite's default of 4096 wastes a quarter."""

DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
"""Values of `sqlite_code` for a file whose content is damaged."""

_LOCKED = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


class Database:
    """A connection to the SQLite file at `path`, created and migrated as needed.

    All threads of the process share the connection, one statement at a time. WAL mode with
    `synchronous=NORMAL`: a killed process loses at most its open transaction, and the file can always be
    opened. All methods raise `LibraryError` if the file is damaged (it is renamed, never deleted), was
    written by a newer clipsight (it is not changed) or can't be written; after `close`; and in a process
    forked from the one that opened the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.RLock()
        self._process = os.getpid()
        self._closed = False
        self._damage: LibraryError | None = None
        with self._translate_errors():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(
                path, timeout=BUSY_TIMEOUT_SECONDS, isolation_level=None, check_same_thread=False
            )
            self._identity = _identity(path)
            self._version()  # refuses a newer file before anything is changed
            self._connection.execute(f"PRAGMA page_size = {_PAGE_SIZE}")  # of a new file only
            self._enter_wal_mode()
            self._connection.execute("PRAGMA synchronous = NORMAL")
            self._connection.execute("PRAGMA foreign_keys = ON")
            self._connection.execute("PRAGMA cache_size = -32768")
            self._migrate()
        leak_after_fork(self)

    def close(self) -> None:
        """Close the connection. Calls of other threads fail from then on."""
        if self._process != os.getpid():  # the connection belongs to the parent process
            return
        with self._lock:  # closing during another thread's statement would crash the process
            self._closed = True
            self._connection.close()

    def run(self, sql: str, arguments: Sequence[Any] = ()) -> sqlite3.Cursor:
        """Execute one statement that returns no rows."""
        with self._translate_errors():
            return self._connection.execute(sql, arguments)

    def run_many(self, sql: str, rows: Iterator[Sequence[Any]] | Sequence[Sequence[Any]]) -> None:
        """Execute one statement for each row of arguments."""
        with self._translate_errors():
            self._connection.executemany(sql, rows)

    def rows(self, sql: str, arguments: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        with self._translate_errors():
            return self._connection.execute(sql, arguments).fetchall()

    def row(self, sql: str, arguments: Sequence[Any] = ()) -> tuple[Any, ...] | None:
        """The first row of a query, or None."""
        with self._translate_errors():
            found: tuple[Any, ...] | None = self._connection.execute(sql, arguments).fetchone()
            return found

    def value(self, sql: str, arguments: Sequence[Any] = ()) -> Any:
        """The first column of the first row, or None."""
        row = self.row(sql, arguments)
        return None if row is None else row[0]

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit all writes of the block or none. Waits for other writers; joins an outer transaction."""
        with self._exclusive():
            if self._in_transaction():
                yield
                return
            self.run("BEGIN IMMEDIATE")
            try:
                yield
                self.run("COMMIT")
            except BaseException:
                self._roll_back()
                raise

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Read one state of the file in the block, even if other processes commit; does not block them."""
        with self._exclusive():
            if self._in_transaction():
                yield
                return
            self.run("BEGIN")
            try:
                yield
            finally:
                self._roll_back()

    def _roll_back(self) -> None:
        if self._in_transaction():  # a full disk makes SQLite roll back by itself
            self.run("ROLLBACK")

    def _in_transaction(self) -> bool:
        with self._translate_errors():
            return self._connection.in_transaction

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        """Lock the connection for this thread. Raises `LibraryError` after `close` or a fork."""
        if self._process != os.getpid():  # first: another thread may have held the lock when forking
            raise LibraryError(
                f"{self.path} was opened before this process was forked: open the library again here"
            )
        with self._lock:
            if self._closed:
                raise LibraryError(f"the library in {self.path.parent} is closed: open it again")
            yield

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        with self._exclusive():
            try:
                yield
            except (*SQLITE_ERRORS, OSError) as error:
                raise self._translated(error) from error

    def _translated(self, error: Exception) -> LibraryError:
        code = sqlite_code(error)
        # Text that is not UTF-8 is damage that SQLite itself does not notice.
        undecodable = isinstance(error, UnicodeDecodeError) or "Could not decode" in str(error)
        if self._damage is None and (undecodable or (code in DAMAGED and self._is_damaged())):
            self._damage = self._move_aside(error)
        if self._damage is not None:  # later statements fail for the same reason
            return self._damage
        no_space = code == sqlite3.SQLITE_FULL or getattr(error, "errno", None) == errno.ENOSPC
        if no_space or self._is_disk_full():
            return LibraryError(
                f"the disk is full: {self.path} could not be written; everything committed before is kept: "
                "free some space and run the command again"
            )
        if code in _LOCKED:
            return LibraryError(
                f"another process has kept {self.path} locked: try again when it has finished"
            )
        if code in (sqlite3.SQLITE_IOERR, *DAMAGED):
            return LibraryError(
                f"the disk failed to read or write {self.path} ({error}); everything committed before is "
                "kept: check the disk and run the command again"
            )
        return LibraryError(
            f"can't use the library at {self.path.parent} ({error}): choose a folder that can be written "
            "with `library` or CLIPSIGHT_HOME"
        )

    def _is_disk_full(self) -> bool:
        """True if the disk is full; SQLite reports it as an I/O error when extending the WAL index."""
        try:
            return shutil.disk_usage(self.path.parent).free < 64 << 10
        except OSError:
            return False

    def _is_damaged(self) -> bool:
        """True if the file is damaged; SQLite also reports damage when the disk fails to read a page once."""
        if _identity(self.path) != self._identity:
            return True  # another process has found the damage and renamed the file
        try:
            read_through(self.path)
            read_through(self.path.with_name(f"{self.path.name}-wal"))
            with closing(sqlite3.connect(self.path)) as other:
                return bool(other.execute("PRAGMA integrity_check(1)").fetchall() != [("ok",)])
        except OSError:
            return False
        except SQLITE_ERRORS as error:
            return sqlite_code(error) in DAMAGED

    def _move_aside(self, error: Exception) -> LibraryError:
        """Rename the damaged file and its journals, so that a new file can be created; return the error."""
        stamp = datetime.now().strftime("%Y%m%d-%H%M%S-%f")
        target = self.path.with_name(f"{self.path.name}.damaged-{stamp}")
        outcome = f"it was moved to {target.name} in the same folder"
        try:
            if _identity(self.path) == self._identity:
                for suffix in ("-wal", "-shm", ""):
                    source = self.path.with_name(self.path.name + suffix)
                    if os.path.exists(source):
                        source.rename(target.with_name(target.name + suffix))
            else:  # the file there now is the new catalog of another process
                outcome = f"another process has moved it to {self.path.name}.damaged-* in the same folder"
        except OSError as problem:
            outcome = f"it could not be moved ({problem.strerror}): move it away yourself"
        self._connection.close()  # after the renames: closing would write the journal into the file
        return LibraryError(
            f"the catalog {self.path} is damaged ({error}); {outcome}, nothing was deleted: "
            "restore a copy of it, or run the command again to index anew"
        )

    def _enter_wal_mode(self) -> None:
        """Enter WAL mode, retrying: SQLite's busy timeout does not apply while processes create the file."""
        deadline = time.monotonic() + BUSY_TIMEOUT_SECONDS
        while True:
            try:
                self._connection.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError as error:
                if sqlite_code(error) not in _LOCKED or time.monotonic() > deadline:
                    raise
            time.sleep(0.01)

    def _migrate(self) -> None:
        if self._version() == len(MIGRATIONS):
            return
        with self.transaction():
            for script in MIGRATIONS[self._version() :]:  # read again: another process may have migrated
                for statement in _statements(script):
                    self.run(statement)
            self.run(f"PRAGMA user_version = {len(MIGRATIONS)}")

    def _version(self) -> int:
        """Number of migrations applied to the file. Raises `LibraryError` for a newer clipsight's file."""
        version = int(self.value("PRAGMA user_version"))
        if version > len(MIGRATIONS):
            raise LibraryError(
                f"{self.path} was written by a newer clipsight (schema {version}, this one knows "
                f"{len(MIGRATIONS)}): upgrade clipsight, or use another library"
            )
        return version


def sqlite_code(error: Exception) -> int:
    """Primary result code of an SQLite error: SQLITE_CORRUPT for undecodable text, 0 for other errors."""
    if isinstance(error, UnicodeDecodeError):
        return sqlite3.SQLITE_CORRUPT
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def read_through(path: Path) -> None:
    """Read a whole file that SQLite has open, to find unreadable blocks. Raises OSError."""
    if os.path.exists(path):
        handle = os.open(path, os.O_RDONLY)  # not closed: closing would drop SQLite's locks of this process
        while os.read(handle, 1 << 20):
            pass


def _identity(path: Path) -> tuple[int, int] | None:
    """Device and inode numbers of the file at `path`; None if there is none."""
    try:
        stat = path.stat()
    except FileNotFoundError:
        return None
    return stat.st_dev, stat.st_ino


def _statements(script: str) -> Iterator[str]:
    """Yield the statements of a script; `executescript` would commit the open transaction."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
