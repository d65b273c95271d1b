"""`clipsight optimize`."""

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
        bool, typer.Option("--background", help="Return at once and do the work in a process of its own.")
    ] = False,
) -> None:
    """Make searches of a large library faster; searching and indexing may go on meanwhile."""
    from clipsight.cli.messages import note

    if background:
        note(f"optimizing in the background; what comes of it: {_start(library)}")
        return
    from clipsight.cli.progress import progress_bar

    os.nice(10)
    with open_library(library) as photos, progress_bar("sorting photos") as progress:
        done = photos.optimize(progress)
    how = "a search reads the likeliest only" if done.approximate else "few enough to compare all in a search"
    note(f"{done.photos:,} photos: {how}")


def _start(library: Path | None) -> Path:
    """Run this command again, apart from the terminal; the file that it prints to."""
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
