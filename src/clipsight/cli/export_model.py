"""Command `clipsight export-model`; needs the extra [train]."""

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clipsight.cli.options import JsonOption, photos_to_measure
from clipsight.render.stdout import print_json, print_line

if TYPE_CHECKING:
    from clipsight.export.export import ExportResult


class Precision(Enum):
    """Values of `--precision`."""

    FP32 = "fp32"
    FP16 = "fp16"
    INT8 = "int8"


def export_model(
    source: Annotated[
        str,
        typer.Argument(
            metavar="CHECKPOINT|NAME",
            help="A weights file, the folder of a training run or repository, or a published model's name.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write, for `search --model FOLDER`.")],
    precision: Annotated[
        Precision,
        typer.Option(
            help="fp32; fp16: half the size; int8: a quarter of it, and faster (see docs/export.md)."
        ),
    ] = Precision.FP32,
    arch: Annotated[
        str | None,
        typer.Option(help="The architecture, by name or as a JSON file, if the weights do not define it."),
    ] = None,
    photos: Annotated[
        Path | None,
        typer.Option(help="Photos to compare with PyTorch on (default: the demo's)."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing model in FOLDER.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Export a PyTorch checkpoint of CLIP as a model folder.

    The embeddings of the result are compared with PyTorch's.
    """
    from clipsight.cli.messages import note
    from clipsight.cli.progress import spinner

    with spinner("exporting"):
        done = _exported(source, out, precision, arch, photos, force)
    if as_json:
        print_json(done.to_dict())
        return
    print_line(f"{done.folder}: {done.size / 1e6:,.1f} MB, {done.precision}")
    for what, found in (("photos", done.photos.to_dict()), ("texts", done.texts.to_dict())):
        print(
            f"{found['count']} {what} against PyTorch: cosine {found['cosine']:.6f} or more, "
            f"largest difference {found['difference']:.1e}"
        )
    note(f"to search with it: clipsight search --model {done.folder} ...")


def _exported(
    source: str, out: Path, precision: Precision, arch: str | None, photos: Path | None, force: bool
) -> "ExportResult":
    from clipsight.core.errors import ModelError
    from clipsight.core.extras import require

    require("train", "clipsight.export.export", purpose="exporting needs", error=ModelError)
    from clipsight.export.export import export_model

    compared = photos_to_measure(photos)
    return export_model(source, out, compared, precision=precision.value, arch=arch, overwrite=force)
