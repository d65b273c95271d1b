"""Command `clipsight match`."""

from pathlib import Path
from typing import Annotated

import typer

from clipsight.cli.options import (
    DeviceOption,
    Interrupted,
    JsonOption,
    LibraryOption,
    ModelOption,
    ThreadsOption,
    open_library,
)
from clipsight.render.stdout import print_json


def match(
    photo: Annotated[str, typer.Argument(help="A photo's path or http(s) address.")],
    texts: Annotated[Path, typer.Option("--texts", help="A text file (UTF-8), one text per line.")],
    top: Annotated[int, typer.Option("--top", "-t", min=1, help="Number of texts to show.")] = 5,
    as_json: JsonOption = False,
    library: LibraryOption = None,
    model: ModelOption = "auto",
    device: DeviceOption = "cpu",
    threads: ThreadsOption = None,
) -> None:
    """Find the lines of a text file that match a photo best.

    The vectors of the file are cached.
    """
    from clipsight.cli.messages import note, note_model
    from clipsight.cli.progress import progress_bar
    from clipsight.render.columns import Column, print_columns
    from clipsight.search.text_matching import SHARD

    with open_library(library, model, device, threads) as photos:
        encoder = photos.encoder
        with progress_bar("embedding texts") as progress:
            try:
                found = photos.match(photo, texts, top, progress=progress)
            except Interrupted:
                note(f"stopped; every {SHARD:,} texts are kept, run the command again to go on")
                raise
        cut = encoder.truncated([each.text for each in found])
    if as_json:
        matches = [each.to_dict() for each in found]
        print_json({"photo": photo, "model": encoder.name, "matches": matches})
    else:
        columns = [Column("score", right=True), Column("line", right=True), Column("text", fold=True)]
        print_columns(columns, [(f"{each.score:.3f}", str(each.line), each.text) for each in found])
    for each, was_cut in zip(found, cut, strict=True):
        if was_cut:
            note(f"line {each.line} was truncated to the model's {encoder.folder.context_length} tokens")
    note_model(encoder.name, photos.path, chosen=model != "auto")
