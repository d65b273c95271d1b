"""`clipsight backup` and `clipsight restore`: the index in one file, and back."""

from pathlib import Path
from typing import Annotated

import typer

from clipsight.cli.options import LibraryOption, open_library

ReplaceOption = Annotated[bool, typer.Option("--replace", help="Replace what is there.")]


def backup(
    file: Annotated[Path, typer.Argument(help="A new file, best on another disk.")],
    replace: ReplaceOption = False,
    library: LibraryOption = None,
) -> None:
    """Copy the index to FILE, also while photos are being indexed; `clipsight restore` brings it back."""
    from clipsight.cli.messages import note
    from clipsight.core import paths
    from clipsight.maintenance.backup import back_up

    folder = library.expanduser() if library else paths.default_library()
    photos = back_up(folder, file.expanduser(), replace=replace)
    note(f"{photos:,} photos of {folder} are kept in {file}")


def restore(
    file: Annotated[Path, typer.Argument(help="A file that `clipsight backup` wrote.")],
    replace: ReplaceOption = False,
    library: LibraryOption = None,
) -> None:
    """Bring the index back from FILE; one that is there is set aside with --replace."""
    from clipsight.cli.messages import note
    from clipsight.core import paths
    from clipsight.maintenance import backup as store

    folder = library.expanduser() if library else paths.default_library()
    aside = store.restore(file.expanduser(), folder, replace=replace)
    with open_library(library) as opened:
        note(f"{len(opened):,} photos are back in {opened.path}")
    if aside is not None:
        note(f"the index that was there is now {aside}: delete it when you miss nothing")
