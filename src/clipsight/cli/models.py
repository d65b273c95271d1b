"""`clipsight models`: list them, download one, import the folder of one."""

import os
from pathlib import Path
from typing import Annotated

import typer

from clipsight.cli import completion
from clipsight.cli.help import GroupedCommand
from clipsight.cli.options import JsonOption, LibraryOption, open_library
from clipsight.render.stdout import print_json, print_line

app = typer.Typer(
    invoke_without_command=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def models(context: typer.Context, library: LibraryOption = None, as_json: JsonOption = False) -> None:
    """List models, download one, or import one from a folder.

    Without a command: the installed and the available models, with size, licence and published results.
    """
    from dataclasses import asdict

    from clipsight.core import paths
    from clipsight.models.registry import list_models
    from clipsight.render import tables
    from clipsight.store.catalog import CATALOG_NAME

    if context.invoked_subcommand is not None:
        return
    in_use = None
    if os.path.exists(paths.library_folder(library) / CATALOG_NAME):
        with open_library(library) as photos:
            in_use = photos.status().model
    found = list_models()
    if as_json:
        print_json([{**asdict(model), "in_use": model.name == in_use} for model in found])
    else:
        tables.print_models(found, in_use)


@app.command(cls=GroupedCommand)
def download(
    name: Annotated[
        str, typer.Argument(autocompletion=completion.models, help="Any name that `--model` takes.")
    ],
) -> None:
    """Download a model, and print its folder.

    To use it on a machine without internet, bring that folder there: clipsight models import FOLDER
    """
    from clipsight.models.folder import ModelFolder
    from clipsight.models.registry import locate

    print_line(str(ModelFolder.read(locate(name)).path))


@app.command("import", cls=GroupedCommand)
def import_(
    folder: Annotated[Path, typer.Argument(help="Folder of a model, brought from another machine.")],
    name: Annotated[
        str | None, typer.Option(help="Name to give to --model (default: the model's own).")
    ] = None,
    symlink: Annotated[
        bool, typer.Option("--symlink", help="Link to the folder in place of copying it.")
    ] = False,
) -> None:
    """Import a model from a folder, and print its new folder.

    The model is run once to check it. Nothing is left behind if the import fails.
    """
    from clipsight.cli.messages import note
    from clipsight.cli.progress import spinner
    from clipsight.models.import_folder import import_folder

    with spinner("importing"):
        target = import_folder(folder, name, symlink=symlink)
    print_line(str(target))
    note(f"to use it: clipsight index --model {target.name}")
