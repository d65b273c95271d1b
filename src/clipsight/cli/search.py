"""`clipsight search`."""

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from clipsight.cli import completion
from clipsight.cli.options import (
    LIBRARY,
    OUTPUT,
    QUERY,
    AddOption,
    BalanceOption,
    CsvOption,
    DeviceOption,
    GridOption,
    JsonOption,
    LibraryOption,
    ModelOption,
    NoIndexingOption,
    SubtractOption,
    ThreadsOption,
    check_outputs,
    index_folders,
    one_format,
    only_folder,
    open_library,
)
from clipsight.cli.queries import check_format, print_answer, print_answers, read_queries
from clipsight.core import paths
from clipsight.search.grammar import with_text

if TYPE_CHECKING:
    from clipsight.library import Library
    from clipsight.search.query import Query
    from clipsight.search.results import Matches

RESULTS, FILTERS = "Results", "Filters"
"""Headings of options in the help."""


def search(
    query: Annotated[
        str,
        typer.Argument(help='Words, a picture\'s path or address, or parts like "flower + 2:bee - cartoon".'),
    ] = "",
    folders: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[FOLDERS]...",
            autocompletion=completion.folders,
            help="Folders of photos; default: all indexed before.",
        ),
    ] = None,
    add: AddOption = None,
    subtract: SubtractOption = None,
    top: Annotated[
        int, typer.Option("--top", "-t", min=1, rich_help_panel=RESULTS, help="Number of photos to show.")
    ] = 10,
    offset: Annotated[
        int, typer.Option(min=0, rich_help_panel=RESULTS, help="Number of best photos to skip.")
    ] = 0,
    min_score: Annotated[float | None, typer.Option(rich_help_panel=RESULTS, help="Minimum score.")] = None,
    sort: Annotated[
        Literal["score", "date", "path"], typer.Option(rich_help_panel=RESULTS, help="Order of the results.")
    ] = "score",
    balance: BalanceOption = True,
    label: Annotated[
        list[str] | None,
        typer.Option(
            autocompletion=completion.labels,
            rich_help_panel=FILTERS,
            help="Only photos that `classify` gave this label; repeatable: any.",
        ),
    ] = None,
    after: Annotated[
        str | None,
        typer.Option(rich_help_panel=FILTERS, help="Only photos taken since 2024, 2024-05 or 2024-05-06."),
    ] = None,
    before: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=FILTERS, help="Only photos taken before the beginning of 2025, 2025-01..."
        ),
    ] = None,
    format_: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            autocompletion=completion.formats,
            rich_help_panel=FILTERS,
            help="Only jpeg, heic...; repeatable: any.",
        ),
    ] = None,
    camera: Annotated[
        list[str] | None,
        typer.Option(
            autocompletion=completion.cameras,
            rich_help_panel=FILTERS,
            help="Only by cameras with this in their name; repeatable: any.",
        ),
    ] = None,
    min_size: Annotated[
        str | None, typer.Option(rich_help_panel=FILTERS, help="Only files of at least 500k, 2.5MB...")
    ] = None,
    max_size: Annotated[
        str | None, typer.Option(rich_help_panel=FILTERS, help="Only files of at most this size.")
    ] = None,
    min_width: Annotated[
        int | None, typer.Option(min=1, rich_help_panel=FILTERS, help="Minimum width in pixels.")
    ] = None,
    max_width: Annotated[
        int | None, typer.Option(min=1, rich_help_panel=FILTERS, help="Maximum width in pixels.")
    ] = None,
    min_height: Annotated[
        int | None, typer.Option(min=1, rich_help_panel=FILTERS, help="Minimum height in pixels.")
    ] = None,
    max_height: Annotated[
        int | None, typer.Option(min=1, rich_help_panel=FILTERS, help="Maximum height in pixels.")
    ] = None,
    text: Annotated[
        bool,
        typer.Option(rich_help_panel=RESULTS, help="Also look for the words in the text read in photos."),
    ] = True,
    text_only: Annotated[
        bool,
        typer.Option(
            "--text-only", rich_help_panel=RESULTS, help="Only photos with the words in their text."
        ),
    ] = False,
    exact: Annotated[
        bool,
        typer.Option("--exact", rich_help_panel=RESULTS, help="Compare all photos, also after `optimize`."),
    ] = False,
    queries: Annotated[
        Path | None,
        typer.Option(
            rich_help_panel=QUERY, help="Answer each line of this file (-: of stdin) in place of QUERY."
        ),
    ] = None,
    duplicates: Annotated[
        bool, typer.Option("--duplicates", rich_help_panel=RESULTS, help="Show every copy of a photo.")
    ] = False,
    sure: Annotated[
        bool,
        typer.Option(
            "--sure", rich_help_panel=RESULTS, help="Only photos that really match, none if nothing does."
        ),
    ] = False,
    explain: Annotated[
        bool, typer.Option("--explain", rich_help_panel=OUTPUT, help="Tell why the first three match.")
    ] = False,
    no_indexing: NoIndexingOption = False,
    filepath_only: Annotated[
        bool,
        typer.Option("--paths", "--filepath-only", "-f", rich_help_panel=OUTPUT, help="Print paths only."),
    ] = False,
    null: Annotated[
        bool, typer.Option("-0", rich_help_panel=OUTPUT, help="Print paths only, each ended by a NUL byte.")
    ] = False,
    as_json: JsonOption = False,
    as_csv: CsvOption = False,
    grid: GridOption = None,
    preview: Annotated[
        bool, typer.Option("--preview", "-p", rich_help_panel=OUTPUT, help="Show the photos in the terminal.")
    ] = False,
    open_photos: Annotated[
        bool, typer.Option("--open", rich_help_panel=OUTPUT, help="Open the photos that were found.")
    ] = False,
    server: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=LIBRARY, help="Let the `clipsight serve` at this address search its library."
        ),
    ] = None,
    library: LibraryOption = None,
    model: ModelOption = "auto",
    device: DeviceOption = "cpu",
    threads: ThreadsOption = None,
) -> None:
    """Find photos by words, by a picture, or by both.

    New photos in FOLDERS are indexed first.
    """
    from clipsight.cli.messages import note, note_model
    from clipsight.render.tables import Format
    from clipsight.search.options import SearchOptions
    from clipsight.search.query import Query
    from clipsight.store.filters import Filters, parse_bytes

    check_outputs(library, grid)
    form = one_format(as_json, as_csv, filepath_only, null)
    if explain and form is not Format.TABLE:
        raise typer.BadParameter("--explain goes without --json, --csv and --paths: see clipsight explain")
    if queries is not None:
        if add or subtract or explain or grid or preview or open_photos:
            raise typer.BadParameter(
                "--queries goes without --add, --subtract, --explain, --grid, --preview and --open"
            )
        check_format(form)
        inside = [Path(each) for each in (query, *(folders or ())) if each]
        parsed = read_queries(queries)
    else:
        query, inside = _query_and_folders(query, folders or [])
        parsed = [Query.parse(query, add=add or (), subtract=subtract or ())]
    options = SearchOptions(
        top=top,
        offset=offset,
        min_score=min_score,
        sort=sort,
        balance=balance,
        sure=sure,
        duplicates=duplicates,
        exact=exact,
        text=text,
        text_only=text_only,
        filters=Filters(
            folders=tuple(inside),
            labels=tuple(label or ()),
            after=after,
            before=before,
            formats=tuple(format_ or ()),
            cameras=tuple(camera or ()),
            min_bytes=None if min_size is None else parse_bytes(min_size),
            max_bytes=None if max_size is None else parse_bytes(max_size),
            min_width=min_width,
            max_width=max_width,
            min_height=min_height,
            max_height=max_height,
        ),
    )
    if server is not None:
        if queries or explain or grid or preview or open_photos:
            raise typer.BadParameter(
                "--server goes without --queries, --explain, --grid, --preview and --open"
            )
        from clipsight.web.client import remote

        found = remote.search(server, parsed[0], options)
        print_answer(found, form)
        for line in found.notes:
            note(line)
        return
    with open_library(library, model, device, threads) as photos:
        if not no_indexing:
            index_folders(photos, inside, quiet=True)
        answers = photos.search_many(parsed, options=options)
        if queries is not None:
            print_answers(answers, form, only_folder(inside))
        else:
            print_answer(answers[0], form, only_folder(inside))
        if explain:
            print_explanations(photos, parsed[0], answers[0], balance=balance)
    notes = dict.fromkeys(line for matches in answers for line in matches.notes)
    for line in notes:
        note(line)
    note_model(answers[0].model, photos.path, chosen=model != "auto")
    if grid is not None:
        from clipsight.render.contact_sheet import write_contact_sheet

        write_contact_sheet(answers[0], grid)
    if preview:
        from clipsight.render.terminal_images import print_previews

        if not print_previews(answers[0], sys.stdout, width=shutil.get_terminal_size().columns):
            note("no preview: not a terminal that is known to show pictures, or 256 colours or more")
    if open_photos:
        for match in answers[0]:
            typer.launch(str(match.path))


