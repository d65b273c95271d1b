"""Recovery of a damaged catalog: all rows that SQLite can still read are copied to a new file.

A table is read from both ends up to the first damage; the ids between are halved, and each half is read in
the same way, so that only rows on damaged pages are lost. The new file has the schema version of the old one;
`check` repairs invalid rows afterwards.
"""

import sqlite3
from collections import deque
from collections.abc import Generator, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clipsight.core.errors import LibraryError
from clipsight.store.database import SQLITE_ERRORS
from clipsight.store.schema import MIGRATIONS

_MAX_ROWS_PER_PAGE = 100
_MAX_INTERVALS = 100_000
"""Limits the time to some seconds: a damaged page may contain any id, and so any range of them."""

_Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class _Table:
    name: str
    columns: str
    key: tuple[str, ...]
    has_ids: bool


def recover(damaged: sqlite3.Connection, new: Path) -> int:
    """Write to the file `new` all rows that the connection can read; return the number of photos.

    Raises `LibraryError` if nothing can be read, or `new` can't be written.
    """
    try:
        version = int(_value(damaged, "PRAGMA user_version")) or len(MIGRATIONS)
        pages = int(_value(damaged, "PRAGMA page_count"))
        _value(damaged, "SELECT count(*) FROM sqlite_master")
    except SQLITE_ERRORS as error:
        raise _unreadable(str(error)) from error
    if version > len(MIGRATIONS):
        raise LibraryError("a newer clipsight wrote the damaged catalog: upgrade clipsight to repair it")
    try:
        with closing(sqlite3.connect(new, isolation_level=None)) as target:
            _make(target, version)
            _copy(damaged, target, pages)
            photos = int(_value(target, "SELECT count(*) FROM photos"))
    except SQLITE_ERRORS as error:
        raise LibraryError(f"can't write the new catalog {new}: {error}") from error
    if not photos:
        raise _unreadable("no photo is left")
    return photos


def _unreadable(reason: str) -> LibraryError:
    return LibraryError(
        f"nothing can be read of the damaged catalog ({reason}): clipsight restore FILE brings a backup "
        "back; without one, clipsight index ~/Pictures begins anew"
    )


def _make(target: sqlite3.Connection, version: int) -> None:
    """Create the tables of a schema version in an empty file."""
    target.execute("PRAGMA page_size = 8192")
    target.execute("PRAGMA synchronous = OFF")  # no process uses this file before it is complete and synced
    for script in MIGRATIONS[:version]:
        target.executescript(script)
    target.execute(f"PRAGMA user_version = {version}")


def _copy(damaged: sqlite3.Connection, target: sqlite3.Connection, pages: int) -> None:
    target.execute("BEGIN")
    for table in _tables(target):
        rows = _by_ids(damaged, table, pages) if table.has_ids else _from_both_ends(damaged, table)
        marks = ", ".join("?" * (table.columns.count(",") + 1))
        target.executemany(f"INSERT OR IGNORE INTO {table.name} ({table.columns}) VALUES ({marks})", rows)
    target.execute("DELETE FROM meta WHERE key = 'uuid'")  # index files are of the old catalog
    target.execute("COMMIT")


def _tables(target: sqlite3.Connection) -> list[_Table]:
    """Tables in the order of their creation, in which references point to earlier tables.

    The index of texts is left out: it is filled again as texts are inserted.
    """
    found = []
    for name, sql in target.execute(
        "SELECT name, sql FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite!_%' ESCAPE '!' "
        "AND name != 'text_index' AND name NOT LIKE 'text!_index!_%' ESCAPE '!' ORDER BY rowid"
    ).fetchall():
        columns = target.execute(f"SELECT name, pk FROM pragma_table_info('{name}')").fetchall()
        key = tuple(column for column, place in sorted(columns, key=lambda column: column[1]) if place)
        found.append(
            _Table(name, ", ".join(column for column, _ in columns), key, "WITHOUT ROWID" not in sql)
        )
    return found


def _by_ids(damaged: sqlite3.Connection, table: _Table, pages: int) -> Iterator[_Row]:
    """Yield all readable rows of a table whose first column is `id`."""
    intervals = deque([(1, _highest_id(damaged, table.name) or pages * _MAX_ROWS_PER_PAGE)])
    select = f"SELECT {table.columns} FROM {table.name} WHERE id BETWEEN ? AND ? ORDER BY id"
    for _ in range(_MAX_INTERVALS):
        if not intervals:
            return
        low, high = intervals.popleft()  # the largest first
        last, whole = yield from _rows_before_damage(damaged, select, (low, high), direction=1)
        if whole:
            continue
        low = low if last is None else last + 1
        last, _ = yield from _rows_before_damage(damaged, f"{select} DESC", (low, high), direction=-1)
        high = high if last is None else last - 1
        if low < high:
            middle = (low + high) // 2
            intervals += [(low, middle), (middle + 1, high)]


def _highest_id(damaged: sqlite3.Connection, table: str) -> int:
    """The highest id ever assigned; 0 if that can't be read."""
    for sql in (f"SELECT seq FROM sqlite_sequence WHERE name = '{table}'", f"SELECT max(id) FROM {table}"):
        with suppress(*SQLITE_ERRORS):
            if highest := _value(damaged, sql):
                return int(highest)
    return 0


def _from_both_ends(damaged: sqlite3.Connection, table: _Table) -> Iterator[_Row]:
    """Yield the rows of a table without ids, from both ends up to the first damage."""
    select = f"SELECT {table.columns} FROM {table.name} ORDER BY "
    _, whole = yield from _rows_before_damage(damaged, select + ", ".join(table.key))
    if not whole:
        yield from _rows_before_damage(damaged, select + ", ".join(f"{column} DESC" for column in table.key))


def _rows_before_damage(
    damaged: sqlite3.Connection, select: str, arguments: tuple[int, ...] = (), *, direction: int = 0
) -> Generator[_Row, None, tuple[Any, bool]]:
    """Yield rows up to the first unreadable one; with `direction` 1 or -1, to the first id out of order.

    A damaged page that points to pages above it makes SQLite return the same rows almost without end.
    Returns the first column of the last row, and True if all rows were read.
    """
    last = None
    try:
        for row in damaged.execute(select, arguments):
            if direction and last is not None and (row[0] - last) * direction <= 0:
                return last, False
            yield row
            last = row[0]
    except SQLITE_ERRORS:
        return last, False
    return last, True


def _value(connection: sqlite3.Connection, sql: str) -> Any:
    row = connection.execute(sql).fetchone()
    return None if row is None else row[0]
