"""The answer to a search as `clipsight search` prints it, for another process. Called by `api` only."""

import io

from rich.console import Console

from clipsight.render.tables import NO_MATCH, Format, answered_by, matches_as_table, matches_as_text
from clipsight.search.results import Matches


def printed(matches: Matches, form: Format, *, width: int, colour: bool) -> bytes:
    """Notes, a line each; an empty line; and then what goes to stdout, byte for byte."""
    notes = [*matches.notes, answered_by(matches.model)]
    if form is not Format.TABLE:
        text = matches_as_text(matches, form)
    elif matches:
        text = _drawn(matches, width, colour)
    else:
        notes, text = [NO_MATCH, *notes], ""
    head = "".join(f"{note}\n" for note in notes)
    return f"{head}\n".encode(errors="replace") + text.encode(errors="surrogateescape")


def _drawn(matches: Matches, width: int, colour: bool) -> str:
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
    console.print(matches_as_table(matches))
    return out.getvalue()
