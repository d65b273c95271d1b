"""Many queries at once, from a file or a pipe, and how their answers are printed. Called by `cli.search`."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from clipsight.core.errors import QueryError

if TYPE_CHECKING:
    from clipsight.render.tables import Format
    from clipsight.search.query import Query
    from clipsight.search.results import Matches


def read_queries(file: Path) -> "list[Query]":
    """The queries of a file, or of stdin for `-`, one a line, empty lines aside. Raises `QueryError`."""
    from clipsight.search.query import Query

    try:
        data = sys.stdin.buffer.read() if file == Path("-") else file.read_bytes()
        lines = data.decode("utf-8-sig").splitlines()
    except OSError as error:
        raise QueryError(f"can't read {file}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise QueryError(f"{file} is not UTF-8 text: give one query a line") from error
    queries = []
    for number, line in enumerate(lines, start=1):
        try:
            queries += [Query.parse(line)] if line.strip() else []
        except QueryError as error:
            raise QueryError(f"line {number} of {file}: {error}") from error
    if not queries:
        raise QueryError(f"{file} holds no query: give one a line")
    return queries


def check_format(form: "Format") -> None:
    """Refuse forms that don't tell which photo answers which query."""
    from clipsight.render.tables import Format

    if form in (Format.PATHS, Format.PATHS_0):
        raise typer.BadParameter("--paths would not tell which query a photo answers: take --json or --csv")


def print_answers(answers: "Sequence[Matches]", form: "Format") -> None:
    """Print what was found for each query: tables under it, a JSON array, or CSV with a column for it."""
    from clipsight.core.files import csv_line
    from clipsight.render import tables
    from clipsight.render.fonts import visible
    from clipsight.render.tables import Format

    if form is Format.JSON:
        print(json.dumps([answer.to_dict() for answer in answers], indent=2))
        return
    if form is Format.CSV:
        columns = ("path", "score", "id", "width", "height", "taken")
        lines = [csv_line(("query", *columns))]
        for answer in answers:
            lines += [csv_line((answer.query, *map(row.get, columns))) for row in answer.to_dicts()]
        sys.stdout.buffer.write("".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape"))
        return
    for answer in answers:
        print(f"{visible(answer.query)}:" + ("" if answer else " no photo matches"))
        if answer:
            tables.print_matches(answer, form)
        print(flush=True)
