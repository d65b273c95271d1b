"""Options of several commands, opening a library, and indexing with a progress bar."""

import os
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clipsight.cli import completion
from clipsight.core.arguments import MAX_THREADS
from clipsight.render.stdout import print_line

if TYPE_CHECKING:
    from clipsight.library import Library
    from clipsight.render.tables import Format

QUERY = "Query"
LABELS = "Labels"
OUTPUT = "Output"
LIBRARY = "Library and model"
"""Headings of options in the help of commands that have many."""

Folders = Annotated[list[Path] | None, typer.Argument(help="Folders of photos (default: all indexed ones).")]
LibraryOption = Annotated[
    Path | None,
    typer.Option(
        "--library",
        envvar="CLIPSIGHT_LIBRARY",
        rich_help_panel=LIBRARY,
        help="Folder of the index (default: in the user's data folder).",
    ),
]
ModelOption = Annotated[
    str,
    typer.Option(
        "--model",
        envvar="CLIPSIGHT_MODEL",
        autocompletion=completion.models,
        rich_help_panel=LIBRARY,
        help="A name from `clipsight models`, or a model folder; auto: the library's own.",
    ),
]
DeviceOption = Annotated[
    str,
    typer.Option(
        "--device",
        autocompletion=completion.devices,
        rich_help_panel=LIBRARY,
        help="Device of the model, such as cpu or cuda.",
    ),
]
ThreadsOption = Annotated[
    int | None,
    typer.Option(
        "--threads",
        min=1,
        max=MAX_THREADS,
        rich_help_panel=LIBRARY,
        help="CPU threads (default: all cores).",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", rich_help_panel=OUTPUT, help="Print JSON.")]
CsvOption = Annotated[bool, typer.Option("--csv", rich_help_panel=OUTPUT, help="Print CSV.")]
GridOption = Annotated[
    Path | None, typer.Option(rich_help_panel=OUTPUT, help="Write a contact sheet (.jpg or .png).")
]
NoIndexingOption = Annotated[
    bool,
    typer.Option("--no-indexing", "-n", rich_help_panel=LIBRARY, help="Don't look for new photos first."),
]
LabelsOption = Annotated[
    str | None,
    typer.Option(
        "--labels", rich_help_panel=LABELS, help="Labels to choose from: a,b,c or a file, one per line."
    ),
]
TemplateOption = Annotated[
    list[str] | None,
    typer.Option(
        "--template",
        rich_help_panel=LABELS,
        help='Prompt template for labels, like "a photo of a {}."; repeatable.',
    ),
]
AddOption = Annotated[
    list[str] | None,
    typer.Option("--add", "-a", rich_help_panel=QUERY, help="Add a query part; repeatable."),
]
SubtractOption = Annotated[
    list[str] | None,
    typer.Option("--subtract", "-s", rich_help_panel=QUERY, help="Subtract a query part; repeatable."),
]
BalanceOption = Annotated[
    bool,
    typer.Option(
        "--balance/--no-balance",
        rich_help_panel=QUERY,
        help="Balance words and pictures in mixed queries.",
    ),
]


class Interrupted(BaseException):
    """Ctrl-C or SIGTERM; not a KeyboardInterrupt, for which Typer prints a message of its own."""


def open_library(
    library: Path | None, model: str = "auto", device: str = "cpu", threads: int | None = None
) -> "Library":
    """Open the library; its notes are printed on stderr."""
    from clipsight.cli.messages import note
    from clipsight.library import Library

    return Library.open(library, model, device=device, threads=threads, note=note)


def check_target(file: Path | None, *suffixes: str) -> None:
    """Raise `LibraryError` early for a file that can't be written: another suffix, or no such folder."""
    from clipsight.core.errors import LibraryError

    if file is None:
        return
    if file.suffix.lower() not in suffixes:
        raise LibraryError(f"can't write {file.name}: name it {' or '.join(suffixes)}")
    if not os.path.isdir(file.absolute().parent):
        raise LibraryError(f"can't write {file}: no such folder")


def check_outputs(library: Path | None, *files: Path | None) -> None:
    """Raise `LibraryError` if a command would replace one of `files` in an indexed folder."""
    from clipsight.core import paths
    from clipsight.core.errors import LibraryError
    from clipsight.store.catalog import CATALOG_NAME, Catalog

    existing = [Path(os.path.realpath(file)) for file in files if file is not None and os.path.isfile(file)]
    folder = paths.library_folder(library)
    if not existing or not os.path.exists(folder / CATALOG_NAME):
        return
    with closing(Catalog(folder)) as catalog:
        roots = [Path(os.path.realpath(os.fsdecode(root.path))) for root in catalog.roots()]
    for file in existing:
        if any(file.is_relative_to(root) for root in roots):
            raise LibraryError(
                f"{file} lies in an indexed folder, whose files are only read: choose another name"
            )


def photos_to_measure(folder: Path | None) -> list[Path]:
    """The photos below the folder of `--photos`, or the sample photos. Raises `ModelError` without any."""
    from clipsight.core.errors import LibraryError, ModelError
    from clipsight.indexing.sample_photos import sample_photos
    from clipsight.indexing.scan import photos_in

    if folder is not None:
        return photos_in(folder)
    try:
        return sample_photos()
    except LibraryError as error:
        raise ModelError(f"name a folder of photos to measure on with --photos; {error}") from error


def only_folder(folders: Sequence[Path]) -> Path | None:
    """The absolute path of a single folder, to which paths are shown relative; None for several."""
    from clipsight.search.session import absolute

    return Path(os.fsdecode(absolute(folders[0]))) if len(folders) == 1 else None


def one_format(as_json: bool, as_csv: bool, paths: bool, null: bool) -> "Format":
    """The chosen format of the output. Raises `BadParameter` for more than one."""
    from clipsight.render.tables import Format

    chosen = [
        form
        for form, flag in (
            (Format.JSON, as_json),
            (Format.CSV, as_csv),
            (Format.PATHS_0, null),
            (Format.PATHS, paths and not null),
        )
        if flag
    ]
    if len(chosen) > 1:
        raise typer.BadParameter("choose one of --json, --csv and --paths")
    return chosen[0] if chosen else Format.TABLE


def index_folders(photos: "Library", folders: Sequence[Path], *, quiet: bool = False, **options: Any) -> None:
    """Index with a progress bar and print reports; with `quiet`, only those of new or failed photos."""
    from clipsight.cli.messages import note
    from clipsight.cli.progress import index_bar

    with index_bar() as bar:
        reports = photos.index(*folders, progress=bar, **options)
    for report in reports:
        if not quiet:
            print_line(str(report))
        elif report.embedded or report.failed or report.read:
            note(str(report))
        for problem in report.problems:
            note(f"can't read {problem}; its photos are kept")
        if report.unread:
            note(f"the text of {report.unread:,} photos could not be read; the reasons: clipsight status")
        if report.failed:
            note("some files could not be read; the reasons: clipsight status")
