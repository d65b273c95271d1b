"""`clipsight search`."""

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from clipsight.cli.options import (
    DeviceOption,
    Folders,
    JsonOption,
    LibraryOption,
    ModelOption,
    ThreadsOption,
    answered_by,
    index_folders,
    open_library,
)

if TYPE_CHECKING:
    from clipsight.console import Format


def search(
    query: Annotated[
        str,
        typer.Argument(help='Words, a picture\'s path or address, or parts like "flower + 2:bee - cartoon".'),
    ] = "",
    folders: Folders = None,
    add: Annotated[list[str] | None, typer.Option("--add", "-a", help="Add one part more.")] = None,
    subtract: Annotated[
        list[str] | None, typer.Option("--subtract", "-s", help="Subtract one part more.")
    ] = None,
    top: Annotated[int, typer.Option("--top", "-t", min=1, help="How many photos to show.")] = 10,
    offset: Annotated[int, typer.Option(min=0, help="Skip so many of the best.")] = 0,
    min_score: Annotated[float | None, typer.Option(help="Leave out photos that score less.")] = None,
    sort: Annotated[
        Literal["score", "date", "path"], typer.Option(help="Order of the photos that were found.")
    ] = "score",
    balance: Annotated[bool, typer.Option(help="Give words and pictures equal say in mixed queries.")] = True,
    label: Annotated[
        list[str] | None, typer.Option(help="Only photos that `classify` gave this label; repeatable: any.")
    ] = None,
    sure: Annotated[
        bool, typer.Option("--sure", help="Only photos that really match, none if nothing does.")
    ] = False,
    no_indexing: Annotated[
        bool, typer.Option("--no-indexing", "-n", help="Don't look for new photos first.")
    ] = False,
    filepath_only: Annotated[
        bool, typer.Option("--paths", "--filepath-only", "-f", help="Print paths only.")
    ] = False,
    null: Annotated[bool, typer.Option("-0", help="Print paths only, each ended by a NUL byte.")] = False,
    as_json: JsonOption = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    grid: Annotated[Path | None, typer.Option(help="Write a contact sheet (.jpg or .png).")] = None,
    preview: Annotated[
        bool, typer.Option("--preview", "-p", help="Show the photos in the terminal.")
    ] = False,
    open_photos: Annotated[bool, typer.Option("--open", help="Open the photos that were found.")] = False,
    library: LibraryOption = None,
    model: ModelOption = "auto",
    device: DeviceOption = "cpu",
    threads: ThreadsOption = None,
) -> None:
    """Find photos by words, by a picture, or by both; new photos in FOLDERS are indexed first."""
    from clipsight import console
    from clipsight.query import Query

    form = _one_format(as_json, as_csv, filepath_only, null)
    parsed = Query.parse(query, add=add or (), subtract=subtract or ())
    with open_library(library, model, device, threads) as photos:
        if not no_indexing:
            index_folders(photos, folders or [], quiet=True)
        matches = photos.search(
            parsed,
            top,
            folders=folders or (),
            min_score=min_score,
            offset=offset,
            sort=sort,
            balance=balance,
            labels=label or (),
            sure=sure,
        )
    console.print_matches(matches, form)
    for line in (*matches.notes, answered_by(matches.model)):
        console.note(line)
    if grid is not None:
        from clipsight.sheet import write_sheet

        write_sheet(matches, grid)
    if preview:
        from clipsight.preview import print_previews

        if not print_previews(matches, sys.stdout, width=shutil.get_terminal_size().columns):
            console.note("no preview: not a terminal that is known to show pictures, or 256 colours or more")
    if open_photos:
        for match in matches:
            typer.launch(str(match.path))


def _one_format(as_json: bool, as_csv: bool, paths: bool, null: bool) -> "Format":
    from clipsight.console import Format

    asked = [
        form
        for form, flag in (
            (Format.JSON, as_json),
            (Format.CSV, as_csv),
            (Format.PATHS_0, null),
            (Format.PATHS, paths and not null),
        )
        if flag
    ]
    if len(asked) > 1:
        raise typer.BadParameter("choose one of --json, --csv and --paths")
    return asked[0] if asked else Format.TABLE
