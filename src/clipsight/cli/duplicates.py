"""`clipsight duplicates`."""

from typing import TYPE_CHECKING, Annotated

import typer

from clipsight.cli.options import (
    OUTPUT,
    CsvOption,
    DeviceOption,
    Folders,
    GridOption,
    JsonOption,
    LibraryOption,
    ModelOption,
    NoIndexingOption,
    ThreadsOption,
    check_outputs,
    check_target,
    index_folders,
    one_format,
    only_folder,
    open_library,
)
from clipsight.render.stdout import print_json, write_text

if TYPE_CHECKING:
    from clipsight.search.duplicates import DuplicateKeywords


def duplicates(
    folders: Folders = None,
    kinds: Annotated[
        list[str] | None,
        typer.Option(
            help="exact: the same content; same: the same shot in another file; burst: shots of one moment; "
            "repeatable (default: all)."
        ),
    ] = None,
    similarity: Annotated[
        float | None,
        typer.Option(min=-1, max=1, help="Minimum cosine of two files of the same shot (default: 0.94)."),
    ] = None,
    burst_seconds: Annotated[
        float | None,
        typer.Option(min=0, help="Maximum time from a shot to the one to keep of its burst (default: 10)."),
    ] = None,
    top: Annotated[
        int | None, typer.Option("--top", "-t", min=1, help="Number of groups to show; default: all.")
    ] = None,
    offset: Annotated[int, typer.Option(min=0, help="Number of first groups to skip.")] = 0,
    filepath_only: Annotated[
        bool,
        typer.Option("--paths", rich_help_panel=OUTPUT, help="Print the paths of all but those to keep."),
    ] = False,
    null: Annotated[
        bool, typer.Option("-0", rich_help_panel=OUTPUT, help="The same, each ended by a NUL byte.")
    ] = False,
    as_json: JsonOption = False,
    as_csv: CsvOption = False,
    grid: GridOption = None,
    no_indexing: NoIndexingOption = False,
    library: LibraryOption = None,
    model: ModelOption = "auto",
    device: DeviceOption = "cpu",
    threads: ThreadsOption = None,
) -> None:
    """Find copies of photos, and bursts; nothing is deleted.

    One photo of each group is proposed to keep. New photos in FOLDERS are indexed first.
    """
    from clipsight.cli.messages import note
    from clipsight.cli.progress import stage_bars
    from clipsight.render import duplicates as render
    from clipsight.render.tables import Format, file_size

    check_target(grid, ".jpg", ".jpeg", ".png")
    check_outputs(library, grid)
    form = one_format(as_json, as_csv, filepath_only, null)
    places = folders or []
    options: DuplicateKeywords = {"kinds": kinds or (), "top": top, "offset": offset}
    if similarity is not None:
        options["similarity"] = similarity
    if burst_seconds is not None:
        options["burst_seconds"] = burst_seconds
    with open_library(library, model, device, threads) as photos:
        if not no_indexing:
            index_folders(photos, places, quiet=True)
        with stage_bars() as progress:
            found = photos.duplicates(*places, progress=progress, **options)
    match form:
        case Format.JSON:
            print_json(found.to_dict())
        case Format.CSV:
            write_text(render.duplicates_as_csv(found))
        case Format.PATHS | Format.PATHS_0:
            write_text(render.other_paths(found, "\0" if form is Format.PATHS_0 else "\n"))
        case Format.TABLE:
            render.print_duplicates(found, inside=only_folder(places))
    others, size = sum(len(group.others) for group in found), sum(group.bytes for group in found)
    note(
        f"{len(found):,} of {found.total:,} groups among {found.photos:,} photos; "
        f"beside those to keep, {others:,} files of {file_size(size)}"
    )
    if grid is not None:
        render.write_duplicates_sheet(found, grid)