def _query_and_folders(query: str, arguments: list[str]) -> tuple[str, list[Path]]:
    """The query, joined with unquoted words after it, and the folders at the end.

    Raises `BadParameter` for a folder among the words.
    """
    start = len(arguments)
    while start and _is_meant_as_folder(arguments, start - 1):
        start -= 1
    for place, word in enumerate(arguments[:start]):
        if "/" in word and _is_meant_as_folder(arguments, place):
            raise typer.BadParameter(f"{word}: folders go after the query")
    words = map(_with_quotes, filter(None, [query, *arguments[:start]]))
    return " ".join(words), [Path(each) for each in arguments[start:]]


def _with_quotes(argument: str) -> str:
    """An argument `text:akai mpk` with the quotes that the shell has taken: `text:"akai mpk"`."""
    words = argument[len("text:") :]
    is_bare = argument.startswith("text:") and words.strip() and not set('"“”„+-') & set(words)
    return with_text(words) if is_bare else argument


def _is_meant_as_folder(arguments: list[str], place: int) -> bool:
    """True for an existing folder, and for a path that is neither a file nor an operand of + or -."""
    path, after_operator = paths.expand(arguments[place]), place > 0 and arguments[place - 1] in "+-"
    return os.path.isdir(path) or (
        arguments[place].startswith(paths.PREFIXES) and not after_operator and not os.path.isfile(path)
    )


_MAX_EXPLAINED = 3
"""Number of matches that `clipsight search --explain` explains."""


def print_explanations(
    library: "Library", query: "Query", matches: "Matches", *, balance: bool = True
) -> None:
    """Print explanations of the first `_MAX_EXPLAINED` matches; of regions only if stdout shows pictures.

    For a photo that can't be read any more, a note is printed on stderr.
    """
    import os

    from clipsight.cli.messages import note
    from clipsight.core.errors import PhotoError
    from clipsight.render.explanations.terminal import print_explanation
    from clipsight.render.terminal_images import image_protocol

    for match in matches[:_MAX_EXPLAINED]:
        try:
            shown = image_protocol(sys.stdout, os.environ) is not None
            found = library.explain(query, match.path, region=shown, balance=balance)
        except PhotoError as error:
            note(str(error))
            continue
        print()
        print_explanation(found)
