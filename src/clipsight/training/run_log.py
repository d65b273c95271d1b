"""Metrics of a run in its folder: metrics.csv, TensorBoard's event file, curves.png."""

import csv
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from clipsight.core.errors import TrainingError
from clipsight.core.extras import require
from clipsight.core.files import MARK, atomic_write
from clipsight.training.validation import RECALLS, ZERO_SHOT

_TRAINING = ("loss", "logit_scale", "learning_rate", "gradient_norm", "samples_per_second")
COLUMNS = ("step", "epoch", *_TRAINING, *RECALLS, ZERO_SHOT)
"""Columns of metrics.csv; a cell is empty if the metric was not measured at that step."""

PLOT_SECONDS = 60.0
"""Least time between two drawings of the curves, which take as long as many steps of a small model."""

Row = Mapping[str, float]


class RunLog:
    """Writer of a run's metrics, row by row.

    A resumed run continues after the row of its step; later rows are removed.
    """

    def __init__(self, folder: Path, step: int = 0) -> None:
        """Open the log in `folder` at `step`. Raises TrainingError if the extra [train] is incomplete."""
        self._path, self._curves = folder / "metrics.csv", folder / "curves.png"
        require("train", "matplotlib.figure")  # fail now rather than after the first epoch
        kept = [row for row in read_metrics(self._path) if row["step"] <= step] if step else []
        self._file = self._path.open("w", newline="", encoding="utf-8")
        self._table = csv.DictWriter(self._file, COLUMNS)
        self._table.writeheader()
        for row in kept:
            self._write(row)
        self._events = require("train", "tensorboardX").SummaryWriter(
            str(folder / "tensorboard"), purge_step=step + 1 if step else None
        )
        self._plotted = time.monotonic()
        self._is_new = False

    def add(self, row: Row) -> None:
        """Append a row: some of COLUMNS, always with `step` and `epoch`. Draw the curves now and then."""
        self._write(row)
        self._is_new = True
        for name, value in row.items():
            if name not in ("step", "epoch"):
                group = "train" if name in _TRAINING else "held-out"
                self._events.add_scalar(f"{group}/{name.replace('@', '_at_')}", value, int(row["step"]))
        if time.monotonic() - self._plotted > PLOT_SECONDS:
            self._plot()

    def close(self) -> None:
        """Draw the curves of all rows; close both files."""
        self._file.close()
        self._events.close()
        if self._is_new:
            self._plot()

    def _write(self, row: Row) -> None:
        self._table.writerow(
            {name: f"{value:.6g}" for name, value in row.items()} | {"step": int(row["step"])}
        )
        self._file.flush()

    def _plot(self) -> None:
        figure = plot_curves(read_metrics(self._path))
        with atomic_write(self._curves, error=TrainingError) as temporary:
            figure.savefig(temporary, format="png", dpi=110, metadata={"Software": MARK})
        self._plotted, self._is_new = time.monotonic(), False


class StepMeter:
    """Mean loss and speed since it was created."""

    def __init__(self, step: int) -> None:
        """Start after `step` steps."""
        self._step, self._started, self._losses = step, time.perf_counter(), list[float]()

    def add(self, loss: float) -> None:
        """Count the loss of one step."""
        self._losses.append(loss)

    @property
    def loss(self) -> float:
        """Mean loss."""
        return sum(self._losses) / len(self._losses)

    def steps_per_second(self, step: int) -> float:
        """Speed up to `step`."""
        return (step - self._step) / max(1e-9, time.perf_counter() - self._started)


def read_metrics(path: Path) -> list[dict[str, float]]:
    """Rows of a metrics.csv, without empty cells; an empty list if the file does not exist."""
    if not os.path.isfile(path):
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)]


def plot_curves(rows: Sequence[Row]) -> Any:
    """Loss, validation metrics, logit scale and learning rate over steps, as a matplotlib figure."""
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
            marker = "." if len(points) <= 30 else ""
            axes.plot(*zip(*points, strict=True) if points else ((), ()), label=name, marker=marker)
        axes.set_title(title)
        axes.set_xlabel("step")
        axes.grid(alpha=0.3)
        if len(names) > 1:
            axes.legend(fontsize=8)
    if measured:
        panels.flat[1].set_ylim(0, 1)
    return figure
