"""The answer to a search as `clipsight search` prints it, for another process. Called by `api` only."""

import io
import json

from rich.console import Console

from clipsight.cli.options import answered_by
from clipsight.console import Format, _csv, _path, _pixels, _table, _taken
from clipsight.results import Matches


def printed(matches: Matches, form: Format, *, width: int, colour: bool) -> bytes:
    """Notes, a line each; an empty line; and then what goes to stdout, byte for byte."""
    notes = [*matches.notes, answered_by(matches.model)]
    if form is Format.TABLE and not matches:
        notes.insert(0, "no photo matches")
    text = {
        Format.JSON: lambda: json.dumps(matches.to_dict(), indent=2) + "\n",
        Format.CSV: lambda: _csv(matches),
        Format.PATHS: lambda: "".join(f"{match.path}\n" for match in matches),
        Format.PATHS_0: lambda: "".join(f"{match.path}\0" for match in matches),
        Format.TABLE: lambda: _drawn(matches, width, colour),
    }[form]()
    head = "".join(f"{note}\n" for note in notes)
    return f"{head}\n".encode(errors="replace") + text.encode(errors="surrogateescape")


def _drawn(matches: Matches, width: int, colour: bool) -> str:
    if not matches:
        return ""
    table = _table("score", "photo", "size", "taken", right=("score", "size"))
    for match in matches:
        table.add_row(f"{match.score:.3f}", _path(match), _pixels(match), _taken(match))
    out = io.StringIO()
    console = Console(
        file=out,
        width=width,
        force_terminal=colour,
        color_system="standard" if colour else None,
        highlight=False,
        legacy_windows=False,
        _environ={},
    )
    console.print(table)
    return out.getvalue()
