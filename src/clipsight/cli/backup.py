"""Commands `clipsight backup` and `clipsight restore`."""

from pathlib import Path
from typing import Annotated

import typer

from clipsight.cli.options import LibraryOption, open_library

ReplaceOption = Annotated[bool, typer.Option("--replace", help="Replace an existing one.")]


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

    folder = library.expanduser() if library else paths.default_library()
    photos = back_up(folder, file.expanduser(), replace=replace)
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
    from clipsight.core import paths
    from clipsight.maintenance import backup as store

    folder = library.expanduser() if library else paths.default_library()
    aside = store.restore(file.expanduser(), folder, replace=replace)
    with open_library(library) as opened:
        note(f"{len(opened):,} photos are restored in {opened.path}")
    if aside is not None:
        note(f"the previous index was moved to {aside}: delete it when nothing is missing")
