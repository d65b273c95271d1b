"""The `clipsight` program: commands in the order of `--help`, signals and exit codes."""

import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from importlib import import_module
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup
from typer.main import get_command, get_group

from clipsight.cli.completion import NAME, handle_script
from clipsight.cli.help import GroupedCommand
from clipsight.cli.messages import QUIET, print_error, print_os_error, with_flags
from clipsight.cli.options import Interrupted
from clipsight.core.errors import ClipsightError
from clipsight.core.version import __version__

if TYPE_CHECKING:
    from typer._click.core import Command

_COMMANDS = {
    "search": "search:search",
    "explain": "explain:explain",
    "classify": "classify:classify",
    "match": "match:match",
    "duplicates": "duplicates:duplicates",
    "organize": "organize:organize",
    "probe": "probe:app",
    "serve": "serve:serve",
    "train": "train:train",
    "evaluate": "evaluate:evaluate",
    "export-model": "export_model:export_model",
    "index": "collection:index",
    "watch": "watch:watch",
    "status": "collection:status",
    "where": "collection:where",
    "optimize": "maintenance:optimize",
    "check": "maintenance:check",
    "backup": "maintenance:backup",
    "restore": "maintenance:restore",
    "models": "models:app",
    "compare-models": "compare_models:compare_models",
    "forget": "collection:forget",
    "export": "collection:export",
    "import": "collection:import_",
    "demo": "demo:demo",
}
"""Module and function (or group) of each command, in the order of `--help`."""


class _Commands(Mapping[str, "Command"]):
    """The commands by name; each is imported, and built from its signature, on first use."""

    def __getitem__(self, name: str) -> "Command":
        return _command(name)

    def __iter__(self) -> Iterator[str]:
        return iter(_COMMANDS)

    def __len__(self) -> int:
        return len(_COMMANDS)


@cache
def _command(name: str) -> "Command":
    module, _, function = _COMMANDS[name].partition(":")
    found = getattr(import_module(f"clipsight.cli.{module}"), function)
    command = get_group(found) if isinstance(found, typer.Typer) else _command_of(found)
    command.name = name
    return command


def _command_of(function: Callable[..., None]) -> "Command":
    """The command that calls `function`."""
    program = typer.Typer(add_completion=False, rich_markup_mode=None)
    program.command(cls=GroupedCommand)(function)
    return get_command(program)


class _Program(TyperGroup):
    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = _Commands()  # type: ignore[assignment]  # only read


app = typer.Typer(
    name=NAME,
    cls=_Program,
    help="Semantic photo search with CLIP: find photos by words, by a picture, or by both at once.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> NoReturn:
    """Run the command line; a `ClipsightError` or `OSError` is one line on stderr and exit code 2."""
    signal.signal(signal.SIGINT, _interrupt)
    signal.signal(signal.SIGTERM, _interrupt)
    code: Any = 0
    try:
        if not handle_script(sys.argv[1:]):
            _check_not_empty(sys.argv[1:])
            app(_reordered(sys.argv[1:]), prog_name=NAME)
    except SystemExit as request:
        code = request.code
    except ClipsightError as error:
        print_error(with_flags(str(error)))
        code = 2
    except OSError as error:
        code = print_os_error(error)
    except Interrupted:
        code = 130
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError as error:
        code = code or print_os_error(error)
    # sys.exit would wait for threads that are still decoding photos, whose results are not needed.
    os._exit(code or 0)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise Interrupted


def _reordered(arguments: Sequence[str]) -> list[str]:
    """Move `--quiet` to the front, and put a space before a query such as "- cartoon", which is no option."""
    quiet = [argument for argument in arguments if argument == "--quiet"]
    rest = [argument for argument in arguments if argument != "--quiet"]
    return quiet[:1] + [f" {argument}" if argument.startswith("- ") else argument for argument in rest]


def _check_not_empty(arguments: Sequence[str]) -> None:
    """Raise `ClipsightError` for an empty argument: as a path, it would mean the current folder.

    Only the query of a search may be empty.
    """
    for number, argument in enumerate(arguments, start=1):
        if (not argument and arguments[number - 2] != "search") or (
            argument.startswith("--") and argument.endswith("=")
        ):
            name = f"the value of {argument[:-1]}" if argument else f"argument {number}"
            raise ClipsightError(f"{name} is empty: leave it out, or write what it stands for")


def _version(requested: bool) -> None:
    if requested:
        print(f"clipsight {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", envvar=QUIET, help="Print results and errors only.")
    ] = False,
) -> None:
    """Semantic photo search with CLIP: find photos by words, by a picture, or by both at once."""
    from clipsight.core.config import read_config

    config = read_config()
    source = context.get_parameter_source("quiet")
    is_given = source is not None and source.name != "DEFAULT"
    os.environ[QUIET] = "1" if (quiet if is_given else config.quiet) else ""
    if not config.color:
        os.environ.setdefault("NO_COLOR", "1")
    name, values = str(context.invoked_subcommand), config.options()
    subcommands = dict.fromkeys(getattr(_command(name), "commands", ()), values)
    context.default_map = {name: {**values, **subcommands}}
