"""The training loop: steps, learning rate, checkpoints, figures. Called by `run`, and by recipes.

A run's folder holds `last.pt` (everything that going on needs), `best/` (the weights that did best on
held-out photos, in OpenCLIP's form, for `export-model` and `--init`) and what `report` writes.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from clipsight.clip.checkpoint import save
from clipsight.clip.model import CLIP
from clipsight.core.errors import TrainingError
from clipsight.models.preprocess import PreprocessConfig
from clipsight.training.config import Settings, Tower
from clipsight.training.datasets import Batch
from clipsight.training.distributed import Processes, gather_objects
from clipsight.training.loss import backward
from clipsight.training.optimizer import Optimizer, cosine, decaying_groups
from clipsight.training.progress import Observer, Pace, Progress
from clipsight.training.run_log import Report
from clipsight.training.state import as_stored, differences, read_state, write_state

Measure = Callable[[CLIP], Mapping[str, float]]

MAX_SCALE = 100.0
"""The logit scale is clamped here, so that training stays stable (Radford et al. 2021, section 2.5)."""

LOG_EVERY = 10
"""Steps a row of metrics.csv."""

LAST = "last.pt"
"""The checkpoint that a run goes on from."""

SAVE_SECONDS = 600.0
"""Between measured checkpoints one is written so often, so that an interruption costs no more than this."""

_BEST = "best"


class Trainer:
    """A model on its way; `run` takes it to the end from wherever it is."""

    def __init__(
        self,
        model: CLIP,
        settings: Settings,
        folder: Path,
        processes: Processes,
        *,
        preprocess: PreprocessConfig,
        photos: int,
        uncaptioned: int = 0,
        measure: Measure | None = None,
        identity: Mapping[str, Any] | None = None,
        save_every: int | None = None,
    ) -> None:
        """Train on `photos` photos, beside `uncaptioned` useless ones; `measure` gives the held-out figures.

        `preprocess` tells how pixels are normalised. `identity` is what must be equal in a run that goes on
        with another's checkpoint, beside the settings; every `save_every` steps (an epoch) there is a
        measured checkpoint. Raises TrainingError.
        """
        if settings.batch % processes.count:
            raise TrainingError(f"a batch of {settings.batch} can't be shared by {processes.count} processes")
        if photos < settings.batch:
            raise TrainingError(
                f"a batch of {settings.batch} is larger than the data, {photos} photos; lower `batch`"
            )
        self.settings, self.folder, self.processes = settings, folder, processes
        self.epoch_steps = photos // settings.batch
        self.steps = self.epoch_steps * settings.epochs
        self.skipped: dict[str, str] = {}
        self.best = (-1.0, 0)
        """The best held-out recall@1, the mean of both directions, and its step."""
        self.figures: dict[str, float] = {}
        """Held-out figures of the last checkpoint."""
        self._photos, self._uncaptioned = photos, uncaptioned
        self._measure, self._save_every = measure, save_every or self.epoch_steps
        self._identity = {**asdict(settings), **(identity or {})}
        self.model, self.preprocess = model.to(processes.device), preprocess
        self._locked = self._lock(settings.lock)
        self._precision = settings.precision_on(processes.device)
        self._optimizer = Optimizer(
            decaying_groups(self.model, settings.weight_decay, self._rate),
            processes.device,
            betas=settings.betas,
            epsilon=settings.epsilon,
            clip_gradient=settings.clip_gradient,
            precision=self._precision,
        )
        self._saved_step: int | None = None
        self._saved_time = time.monotonic()

    @property
    def step(self) -> int:
        """How many steps have been taken."""
        return self._optimizer.step

    def run(self, batches: Iterator[Batch], observer: Observer | None = None) -> None:
        """Train on the batches of the remaining steps; leave the model in evaluation mode.

        Raises TrainingError for a loss that is no number, and for too many photos that can't be read.
        """
        model: nn.Module = self.model
        if self.processes.count > 1:
            model = DistributedDataParallel(self.model)
        report = Report(self.folder, self.step) if self.processes.is_first else None
        pace = Pace(self.step)
        self._training_mode()
        try:
            while self.step < self.steps:
                batch = next(batches)
                self._count_skipped(batch)
                loss, norm = self._step(model, batch)
                pace.add(loss)
                saving = self.step % self._save_every == 0 or self.step == self.steps
                row = self._row(pace, norm)
                if observer:
                    observer.stepped(self._progress(loss, row["samples_per_second"]))
                if saving or self.step % LOG_EVERY == 0:
                    self._agree_on_skipped()
                    figures = self._held_out(observer) if saving else {}
                    if report:
                        report.add({**row, **figures})
                    if saving:
                        self._save(figures)
                    if saving and report:
                        report.draw()
                    pace = Pace(self.step)
                if time.monotonic() - self._saved_time > SAVE_SECONDS:
                    self._write()
        finally:
            if report:
                report.close()
            self.model.eval()

    def resume(self) -> None:
        """Take up the folder's last checkpoint. Raises TrainingError where it is none, or another run's."""
        state = read_state(self.folder / LAST)
        if before := differences(state, self._identity):
            told = ", ".join(f"{name} {value}" for name, value in before.items())
            raise TrainingError(
                f"the run in {self.folder} was begun otherwise ({told}); resume it with the same command "
                f"and data, or begin another"
            )
        self.model.load_state_dict(state["state_dict"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._saved_step = self.step
        self.best = (state["best"][0], state["best"][1])
        self.figures, self.skipped = dict(state["figures"]), dict(state["skipped"])
        torch.set_rng_state(state["rng"].cpu())

    def _rate(self, step: int) -> float:
        return self.settings.learning_rate * cosine(step, self.settings.warmup, self.steps)

    def _step(self, model: nn.Module, batch: Batch) -> tuple[float, float]:
        """One step of the optimizer: the loss and the gradients' norm before it."""
        images, ids = batch.inputs(self.processes.device, self.preprocess)

        def gradients(scaled: Callable[[Tensor], Tensor]) -> Tensor:
            micro_batch = self.settings.micro_batch
            return backward(model, images, ids, micro_batch, autocast=self._autocast, scaled=scaled)

        try:
            told = self._optimizer.update(gradients)
        except TrainingError as error:
            kept = "no checkpoint was made yet"
            if self._saved_step is not None:
                kept = f"{self.folder / LAST} is good, of step {self._saved_step:,}"
            advice = 'try a lower `learning_rate`, a longer `warmup` or `precision="fp32"`'
            raise TrainingError(f"{error}; {kept}; {advice}") from error
        with torch.no_grad():
            self.model.logit_scale.clamp_(0, math.log(MAX_SCALE))
        return told

    def _autocast(self) -> AbstractContextManager[object]:
        dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(self._precision)
        return nullcontext() if dtype is None else torch.autocast(self.processes.device.type, dtype)

    def _training_mode(self) -> None:
        self.model.train()
        if self._locked is not None:
            self._locked.eval()  # its batch normalisation too stays as it is

    def _lock(self, tower: Tower | None) -> nn.Module | None:
        locked = {None: None, "image": self.model.visual, "text": self.model.text}[tower]
        return None if locked is None else locked.requires_grad_(False)

    def _held_out(self, observer: Observer | None) -> dict[str, float]:
        if self._measure is None:
            return {}
        self.model.eval()
        with self._autocast():
            figures = dict(self._measure(self.model))
        self._training_mode()
        if observer:
            observer.measured(self.step, figures)
        return figures

    def _count_skipped(self, batch: Batch) -> None:
        self.skipped.update(batch.skipped)
        self._check_skipped()
        if len(batch.pixels) < self.settings.batch // self.processes.count:
            name, reason = batch.skipped[-1]
            raise TrainingError(f"too many photos in a row can't be read; the last was {name}: {reason}")

    def _agree_on_skipped(self) -> None:
        self.skipped = dict(gather_objects(list(self.skipped.items())))
        self._check_skipped()

    def _check_skipped(self) -> None:
        bad, there = len(self.skipped) + self._uncaptioned, self._photos + self._uncaptioned
        if self.skipped and bad > self.settings.max_bad * there:
            name, reason = next(iter(self.skipped.items()))
            limit = f"more than `max_bad` {self.settings.max_bad:g}"
            raise TrainingError(
                f"{bad:,} of {there:,} photos can't be used, {limit}; one is {name}: {reason}"
            )

    def _row(self, pace: Pace, norm: float) -> dict[str, float]:
        return {
            "step": self.step,
            "epoch": self.step / self.epoch_steps,
            "loss": pace.loss,
            "logit_scale": self.model.logit_scale.exp().item(),
            "learning_rate": self._optimizer.rates[0],
            "gradient_norm": norm,
            "samples_per_second": pace.steps_per_second(self.step) * self.settings.batch,
        }

    def _progress(self, loss: float, pace: float) -> Progress:
        scale = self.model.logit_scale.exp().item()
        return Progress(self.step, self.steps, self.step / self.epoch_steps, loss, scale, pace)

    def _save(self, figures: Mapping[str, float]) -> None:
        """The best weights first: a run that dies between goes on from before both."""
        self.figures = dict(figures)
        recall = (figures.get("text_to_image@1", 0.0) + figures.get("image_to_text@1", 0.0)) / 2
        if recall >= self.best[0]:
            self.best = (recall, self.step)
            if self.processes.is_first:
                save(self.model, self.folder / _BEST, "openclip", self.preprocess)
        self._write()

    def _write(self) -> None:
        if self.processes.is_first:
            write_state(self._state(), self.folder / LAST)
        self._saved_step, self._saved_time = self.step, time.monotonic()

    def _state(self) -> dict[str, Any]:
        return {
            "state_dict": self.model.state_dict(),
            "architecture": self.model.architecture.to_dict(),
            "preprocess": asdict(self.preprocess),
            "optimizer": self._optimizer.state_dict(),
            "best": list(self.best),
            "figures": self.figures,
            "skipped": self.skipped,
            "rng": torch.get_rng_state(),
            "identity": as_stored(self._identity),
        }
