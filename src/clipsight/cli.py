"""The command line: parse, call `Library`, print. No logic of its own.

Heavy modules are imported inside the commands, so that `clipsight --help` starts at once.
"""

import os
import shutil
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import typer

from clipsight import __version__
from clipsight.errors import ClipsightError

if TYPE_CHECKING:
    from clipsight.console import Format
    from clipsight.library import Library

app = typer.Typer(
    name="clipsight",
    help="Semantic photo search with CLIP: find photos by words, by a picture, or by both at once.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Folders = Annotated[list[Path] | None, typer.Argument(help="Folders of photos; default: all indexed before.")]
LibraryOption = Annotated[
    Path | None,
    typer.Option("--library", help="Folder that keeps the index (default: the user's data folder)."),
]
ModelOption = Annotated[
    str,
    typer.Option(
        "--model", help="A name from `clipsight models`, or a model folder; auto: the library's own."
    ),
]
DeviceOption = Annotated[str, typer.Option("--device", help="Where the model runs, such as cpu or cuda.")]
ThreadsOption = Annotated[
    int | None, typer.Option("--threads", min=1, help="CPU threads (default: all cores).")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
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
    with _open(library, model, device, threads) as photos:
        if not no_indexing:
            _index(photos, folders or [], quiet=True)
        matches = photos.search(
            parsed,
            top,
            folders=folders or (),
            min_score=min_score,
            offset=offset,
            sort=sort,
            balance=balance,
        )
    console.print_matches(matches, form)
    for line in (*matches.notes, _answered_by(matches.model)):
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


@app.command()
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
    with _open(library, model, device, threads) as photos:
        _index(
            photos,
            folders or [],
            exclude=exclude,
            hidden=hidden,
            gps=gps,
            max_pixels=max_pixels,
            exact=exact,
            retry=retry,
        )


@app.command()
def status(library: LibraryOption = None, as_json: JsonOption = False) -> None:
    """Show folders, counts, the model in use, and every file that failed with its reason."""
    import json

    from clipsight import console

    with _open(library) as photos:
        found = photos.status()
    if as_json:
        print(json.dumps(console.status_to_dict(found), indent=2))
    else:
        console.print_status(found)


@app.command()
def models(library: LibraryOption = None, as_json: JsonOption = False) -> None:
    """List the models that are here or can be had, with size, licence and published figures."""
    import json
    from dataclasses import asdict

    from clipsight import console
    from clipsight.models.zoo import list_models

    with _open(library) as photos:
        in_use = photos.status().model
    found = list_models()
    if as_json:
        print(json.dumps([{**asdict(model), "in_use": model.name == in_use} for model in found], indent=2))
    else:
        console.print_models(found, in_use)


@app.command()
def forget(
    folder: Annotated[Path, typer.Argument(help="An indexed folder, or one below it.")],
    library: LibraryOption = None,
) -> None:
    """Drop everything the index knows of FOLDER; photos are not touched."""
    from clipsight.console import note

    with _open(library) as photos:
        note(f"forgot {photos.forget(folder):,} photos in {folder}; the files are as they were")


@app.command("export")
def export_command(
    file: Annotated[Path, typer.Argument(help="A file that ends in .npz or .parquet.")],
    library: LibraryOption = None,
) -> None:
    """Write the paths and vectors of all photos to FILE."""
    from clipsight.console import note

    with _open(library) as photos:
        note(f"wrote {photos.export(file):,} vectors of {photos.model} to {file}")


@app.command("import")
def import_command(
    file: Annotated[
        Path, typer.Argument(help=".npz or .parquet with paths and vectors; or clip-retrieval's folder.")
    ],
    library: LibraryOption = None,
    model: ModelOption = "auto",
) -> None:
    """Make vectors that were computed elsewhere searchable."""
    from clipsight.console import note

    with _open(library, model) as photos:
        report = photos.import_(file)
        note(f"added {report.added:,} vectors; {report.kept:,} photos keep the ones they had")


@app.command()
def demo(
    out: Annotated[
        Path, typer.Option("--out", help="Folder for the demo's own library and contact sheets.")
    ] = Path("clipsight-demo"),
    model: ModelOption = "builtin",
) -> None:
    """Search the sample photos of scikit-image and scikit-learn by words, picture, both, and minus."""
    from clipsight.console import Format, note, print_matches
    from clipsight.demo import run_demo
    from clipsight.progress import index_bar
    from clipsight.results import Matches

    def show(matches: Matches) -> None:
        print(f"\n{matches.query}", flush=True)
        print_matches(matches, Format.TABLE)

    with _open(out / "library", model) as photos, index_bar() as bar:
        sheets = run_demo(photos, out, show, observer=bar)
        print()
        note(_answered_by(photos.model))
    for sheet in sheets:
        note(f"contact sheet: {sheet}")


class Interrupted(BaseException):
    """Ctrl-C or SIGTERM. Not a KeyboardInterrupt, which Typer would turn into its own message."""


def main() -> NoReturn:
    """Run the command line; a user's error is one line on stderr and exit code 2."""
    signal.signal(signal.SIGINT, _interrupt)
    signal.signal(signal.SIGTERM, _interrupt)
    code: Any = 0
    try:
        app(_positional_minus(sys.argv[1:]))
    except SystemExit as request:
        code = request.code
    except ClipsightError as error:
        print(f"clipsight: {error}", file=sys.stderr)
        code = 2
    except Interrupted:
        code = 130
    sys.stdout.flush()
    sys.stderr.flush()
    # Not sys.exit: it would wait for threads that are in the middle of decoding a photo, of
    # which nothing is needed any more.
    os._exit(code or 0)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise Interrupted


def _positional_minus(arguments: Sequence[str]) -> list[str]:
    """Let `search "- cartoon"` through: a minus before a space is a query, not an option."""
    return [f" {argument}" if argument.startswith("- ") else argument for argument in arguments]


def _version(asked: bool) -> None:
    if asked:
        print(f"clipsight {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Semantic photo search with CLIP: find photos by words, by a picture, or by both at once."""


def _open(
    library: Path | None, model: str = "auto", device: str = "cpu", threads: int | None = None
) -> "Library":
    from clipsight.console import note
    from clipsight.library import Library

    return Library.open(library, model, device=device, threads=threads, note=note)


def _index(photos: "Library", folders: Sequence[Path], *, quiet: bool = False, **options: Any) -> None:
    """Index with a progress bar; print what was done (if `quiet`, only where there is something to say)."""
    from clipsight.console import note
    from clipsight.progress import index_bar

    with index_bar() as bar:
        try:
            reports = photos.index(*folders, observer=bar, **options)
        except Interrupted:
            note(f"stopped; {bar.kept:,} photos of this run are kept, run the command again to go on")
            raise
    for report in reports:
        if not quiet:
            print(report)
        elif report.embedded or report.failed:
            note(str(report))
        for problem in report.problems:
            note(f"can't read {problem}; its photos are kept")
        if report.failed:
            note("some files could not be read; the reasons: clipsight status")


def _answered_by(model: str) -> str:
    from clipsight.models.zoo import RECOMMENDED

    if model != "builtin":
        return f"answered by {model}"
    return (
        "answered by builtin, the small model that comes with clipsight; "
        f"for a stronger one: clipsight index --model {RECOMMENDED}"
    )


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
