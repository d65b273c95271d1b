"""Commands that maintain a library's files: check, backup, restore, optimize."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from clipsight.cli.options import LibraryOption, open_library
from clipsight.core.paths import expand
from clipsight.render.stdout import print_line

ReplaceOption = Annotated[bool, typer.Option("--replace", help="Replace an existing one.")]

_LOG = "optimize.log"


def check(
    repair: Annotated[
        bool, typer.Option("--repair", help="Repair problems; photos are never changed.")
    ] = False,
    photos: Annotated[
        int,
        typer.Option(
            "--photos", min=0, metavar="N", help="Also embed N photos again and compare their vectors."
        ),
    ] = 0,
    library: LibraryOption = None,
) -> None:
    """Check the index: database, vectors and index files.

    The exit code is 1 if there is a problem.
    """
    from clipsight.cli.messages import note, with_flags
    from clipsight.cli.progress import stage_bars
    from clipsight.library import Library

    with stage_bars("checking ") as progress:
        report = Library.check(library, photos=photos, repair=repair, progress=progress)
    for finding in report.findings:
        print_line(with_flags(str(finding)))
    print_line(str(report))
    for line in report.notes:
        note(with_flags(line))
    if not report.consistent:
        raise typer.Exit(1)


def backup(
    file: Annotated[Path, typer.Argument(help="A new file, preferably on another disk.")],
    replace: ReplaceOption = False,
    library: LibraryOption = None,
) -> None:
    """Copy the index to one file.

    Photos may be indexed meanwhile. `clipsight restore` restores the index from FILE.
    """
    from clipsight.cli.messages import note
    from clipsight.core import paths
    from clipsight.maintenance.backup import backup as back_up

    folder = paths.library_folder(library)
    photos = back_up(folder, expand(file), replace=replace)  # opening the library would create it
    note(f"{photos:,} photos of {folder} are backed up in {file}")


def restore(
    file: Annotated[Path, typer.Argument(help="A file written by `clipsight backup`.")],
    replace: ReplaceOption = False,
    library: LibraryOption = None,
) -> None:
    """Restore the index from a backup.

    With --replace, an existing index is moved aside.
    """
    from clipsight.cli.messages import note
    from clipsight.library import Library

    aside = Library.restore(file, library, replace=replace)
    with open_library(library) as opened:
        note(f"{len(opened):,} photos are restored in {opened.path}")
    if aside is not None:
        note(f"the previous index was moved to {aside}: delete it when nothing is missing")


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

    with open_library(library) as photos, progress_bar("clustering photos") as progress:
        done = photos.optimize(progress)
    how = "searches compare the nearest lists only" if done.approximate else "few enough for exact searches"
    note(f"{done.photos:,} photos: {how}")


def _start(library: Path | None) -> Path:
    """Start `clipsight optimize` as a background process of low priority; returns the path of its log."""
    with open_library(library) as photos:
        folder = photos.path.absolute()
    with (folder / _LOG).open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "clipsight", "optimize", "--library", str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    os.setpriority(os.PRIO_PROCESS, process.pid, 10)
    return folder / _LOG
