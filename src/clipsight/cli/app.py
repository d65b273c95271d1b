"""The `clipsight` program: commands in the order of `--help`, signals and exit codes."""

import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import Annotated, Any, NoReturn

import typer

from clipsight.cli import (
    classify,
    collection,
    compare_models,
    demo,
    evaluate,
    explain,
    export_model,
    maintenance,
    match,
    models,
    organize,
    probe,
    search,
    serve,
    train,
)
from clipsight.cli.messages import QUIET, print_error, with_flags
from clipsight.cli.options import Interrupted
from clipsight.core.errors import ClipsightError
from clipsight.core.version import __version__

app = typer.Typer(
    name="clipsight",
    help="Semantic photo search with CLIP: find photos by words, by a picture, or by both at once.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(search.search)
app.command()(explain.explain)
app.command()(classify.classify)
app.command()(match.match)
app.command()(organize.organize)
app.add_typer(probe.app, name="probe")
app.command()(serve.serve)
app.command()(train.train)
app.command()(evaluate.evaluate)
app.command("export-model")(export_model.export_model)
app.command()(collection.index)
app.command()(collection.status)
app.command()(maintenance.optimize)
app.command()(maintenance.check)
app.command()(maintenance.backup)
app.command()(maintenance.restore)
app.command()(models.models)
app.command("compare-models")(compare_models.compare_models)
app.command()(collection.forget)
app.command("export")(collection.export)
app.command("import")(collection.import_)
app.command()(demo.demo)


def main() -> NoReturn:
    """Run the command line; a `ClipsightError` is one line on stderr and exit code 2."""
    signal.signal(signal.SIGINT, _interrupt)
    signal.signal(signal.SIGTERM, _interrupt)
    code: Any = 0
    try:
        app(_reordered(sys.argv[1:]))
    except SystemExit as request:
        code = request.code
    except ClipsightError as error:
        print_error(with_flags(str(error)))
        code = 2
    except Interrupted:
        code = 130
    sys.stdout.flush()
    sys.stderr.flush()
    # sys.exit would wait for threads that are still decoding photos, whose results are not needed.
    os._exit(code or 0)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise Interrupted


def _reordered(arguments: Sequence[str]) -> list[str]:
    """Arguments with `--quiet` first, and a space before a leading "- ", a query such as "- cartoon"."""
    quiet = [argument for argument in arguments if argument == "--quiet"]
    rest = [argument for argument in arguments if argument != "--quiet"]
    return quiet[:1] + [f" {argument}" if argument.startswith("- ") else argument for argument in rest]


def _version(requested: bool) -> None:
    if requested:
        print(f"clipsight {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", envvar=QUIET, help="Print results and errors only.")
    ] = False,
) -> None:
    """Semantic photo search with CLIP: find photos by words, by a picture, or by both at once."""
    os.environ[QUIET] = "1" if quiet else ""
