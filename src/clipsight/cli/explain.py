"""Command `clipsight explain`."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clipsight.cli import completion
from clipsight.cli.options import (
    LIBRARY,
    OUTPUT,
    AddOption,
    BalanceOption,
    DeviceOption,
    JsonOption,
    LibraryOption,
    SubtractOption,
    ThreadsOption,
    check_outputs,
    check_target,
    open_library,
)
from clipsight.core.paths import expand
from clipsight.explain.registry import DEFAULT_COST, DEFAULT_METHOD, MAX_COST, METHODS, MIN_COST
from clipsight.render.stdout import print_json

if TYPE_CHECKING:
    from clipsight.explain.base import Explanation

_METHODS = "; ".join(
    f"{each.name}: {each.help}"
    + ("" if each.kind == "explanation" else ", a view of the model rather than an explanation")
    + (f" (needs {each.package})" if each.package else "")
    for each in METHODS.values()
)

METHOD = "Method"
"""Heading of options in the help."""


def explain(
    query: Annotated[str, typer.Argument(help='Words, a picture, or parts like "flower + 2:bee - cartoon".')],
    photo: Annotated[Path, typer.Argument(help="The photo whose score is explained.")],
    add: AddOption = None,
    subtract: SubtractOption = None,
    method: Annotated[
        str, typer.Option(autocompletion=completion.methods, rich_help_panel=METHOD, help=f"{_METHODS}.")
    ] = DEFAULT_METHOD,
    word: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=METHOD, help="Heat map of this word of the query, or of consecutive ones."
        ),
    ] = None,
    region: Annotated[
        bool, typer.Option(rich_help_panel=METHOD, help="Also compute the heat map; words alone are faster.")
    ] = True,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", rich_help_panel=OUTPUT, help="Also write a picture (.png) or a page (.html)."
        ),
    ] = None,
    cost: Annotated[
        int,
        typer.Option(
            min=MIN_COST,
            max=MAX_COST,
            rich_help_panel=METHOD,
            help="Maximum number of altered photos to embed; twice as many texts.",
        ),
    ] = DEFAULT_COST,
    balance: BalanceOption = True,
    as_json: JsonOption = False,
    library: LibraryOption = None,
    model: Annotated[
        str,
        typer.Option(
            "--model",
            envvar="CLIPSIGHT_MODEL",
            autocompletion=completion.models,
            rich_help_panel=LIBRARY,
            help="A name from `clipsight models`, or a model folder; auto: the library's own. For methods "
            "that need PyTorch: a weights file, a folder with one, or a published model's name.",
        ),
    ] = "auto",
    device: DeviceOption = "cpu",
    threads: ThreadsOption = None,
) -> None:
    """Explain a photo's score by words and places in the photo."""
    from clipsight.cli.messages import note, note_model
    from clipsight.cli.progress import stage_bars
    from clipsight.explain.base import Settings
    from clipsight.search.query import Query

    check_target(out, ".png", ".html")
    _check_is_not_photo(out, photo)
    check_outputs(library, out)
    parsed = Query.parse(query, add=add or (), subtract=subtract or ())
    with stage_bars() as progress:
        settings = Settings(cost=cost, progress=progress)
        checkpoint = model if _is_for_torch(model, method) else None
        with open_library(library, "auto" if checkpoint else model, device, threads) as photos:
            found = photos.explain(
                parsed,
                photo,
                method=method,
                word=word,
                region=region,
                balance=balance,
                checkpoint=checkpoint,
                settings=settings,
            )
    if as_json:
        print_json(found.to_dict())
    else:
        from clipsight.render.explanations.terminal import print_explanation

        print_explanation(found)
    if out is not None:
        _write(found, out)
    for line in (*found.notes, f"explained in {found.seconds:.1f} s"):
        note(line)
    note_model(found.model, photos.path, chosen=model != "auto")


def _is_for_torch(model: str, method: str) -> bool:
    """True if `--model` is a PyTorch checkpoint: a file, a folder without ONNX, or required by the method."""
    path = expand(model)
    if os.path.exists(path):
        return not os.path.exists(path / "visual" / "model.onnx")
    return model not in ("auto", "builtin") and method in METHODS and METHODS[method].needs == "train"


def _check_is_not_photo(out: Path | None, photo: Path) -> None:
    """Raise LibraryError if the file to write is the photo."""
    from clipsight.core.errors import LibraryError

    if out is not None and os.path.exists(out) and os.path.exists(photo) and out.samefile(photo):
        raise LibraryError(f"{out} is the photo itself: choose another name")


def _write(found: "Explanation", out: Path) -> None:
    if out.suffix.lower() == ".png":
        from clipsight.render.explanations.png import write_png

        write_png(found, out)
    else:
        from clipsight.render.explanations.html import write_html

        write_html(found, out)
