"""Queries from a file or a pipe, and the answers to one or many queries on stdout."""

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
    """Read queries from a file, or from stdin for `-`, one per line. Raises `QueryError`."""
    from clipsight.search.query import Query

    try:
        data = sys.stdin.buffer.read() if file == Path("-") else file.read_bytes()
        lines = data.decode("utf-8-sig").splitlines()
    except OSError as error:
        raise QueryError(f"can't read {file}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise QueryError(f"{file} is not UTF-8 text: write one query per line") from error
    queries = []
    for number, line in enumerate(lines, start=1):
        try:
            queries += [Query.parse(line)] if line.strip() else []
        except QueryError as error:
            raise QueryError(f"line {number} of {file}: {error}") from error
    if not queries:
        raise QueryError(f"{file} contains no query: write one per line")
    return queries


def check_format(form: "Format") -> None:
    """Raise `BadParameter` for a format that does not show which query found a photo."""
    from clipsight.render.tables import Format

    if form in (Format.PATHS, Format.PATHS_0):
        raise typer.BadParameter("--paths would not show the query of each photo: use --json or --csv")


def print_answer(answer: "Matches", form: "Format", inside: Path | None = None) -> None:
    """Print the photos found for one query on stdout; a note in place of an empty table.

    Paths in a table are relative to the folder `inside`, or to `~`.
    """
    from clipsight.cli.messages import note
    from clipsight.render import tables

    if answer or form is not tables.Format.TABLE:
        tables.print_matches(answer, form, inside=inside)
    else:
        note(tables.NO_MATCH)


def print_answers(answers: "Sequence[Matches]", form: "Format", inside: Path | None = None) -> None:
    """Print the photos found for each query: tables, a JSON array, or CSV with a column `query`."""
    from clipsight.core.files import csv_line
    from clipsight.render import tables
    from clipsight.render.stdout import print_json, print_line, write_stream
    from clipsight.render.tables import Format, csv_columns, csv_rows

    if form is Format.JSON:
        print_json([answer.to_dict() for answer in answers])
        return
    if form is Format.CSV:
        columns = csv_columns(answers)
        lines = [csv_line(("query", *columns))]
        for answer in answers:
            lines += [csv_line((answer.query, *cells)) for cells in csv_rows(answer, columns)]
        write_stream(f"{line}\n" for line in lines)
        return
    for answer in answers:
        print_line(f"{answer.query}:" + ("" if answer else f" {tables.NO_MATCH}"))
        if answer:
            tables.print_matches(answer, form, inside=inside)
        print(flush=True)
