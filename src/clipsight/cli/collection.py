"""Commands on the contents of a library: index, status, forget, export, import."""

from pathlib import Path
from typing import Annotated

import typer

from clipsight.cli import completion
from clipsight.cli.options import (
    DeviceOption,
    Folders,
    JsonOption,
    LibraryOption,
    ModelOption,
    ThreadsOption,
    check_outputs,
    index_folders,
    open_library,
)
from clipsight.render.stdout import print_json


def index(
    folders: Folders = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option(help="Skip matching names or paths, such as thumbs or '*/raw/*'; repeatable."),
    ] = None,
    hidden: Annotated[bool | None, typer.Option(help="Include names that begin with a dot.")] = None,
    gps: Annotated[bool | None, typer.Option(help="Store the GPS position of photos.")] = None,
    max_pixels: Annotated[int | None, typer.Option(min=1, help="Skip pictures with more pixels.")] = None,
    exact: Annotated[
        bool | None, typer.Option(help="Decode JPEGs at full size: slightly more exact, slower.")
    ] = None,
    strict: Annotated[
        bool | None, typer.Option(help="Refuse truncated files; by default, the part they contain is read.")
    ] = None,
    text: Annotated[
        bool | None,
        typer.Option(help="Also read the text in photos, to find it (extra ocr)."),
    ] = None,
    retry: Annotated[bool, typer.Option("--retry", help="Retry files that failed before.")] = False,
    library: LibraryOption = None,
    model: ModelOption = "auto",
    device: DeviceOption = "cpu",
    threads: ThreadsOption = None,
) -> None:
    """Update the index of folders.

    Only new and changed photos in FOLDERS are read.
    """
    with open_library(library, model, device, threads) as photos:
        index_folders(
            photos,
            folders or [],
            exclude=exclude,
            hidden=hidden,
            gps=gps,
            max_pixels=max_pixels,
            exact=exact,
            strict=strict,
            text=text,
            retry=retry,
        )


def status(library: LibraryOption = None, as_json: JsonOption = False) -> None:
    """Show folders, counts, the model, and failed files.

    Each failed file is listed with the reason.
    """
    from clipsight.render import tables

    with open_library(library) as photos:
        found = photos.status()
    if as_json:
        print_json(tables.status_to_dict(found))
    else:
        tables.print_status(found)


def where(library: LibraryOption = None, as_json: JsonOption = False) -> None:
    """Print where clipsight keeps its files, with sizes.

    These are the library, models, caches and the configuration. Nothing is created.
    """
    from clipsight.maintenance.locations import locations
    from clipsight.render import tables

    found = locations(library)
    if as_json:
        print_json([each.to_dict() for each in found])
    else:
        tables.print_locations(found)


def forget(
    folder: Annotated[
        Path, typer.Argument(autocompletion=completion.folders, help="An indexed folder, or one below it.")
    ],
    library: LibraryOption = None,
) -> None:
    """Remove a folder from the index; photos are not changed."""
    from clipsight.cli.messages import note

    with open_library(library) as photos:
        note(f"forgot {photos.forget(folder):,} photos in {folder}; the files are unchanged")


def export(
    file: Annotated[Path, typer.Argument(help="A file that ends in .npz or .parquet.")],
    library: LibraryOption = None,
) -> None:
    """Export the paths and vectors of all photos to a file."""
    from clipsight.cli.messages import note

    check_outputs(library, file)
    with open_library(library) as photos:
        note(f"wrote {photos.export(file):,} vectors of {photos.model} to {file}")


def import_(
    file: Annotated[
        Path,
        typer.Argument(help=".npz or .parquet with paths and vectors, or a clip-retrieval folder."),
    ],
    library: LibraryOption = None,
    model: ModelOption = "auto",
) -> None:
    """Import vectors computed elsewhere, to search them."""
    from clipsight.cli.messages import note

    with open_library(library, model) as photos:
        report = photos.import_(file)
        note(f"added {report.added:,} vectors; {report.kept:,} photos keep their own")
