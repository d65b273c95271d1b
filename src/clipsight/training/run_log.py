"""What a run writes about itself: metrics.csv, TensorBoard's event file, curves.png. Called by `trainer`."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from clipsight.core.extras import require
from clipsight.training.validation import RECALLS, ZERO_SHOT

_TRAINED = ("loss", "logit_scale", "learning_rate", "gradient_norm", "samples_per_second")
COLUMNS = ("step", "epoch", *_TRAINED, *RECALLS, ZERO_SHOT)
"""Of metrics.csv; what was not measured at a step is left empty."""

Row = Mapping[str, float]


class Report:
    """Figures of a run in its folder, row by row.

    A run that is resumed after `step` steps goes on behind their rows; later ones are taken out. Raises
    TrainingError where a library of the extra [train] is missing.
    """

    def __init__(self, folder: Path, step: int = 0) -> None:
        self._path, self._curves = folder / "metrics.csv", folder / "curves.png"
        require("train", "matplotlib.figure")  # found missing now, not after the first epoch
        kept = [row for row in read_metrics(self._path) if row["step"] <= step] if step else []
        self._file = self._path.open("w", newline="", encoding="utf-8")
        self._table = csv.DictWriter(self._file, COLUMNS)
        self._table.writeheader()
        for row in kept:
            self._write(row)
        self._events = require("train", "tensorboardX").SummaryWriter(
            str(folder / "tensorboard"), purge_step=step + 1 if step else None
        )

    def add(self, row: Row) -> None:
        """Keep one row of some of COLUMNS, `step` and `epoch` among them."""
        self._write(row)
        for name, value in row.items():
            if name not in ("step", "epoch"):
                group = "train" if name in _TRAINED else "held-out"
                self._events.add_scalar(f"{group}/{name.replace('@', '_at_')}", value, int(row["step"]))

    def draw(self) -> None:
        """Draw the curves of all rows so far."""
        figure = draw_curves(read_metrics(self._path))
        waiting = self._curves.with_name(f".{self._curves.name}.part")
        figure.savefig(waiting, format="png", dpi=110)
        waiting.replace(self._curves)

    def close(self) -> None:
        self._file.close()
        self._events.close()

    def _write(self, row: Row) -> None:
        self._table.writerow(
            {name: f"{value:.6g}" for name, value in row.items()} | {"step": int(row["step"])}
        )
        self._file.flush()


def read_metrics(path: Path) -> list[dict[str, float]]:
    """The rows of a metrics.csv, each with what was measured; none where there is no file."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)]


def draw_curves(rows: Sequence[Row]) -> Any:
    """Loss, held-out figures, logit scale and learning rate over steps, as a figure of matplotlib."""
    figure = require("train", "matplotlib.figure").Figure(figsize=(11, 7), layout="constrained")
    panels = figure.subplots(2, 2)
    measured = [name for name in (*RECALLS, ZERO_SHOT) if any(name in row for row in rows)]
    plots = (
        ("loss", ["loss"]),
        ("held out", measured),
        ("logit scale", ["logit_scale"]),
        ("learning rate", ["learning_rate"]),
    )
    for axes, (title, names) in zip(panels.flat, plots, strict=True):
        for name in names:
            points = [(row["step"], row[name]) for row in rows if name in row]
            axes.plot(*zip(*points, strict=True) if points else ((), ()), label=name, marker=_marker(points))
        axes.set_title(title)
        axes.set_xlabel("step")
        axes.grid(alpha=0.3)
        if len(names) > 1:
            axes.legend(fontsize=8)
    if measured:
        panels.flat[1].set_ylim(0, 1)
    return figure


def _marker(points: Sequence[tuple[float, float]]) -> str:
    return "." if len(points) <= 30 else ""
