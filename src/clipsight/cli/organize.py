"""Command `clipsight organize`."""

from pathlib import Path
from typing import Annotated

import typer


def organize(
    undo: Annotated[
        Path, typer.Option("--undo", metavar="DEST", help="A folder written by `classify --organize`.")
    ],
) -> None:
    """Undo `clipsight classify --organize`.

    Only unchanged files are removed.

    To sort photos: clipsight classify --library ... --labels ... --organize DEST
    """
    from clipsight.cli.messages import note
    from clipsight.core.text import visible
    from clipsight.organize import undo as undo_organize

    done = undo_organize(undo)
    for path, reason in done.kept:
        note(f"kept {visible(str(path))}: {visible(reason)}")
    note(f"removed {done.removed:,} of the files that clipsight created in {undo}")
