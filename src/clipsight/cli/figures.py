"""What `probe` and `evaluate` share: a bar while they index, tables of figures, photos left out."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from clipsight.cli.messages import note
from clipsight.cli.options import Interrupted
from clipsight.cli.progress import IndexBar, index_bar
from clipsight.render.fonts import visible

if TYPE_CHECKING:
    from clipsight.metrics.classification import ClassificationMetrics

_TOLD = 10
"""Photos left out that are named; of the others, how many."""


@contextmanager
def noted_bar() -> Iterator[IndexBar]:
    """A progress bar for indexing that tells, when it is interrupted, what is kept."""
    with index_bar() as bar:
        try:
            yield bar
        except Interrupted:
            note(f"stopped; {bar.kept:,} photos of this run are kept, run the command again to go on")
            raise


def print_table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table, its first column to the left and the others to the right."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for number, name in enumerate(heading):
        table.add_column(Text(name), justify="right" if number else "left")
    for row in rows:
        table.add_row(*(Text(visible(cell), overflow="fold") for cell in row))
    width = None if sys.stdout.isatty() else 200
    Console(soft_wrap=False, width=width, highlight=False).print(table)


def print_classes(scores: "ClassificationMetrics") -> None:
    """Print photos, recall, precision and F1 of every class, and what it was most often taken for."""
    photos = scores.confusion_matrix.sum(1)
    rows = []
    for row, name in enumerate(scores.classes):
        mistake = scores.most_confused_with(row)
        rows.append(
            (
                name,
                str(photos[row]),
                *(figure(values[row]) for values in (scores.recall, scores.precision, scores.f1)),
                f"{mistake[0]} ({mistake[1]})" if mistake else "",
            )
        )
    print_table(("class", "photos", "recall", "precision", "F1", "most taken for"), rows)


def note_left_out(failures: Sequence[tuple[Path, str]]) -> None:
    """Tell which photos were left out, and why."""
    for path, reason in failures[:_TOLD]:
        note(f"left out {visible(str(path))}: {reason}")
    if len(failures) > _TOLD:
        note(f"left out {len(failures) - _TOLD:,} more: --json names them all")


def figure(value: float) -> str:
    """A share from 0 to 1, to three digits; nothing for NaN."""
    return "" if value != value else f"{value:.3f}"
