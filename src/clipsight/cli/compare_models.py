"""Command `clipsight compare-models`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clipsight.cli import completion
from clipsight.cli.options import JsonOption, ThreadsOption, photos_to_measure
from clipsight.render.stdout import print_json

if TYPE_CHECKING:
    from clipsight.evaluation import ModelComparison


def compare_models(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL MODEL...",
            autocompletion=completion.models,
            help="The original model, then other precisions.",
        ),
    ],
    photos: Annotated[
        Path | None, typer.Option(help="Folder of photos to embed (default: the demo's).")
    ] = None,
    threads: ThreadsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare speed and vectors of a model's precisions.

    The speed is measured on this machine; the vectors are compared with those of the first folder.
    """
    from clipsight import evaluation
    from clipsight.cli.messages import note
    from clipsight.cli.progress import spinner
    from clipsight.evaluation.precision_benchmark import recommended

    with spinner("measuring"):
        compared = evaluation.compare_models(models, photos_to_measure(photos), threads=threads)
    best = recommended(compared)
    if as_json:
        found = [each.to_dict() for each in compared]
        print_json({"models": found, "worth_using": best.path if best else None})
        return
    _print(compared)
    if best is None:
        note(f"on this machine none is both much faster than {compared[0].name} and similar to it")
    else:
        note(f"to use the faster one (all photos are embedded again): clipsight index --model {best.path}")


def _print(compared: "list[ModelComparison]") -> None:
    from clipsight.render.columns import Column, print_columns

    first = compared[0]
    rows = [
        (
            f"{each.megabytes:,.0f}",
            f"{each.photos_a_second:.1f}",
            f"{each.photos_a_second / first.photos_a_second:.2f}",
            f"{each.texts_a_second:.1f}",
            f"{each.photo_cosine:.4f}",
            f"{each.text_cosine:.4f}",
            each.name,
        )
        for each in compared
    ]
    numbers = ("MB", "photos/s", "x first", "texts/s", "photo cosine", "text cosine")
    print_columns([*(Column(name, right=True) for name in numbers), Column("model")], rows)
