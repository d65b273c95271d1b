"""`clipsight match`."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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

if TYPE_CHECKING:
    from clipsight.search.text_matching import TextMatch


def match(
    photo: Annotated[str, typer.Argument(help="A photo's path or http(s) address.")],
    texts: Annotated[Path, typer.Option("--texts", help="A text file (UTF-8), one text a line.")],
    top: Annotated[int, typer.Option("--top", "-t", min=1, help="How many texts to show.")] = 5,
    as_json: JsonOption = False,
    library: LibraryOption = None,
    model: ModelOption = "auto",
    device: DeviceOption = "cpu",
    threads: ThreadsOption = None,
) -> None:
    """Find the texts in a file that fit PHOTO best; the file is embedded once and remembered."""
    from clipsight.cli.messages import note
    from clipsight.render.tables import answered_by

    with open_library(library, model, device, threads) as photos:
        encoder = photos.encoder
        with _bar() as progress:
            found = photos.match(photo, texts, top, progress=progress)
        cut = encoder.truncated([each.text for each in found])
    if as_json:
        matches = [each.to_dict() for each in found]
        print(json.dumps({"photo": photo, "model": encoder.name, "matches": matches}, indent=2))
    else:
        _print_table(found)
    for each, was_cut in zip(found, cut, strict=True):
        if was_cut:
            note(f"line {each.line} was cut to the model's {encoder.folder.context_length} tokens")
    note(answered_by(encoder.name))


def _print_table(found: "list[TextMatch]") -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from clipsight.render.fonts import visible

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("score", "line"):
        table.add_column(heading, justify="right")
    table.add_column("text")
    for each in found:
        table.add_row(f"{each.score:.3f}", str(each.line), Text(visible(each.text), overflow="fold"))
    Console(width=None if sys.stdout.isatty() else 200, highlight=False).print(table)


@contextmanager
def _bar() -> Iterator[Callable[[int, int], None]]:
    """A progress bar for embedding texts: on stderr, and only if that is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from clipsight.cli.messages import note
    from clipsight.search.text_matching import SHARD

    console = Console(stderr=True)
    columns = (TextColumn("embedding texts"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=None, visible=False)
        try:
            yield lambda done, total: bar.update(task, completed=done, total=total, visible=True)
        except Interrupted:
            bar.stop()
            note(f"stopped; every {SHARD:,} texts are kept, run the command again to go on")
            raise
