"""Commands about what a library holds: index, status, forget, export, import."""

from pathlib import Path
from typing import Annotated

import typer

from clipsight.cli.options import (
    DeviceOption,
    Folders,
    JsonOption,
    LibraryOption,
    ModelOption,
    ThreadsOption,
    index_folders,
    open_library,
)


def index(
    folders: Folders = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option(help="Leave out names or paths that match, such as thumbs or '*/raw/*'."),
    ] = None,
    hidden: Annotated[bool | None, typer.Option(help="Take names that begin with a dot.")] = None,
    gps: Annotated[bool | None, typer.Option(help="Keep the place where photos were taken.")] = None,
    max_pixels: Annotated[
        int | None, typer.Option(min=1, help="Refuse pictures of more pixels than this.")
    ] = None,
    exact: Annotated[
        bool | None, typer.Option(help="Decode JPEGs at full size: a little more exact, slower.")
    ] = None,
    retry: Annotated[bool, typer.Option("--retry", help="Try files again that failed before.")] = False,
    library: LibraryOption = None,
    model: ModelOption = "auto",
    device: DeviceOption = "cpu",
    threads: ThreadsOption = None,
) -> None:
    """Bring the index of FOLDERS up to date: only what is new or has changed is read."""
    with open_library(library, model, device, threads) as photos:
        index_folders(
            photos,
            folders or [],
            exclude=exclude,
            hidden=hidden,
            gps=gps,
            max_pixels=max_pixels,
            exact=exact,
            retry=retry,
        )


def status(library: LibraryOption = None, as_json: JsonOption = False) -> None:
    """Show folders, counts, the model in use, and every file that failed with its reason."""
    import json

    from clipsight.render import tables

    with open_library(library) as photos:
        found = photos.status()
    if as_json:
        print(json.dumps(tables.status_to_dict(found), indent=2))
    else:
        tables.print_status(found)


def forget(
    folder: Annotated[Path, typer.Argument(help="An indexed folder, or one below it.")],
    library: LibraryOption = None,
) -> None:
    """Drop everything the index knows of FOLDER; photos are not touched."""
    from clipsight.cli.messages import note

    with open_library(library) as photos:
        note(f"forgot {photos.forget(folder):,} photos in {folder}; the files are as they were")


def export(
    file: Annotated[Path, typer.Argument(help="A file that ends in .npz or .parquet.")],
    library: LibraryOption = None,
) -> None:
    """Write the paths and vectors of all photos to FILE."""
    from clipsight.cli.messages import note

    with open_library(library) as photos:
        note(f"wrote {photos.export(file):,} vectors of {photos.model} to {file}")


def import_(
    file: Annotated[
        Path, typer.Argument(help=".npz or .parquet with paths and vectors; or clip-retrieval's folder.")
    ],
    library: LibraryOption = None,
    model: ModelOption = "auto",
) -> None:
    """Make vectors that were computed elsewhere searchable."""
    from clipsight.cli.messages import note

    with open_library(library, model) as photos:
        report = photos.import_(file)
        note(f"added {report.added:,} vectors; {report.kept:,} photos keep the ones they had")
