"""Tables of files: CSV or TSV with a column of paths and a column of values, such as labels or captions."""

import csv
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from clipsight.core.errors import ClipsightError


class TableRow(NamedTuple):
    """One row: a file and its value; an empty or missing cell is the empty string."""

    line: int
    """Line number in the table; the header is line 1."""
    filepath: str
    """Absolute path."""
    value: str


def read_table(
    source: Path,
    columns: tuple[str, str],
    *,
    error: type[ClipsightError],
    delimiter: str = ",",
    hint: str = "",
) -> Iterator[TableRow]:
    """Yield the rows of a UTF-8 table with a header, reduced to a path column and a value column.

    Paths are relative to the table's folder; cells are stripped; blank lines are skipped. Raises `error`
    for a table that can't be read, and, with the advice `hint`, for one that lacks a column.
    """
    filepath, value = columns
    folder = os.path.abspath(source.parent)
    try:
        with source.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, delimiter=delimiter)
            require_columns(source, columns, reader.fieldnames or (), error=error, hint=hint)
            for row in reader:
                path = (row[filepath] or "").strip()
                path = path and os.path.normpath(os.path.join(folder, path))
                yield TableRow(reader.line_num, path, (row[value] or "").strip())
    except (OSError, UnicodeDecodeError, csv.Error) as problem:
        reason = getattr(problem, "strerror", None) or str(problem)
        raise error(f"can't read {source}: {reason}") from problem


def require_columns(
    source: Path,
    columns: Sequence[str],
    header: Iterable[str],
    *,
    error: type[ClipsightError],
    hint: str = "",
) -> None:
    """Raise `error`, with the advice `hint`, unless the header of `source` has all `columns`."""
    header = list(header)
    if not set(columns) <= set(header):
        remedy = f"; {hint}" if hint else ""
        raise error(
            f"{source} needs the columns {' and '.join(columns)}, "
            f"it has {', '.join(header) or 'none'}{remedy}"
        )
