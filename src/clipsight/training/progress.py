"""How a run goes: what its watchers are told after every step. Called by `trainer`; `cli` watches."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Progress:
    """Where a run is, after a step."""

    step: int
    steps: int
    epoch: float
    """Epochs done, in part too."""
    loss: float
    logit_scale: float
    samples_per_second: float


class Observer(Protocol):
    """Who is told how a run goes."""

    def stepped(self, progress: Progress) -> None: ...

    def measured(self, step: int, figures: Mapping[str, float]) -> None: ...


class Pace:
    """Mean loss and speed since a row of the metrics."""

    def __init__(self, step: int) -> None:
        self._step, self._started, self._losses = step, time.perf_counter(), list[float]()

    def add(self, loss: float) -> None:
        self._losses.append(loss)

    @property
    def loss(self) -> float:
        return sum(self._losses) / len(self._losses)

    def steps_per_second(self, step: int) -> float:
        return (step - self._step) / max(1e-9, time.perf_counter() - self._started)
