"""Checks of the catalog: the SQLite file, references between rows, values of rows, vectors.

Rows are read in chunks, so memory does not grow with the library. Nothing is written before `Problem.repair`.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from clipsight.core.arrays import Ids
from clipsight.core.errors import LibraryError
from clipsight.core.progress import StageProgress
from clipsight.maintenance.invariants import RULES, Rule
from clipsight.maintenance.replacement import connect, is_damage
from clipsight.store.database import SQLITE_ERRORS, Database, read_through
from clipsight.store.text_index import is_text_index_whole, rebuild_text_index

UNIT_TOLERANCE = 2e-3
"""Tolerance of a vector's length; rounding to float16 changes it by less than a quarter of this."""

_CHUNK = 2048  # vectors read at a time
_MAX_NAMED = 3  # photos named in a line


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem, its remedy in words, and the call that applies the remedy."""

    description: str
    remedy: str
    repair: Callable[[], None]


def integrity_problems(catalog: Path) -> list[str]:
    """Damage to the file, its pages and indexes, as SQLite reports it: up to a hundred lines.

    Raises `LibraryError` if the file can't be opened, or the disk fails to read it.
    """
    found = _integrity(catalog)
    if not found:
        return []
    try:
        read_through(catalog)  # SQLite reports blocks that the disk fails to read as damage, too
    except OSError as error:
        raise LibraryError(
            f"the disk failed to read {catalog} ({error.strerror}): if it does so again, copy what can "
            "be read of the library to another disk and check it there"
        ) from error
    return _integrity(catalog)  # again: the disk may have failed only once


def _integrity(catalog: Path) -> list[str]:
    try:
        with closing(connect(catalog)) as connection:
            lines = connection.execute("PRAGMA integrity_check(100)").fetchall()
    except SQLITE_ERRORS as error:
        if not is_damage(error):
            raise LibraryError(
                f"can't check {catalog} ({error}): make sure that its disk works and has free space, and "
                "that the file may be written, and run the command again"
            ) from error
        return [str(error)]
    return [" ".join(line.split()) for (line,) in lines if line != "ok"]


def find_dangling_rows(database: Database) -> Iterator[Problem]:
    """Yield problems of rows with references to rows that do not exist."""
    for table, parent, count in database.rows(
        'SELECT "table", parent, count(*) FROM pragma_foreign_key_check GROUP BY 1, 2'
    ):
        conditions = [
            f'NOT EXISTS (SELECT 1 FROM {parent} WHERE {parent}."{theirs}" = {table}."{ours}")'
            for ours, theirs in database.rows(
                'SELECT "from", "to" FROM pragma_foreign_key_list(?) WHERE "table" = ?', (table, parent)
            )
        ]
        drop = f"DELETE FROM {table} WHERE {' OR '.join(conditions)}"
        yield Problem(
            f"{count:,} rows of {table} belong to rows of {parent} that do not exist",
            "dropped; the next clipsight index restores what photos lack",
            partial(_run, database, drop),
        )


def find_invalid_rows(database: Database) -> Iterator[Problem]:
    """Yield problems of rows that violate one of the `invariants`."""
    for rule in RULES:
        if count := _count(database, rule):
            statement = f"{rule.repair} WHERE {rule.violation}"
            yield Problem(f"{count:,} {rule.description}", rule.remedy, partial(_run, database, statement))


def find_stale_text_index(database: Database) -> Iterator[Problem]:
    """Yield a problem if the index of texts does not have the texts."""
    if not is_text_index_whole(database):
        yield Problem(
            "the index of the text in photos is damaged",
            "made again from the texts",
            partial(rebuild_text_index, database),
        )


def find_invalid_vectors(database: Database, progress: StageProgress) -> Iterator[Problem]:
    """Yield problems of vectors with a wrong number of dimensions, or not finite, or not of unit length."""
    found: dict[str, list[int]] = {}
    total = int(database.value("SELECT max(id) FROM vectors") or 0)
    for last, wrong in _iter_invalid(database):
        progress("vectors", last, total)
        for what, ids in wrong.items():
            found.setdefault(what, []).extend(ids.tolist())
    for what, bad in found.items():
        yield Problem(
            f"{len(bad):,} vectors {what}, such as of {_photo_names(database, bad)}",
            "dropped; the next clipsight index embeds these photos again",
            partial(_drop_vectors, database, bad),
        )


def _drop_vectors(database: Database, ids: list[int]) -> None:
    with database.transaction():
        database.run_many("DELETE FROM vectors WHERE id = ?", [(id_,) for id_ in ids])


def _iter_invalid(database: Database) -> Iterator[tuple[int, dict[str, Ids]]]:
    """Yield the highest id of each chunk of vectors, and the invalid ids by kind of problem."""
    dims = dict(database.rows("SELECT id, dim FROM models"))
    last = 0
    while rows := database.rows(
        "SELECT id, model_id, iif(typeof(vector) = 'blob', vector, NULL) FROM vectors WHERE id > ? "
        "ORDER BY id LIMIT ?",
        (last, _CHUNK),
    ):
        last = rows[-1][0]
        for model_id in {row[1] for row in rows} & dims.keys():  # others are dangling references
            part = [(id_, vector) for id_, model, vector in rows if model == model_id]
            yield last, _invalid_of(part, dims[model_id])


def _invalid_of(rows: list[tuple[int, bytes | None]], dim: int) -> dict[str, Ids]:
    whole = [(id_, vector) for id_, vector in rows if vector is not None and len(vector) == 2 * dim]
    ids = np.array([id_ for id_, _ in whole], dtype=np.int64)
    vectors = np.frombuffer(b"".join(vector for _, vector in whole), dtype="<f2").reshape(len(ids), dim)
    with np.errstate(invalid="ignore", over="ignore"):
        lengths = np.linalg.norm(vectors.astype(np.float32), axis=1)
    finite = np.isfinite(lengths)
    others = np.setdiff1d(np.array([id_ for id_, _ in rows], dtype=np.int64), ids)
    wrong = {
        "have another number of dimensions than their model": others,
        "hold values that are not finite": ids[~finite],
        "are not of unit length": ids[finite & (np.abs(lengths - 1) > UNIT_TOLERANCE)],
    }
    return {what: found for what, found in wrong.items() if len(found)}


def _photo_names(database: Database, ids: list[int]) -> str:
    """Paths of the photos of the first few of these vectors."""
    few = ids[:_MAX_NAMED]
    rows = database.rows(
        "SELECT p.folder, p.name FROM vectors v JOIN photos p ON p.id = v.photo_id "
        f"WHERE v.id IN ({', '.join('?' * len(few))}) ORDER BY v.id",
        few,
    )
    names = ", ".join(repr(os.fsdecode(os.path.join(*row))) for row in rows)
    return names + (f" and {len(ids) - _MAX_NAMED:,} more" if len(ids) > _MAX_NAMED else "")


def _count(database: Database, rule: Rule) -> int:
    return int(database.value(f"SELECT count(*) FROM {rule.table} WHERE {rule.violation}"))


def _run(database: Database, statement: str) -> None:
    with database.transaction():
        database.run(statement)
