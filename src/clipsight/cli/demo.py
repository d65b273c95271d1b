"""Command `clipsight demo`."""

from pathlib import Path
from typing import Annotated

import typer

from clipsight.cli.options import ModelOption, open_library
from clipsight.render.stdout import print_line


def demo(
    out: Annotated[
        Path, typer.Option("--out", help="Folder for the demo's own library and contact sheets.")
    ] = Path("clipsight-demo"),
    model: ModelOption = "builtin",
) -> None:
    """Search sample photos by words, by a picture, and by both.

    The photos are those of scikit-image and scikit-learn.
    """
    from clipsight.cli.messages import note, note_model
    from clipsight.cli.progress import index_bar
    from clipsight.cli.queries import print_answer
    from clipsight.demo import run_demo
    from clipsight.render.tables import Format
    from clipsight.search.results import Matches

    def show(matches: Matches) -> None:
        print()
        print_line(matches.query)
        print_answer(matches, Format.TABLE)

    with open_library(out / "library", model) as photos, index_bar() as bar:
        sheets = run_demo(photos, out, show, progress=bar)
        print()
        note_model(photos.model, photos.path, chosen=model != "auto")
    for sheet in sheets:
        note(f"contact sheet: {sheet}")
