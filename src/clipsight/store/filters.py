"""Search filters by properties of photos, evaluated in SQL before vectors are compared."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np

from clipsight.core.arguments import texts, whole_number
from clipsight.core.arrays import Ids
from clipsight.core.dates import start_of
from clipsight.core.errors import QueryError
from clipsight.core.text import caseless, is_utf8
from clipsight.store.database import Database
from clipsight.store.records import Model

_BYTES = re.compile(r"(\d+(?:\.\d+)?)\s*([kmg]?)b?", re.IGNORECASE)
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}
_FORMAT_NAMES = {"JPG": "JPEG", "JPE": "JPEG", "HEIC": "HEIF", "TIF": "TIFF"}
_MAX_NAMED = 12
_MAX_INDEXED = 50_000
"""For a condition that holds for more photos, scanning the table is cheaper than using the index."""


@dataclass(frozen=True, slots=True)
class Filters:
    """Conditions on photos: AND between fields, OR between the values of a field.

    Photos with an unknown property, such as imported vectors, fail a filter on that property. A single
    string counts as a tuple of one. Raises `QueryError` for an invalid date or type.
    """

    folders: tuple[str | os.PathLike[str], ...] = ()
    """Folders that contain the photos, directly or below."""
    labels: tuple[str, ...] = ()
    """Labels given by `classify(keep=True)`."""
    after: str | None = None
    """Taken at or after the start of this year, month, day or time: "2024", "2024-05", "2024-05-06T07:30"."""
    before: str | None = None
    """Taken before the start of such a period: `before="2025"` means until the end of 2024."""
    formats: tuple[str, ...] = ()
    """Names such as "jpeg" or "heic", in any case."""
    cameras: tuple[str, ...] = ()
    """Parts of the camera's name, such as "canon", in any case."""
    min_bytes: int | None = None
    max_bytes: int | None = None
    min_width: int | None = None
    max_width: int | None = None
    min_height: int | None = None
    max_height: int | None = None
    """Inclusive limits of the file's size in bytes and of the upright photo's size in pixels."""

    def __post_init__(self) -> None:
        for name in ("folders", "labels", "formats", "cameras"):
            items = texts(getattr(self, name), name, paths=name == "folders")
            object.__setattr__(self, name, items)
        for name in ("min_bytes", "max_bytes", "min_width", "max_width", "min_height", "max_height"):
            whole_number(getattr(self, name), name)
        for label in self.labels:
            if not is_utf8(label):
                raise QueryError(f"the label {label!r} is not UTF-8 text")
        for date in (self.after, self.before):
            if date is not None:
                start_of(date)


EVERYTHING = Filters()


def parse_bytes(text: str) -> int:
    """Parse a number of bytes such as "800", "500k" or "2.5MB" (decimal units). Raises `QueryError`."""
    found = _BYTES.fullmatch(text.strip())
    if found is None:
        raise QueryError(f"{text!r} is not a file size: write 800, 500k or 2.5MB")
    return round(Decimal(found[1]) * _UNITS[found[2].lower()])


def vector_ids_with(database: Database, model: Model, filters: Filters) -> Ids | None:
    """Ids, int64[n] ascending, of the vectors of photos that pass `filters`; None for all.

    Folders and labels are ignored here: see `Catalog.vector_ids_under` and `labels.vector_ids_labelled`.
    Raises `QueryError` for a format or camera that no photo has.
    """
    conditions = _conditions(database, filters)
    if not conditions:
        return None
    where = " AND ".join(condition.sql for condition in conditions)
    arguments = [argument for condition in conditions for argument in condition.arguments]
    rows = database.rows(
        f"SELECT v.id FROM photos p {_index_hint(database, conditions)} "
        f"CROSS JOIN vectors v ON v.photo_id = p.id AND v.model_id = ? WHERE {where}",
        (model.id, *arguments),
    )
    return np.sort(np.fromiter((id_ for (id_,) in rows), dtype=np.int64, count=len(rows)))


def values_of(database: Database, column: str) -> list[str]:
    """Distinct values of `column` ("format" or "camera"), sorted; seeks from value to value in its index."""
    rows = database.rows(
        f"WITH RECURSIVE step (value) AS (SELECT min({column}) FROM photos UNION ALL "
        f"SELECT (SELECT min({column}) FROM photos WHERE {column} > step.value) FROM step "
        "WHERE step.value IS NOT NULL) SELECT value FROM step WHERE value IS NOT NULL"
    )
    return [value for (value,) in rows]


@dataclass(frozen=True, slots=True)
class _Condition:
    """SQL condition on one column of `photos` that has an index."""

    column: str
    sql: str
    arguments: Sequence[Any]

    @property
    def index(self) -> str:
        return f"photos_by_{self.column}"


def _conditions(database: Database, filters: Filters) -> list[_Condition]:
    possible = (
        _between(
            "taken",
            filters.after and start_of(filters.after),
            "<",
            filters.before and start_of(filters.before),
        ),
        _between("size", filters.min_bytes, "<=", filters.max_bytes),
        _between("width", filters.min_width, "<=", filters.max_width),
        _between("height", filters.min_height, "<=", filters.max_height),
        _among("format", filters.formats, database),
        _among("camera", filters.cameras, database),
    )
    return [condition for condition in possible if condition is not None]


def _between(column: str, least: object, comparison: str, most: object) -> _Condition | None:
    bounds = [(">=", least), (comparison, most)]
    given = [(sign, bound) for sign, bound in bounds if bound is not None]
    if not given:
        return None
    sql = " AND ".join(f"p.{column} {sign} ?" for sign, _ in given)
    return _Condition(column, sql, [bound for _, bound in given])


def _among(column: str, wanted: Sequence[str], database: Database) -> _Condition | None:
    if not wanted:
        return None
    existing = values_of(database, column)
    values = {value for each in wanted for value in existing if _is_meant(column, each, value)}
    for each in wanted:
        if not any(_is_meant(column, each, value) for value in existing):
            raise QueryError(_no_photo_has(column, each, existing))
    return _Condition(column, f"p.{column} IN ({', '.join('?' * len(values))})", sorted(values))


def _is_meant(column: str, wanted: str, value: str) -> bool:
    if column == "format":
        return _FORMAT_NAMES.get(wanted.upper(), wanted.upper()) == value
    return caseless(wanted) in caseless(value)


def _no_photo_has(column: str, wanted: str, existing: Sequence[str]) -> str:
    if not existing:
        return f"no photo has the {column} {wanted!r}: the {column} of no photo is known"
    more = f" and {len(existing) - _MAX_NAMED} more" if len(existing) > _MAX_NAMED else ""
    return f"no photo has the {column} {wanted!r}: there are {', '.join(existing[:_MAX_NAMED])}{more}"


def _index_hint(database: Database, conditions: Sequence[_Condition]) -> str:
    """Index hint for SQLite: the index of the most selective condition, as there are no table statistics."""
    if len(conditions) == 1:
        return f"INDEXED BY {conditions[0].index}"
    counts = [_count(database, condition) for condition in conditions]
    least = min(counts)
    return "NOT INDEXED" if least == _MAX_INDEXED else f"INDEXED BY {conditions[counts.index(least)].index}"


def _count(database: Database, condition: _Condition) -> int:
    """Number of photos for which the condition holds, counted up to `_MAX_INDEXED`."""
    return int(
        database.value(
            f"SELECT count(*) FROM (SELECT 1 FROM photos p INDEXED BY {condition.index} "
            f"WHERE {condition.sql} LIMIT {_MAX_INDEXED})",
            condition.arguments,
        )
    )
