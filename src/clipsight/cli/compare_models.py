"""`clipsight compare-models`: one model's precisions on this machine."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clipsight.cli.options import JsonOption, ThreadsOption

if TYPE_CHECKING:
    from clipsight.evaluation import ModelComparison


def compare_models(
    models: Annotated[
        list[str], typer.Argument(metavar="MODEL MODEL...", help="The model as it is, then its precisions.")
    ],
    photos: Annotated[
        Path | None, typer.Option(help="Photos to compare vectors of (default: those of the demo).")
    ] = None,
    threads: ThreadsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare a model's fp32, fp16 and int8 folders: speed on this machine, nearness of their vectors."""
    from clipsight import evaluation
    from clipsight.cli.messages import note
    from clipsight.cli.progress import spinner
    from clipsight.evaluation.precision_benchmark import recommended

    with spinner("measuring"):
        compared = evaluation.compare_models(models, _photos(photos), threads=threads)
    best = recommended(compared)
    if as_json:
        found = [each.to_dict() for each in compared]
        print(json.dumps({"models": found, "worth_using": best.path if best else None}, indent=2))
        return
    _print(compared)
    if best is None:
        note(f"on this machine none is both much faster than {compared[0].name} and near to it")
    else:
        note(f"to use the faster one (photos are embedded anew): clipsight index --model {best.path}")


def _print(compared: "list[ModelComparison]") -> None:
    from clipsight.render.tables import print_table

    first = compared[0]
    rows = [
        (
            each.name,
            f"{each.megabytes:,.0f}",
            f"{each.photos_a_second:.1f}",
            f"{each.photos_a_second / first.photos_a_second:.2f}",
            f"{each.texts_a_second:.1f}",
            f"{each.photo_cosine:.4f}",
            f"{each.text_cosine:.4f}",
        )
        for each in compared
    ]
    heading = ("model", "MB", "photos/s", "x first", "texts/s", "photos' least cosine", "texts'")
    print_table(heading, rows)


def _photos(folder: Path | None) -> list[Path]:
    from clipsight.indexing.sample_photos import sample_photos
    from clipsight.indexing.scan import photos_in

    return sample_photos() if folder is None else photos_in(folder)
