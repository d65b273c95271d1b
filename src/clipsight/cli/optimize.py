"""Command `clipsight optimize`."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from clipsight.cli.options import LibraryOption, open_library

_LOG = "optimize.log"


def optimize(
    library: LibraryOption = None,
    background: Annotated[
        bool, typer.Option("--background", help="Return at once; a background process does the work.")
    ] = False,
) -> None:
    """Make searches of a large library faster.

    Searching and indexing may continue meanwhile.
    """
    from clipsight.cli.messages import note

    if background:
        note(f"optimizing in the background; log: {_start(library)}")
        return
    from clipsight.cli.progress import progress_bar

    os.nice(10)
    with open_library(library) as photos, progress_bar("clustering photos") as progress:
        done = photos.optimize(progress)
    how = "searches compare the nearest lists only" if done.approximate else "few enough for exact searches"
    note(f"{done.photos:,} photos: {how}")


def _start(library: Path | None) -> Path:
    """Start this command as a background process; the path of its log."""
    with open_library(library) as photos:
        folder = photos.path.absolute()
    with (folder / _LOG).open("w") as log:
        subprocess.Popen(
            [sys.executable, "-m", "clipsight", "optimize", "--library", str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    return folder / _LOG
