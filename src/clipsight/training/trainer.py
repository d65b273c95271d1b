"""The training loop: steps, learning rate, checkpoints, validation.

The folder of a run has `last.pt` (the checkpoint for resuming), `best/` (the weights with the best validation
recall, in OpenCLIP's format) and the files of `run_log`.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from clipsight.clip.checkpoint import save
from clipsight.clip.model import CLIP
from clipsight.core.errors import TrainingError
from clipsight.core.files import atomic_write
from clipsight.models.preprocess import PreprocessConfig
from clipsight.training.config import Tower, TrainConfig
from clipsight.training.distributed import Distributed, all_gather_objects
from clipsight.training.loader import Batch
from clipsight.training.loss import backward
from clipsight.training.optimizer import Optimizer, cosine_schedule, parameter_groups
from clipsight.training.run_log import RunLog, StepMeter

Evaluate = Callable[[CLIP], Mapping[str, float]]
"""Validation metrics of a model in evaluation mode."""

MAX_SCALE = 100.0
"""Upper bound of the logit scale, for stability (Radford et al. 2021, section 2.5)."""

LOG_EVERY = 10
"""Steps per row of metrics.csv."""

LAST = "last.pt"
"""File name of the checkpoint for resuming."""

SAVE_SECONDS = 600.0
"""Maximum seconds between checkpoints."""

_BEST = "best"


@dataclass(frozen=True)
class Progress:
    """State of a run after a step."""

    step: int
    steps: int
    epoch: float
    """Number of epochs done, with fraction."""
    loss: float
    logit_scale: float
    samples_per_second: float


class Observer(Protocol):
    """Callbacks of a run."""

    def on_step(self, progress: Progress) -> None:
        """Called after every step."""

    def on_evaluation(self, step: int, metrics: Mapping[str, float]) -> None:
        """Called after every validation."""


class Trainer:
    """Training of one model, from its first step or a checkpoint to the last step."""

    def __init__(
        self,
        model: CLIP,
        config: TrainConfig,
        folder: Path,
        distributed: Distributed,
        *,
        preprocess: PreprocessConfig,
        photos: int,
        uncaptioned: int = 0,
        evaluate: Evaluate | None = None,
        identity: Mapping[str, Any] | None = None,
        save_every: int | None = None,
    ) -> None:
        """Prepare training on `photos` photos.

        `uncaptioned` further entries count as unreadable. `preprocess` normalises the pixels. A checkpoint
        with validation metrics is written every `save_every` steps (default: every epoch). A run can only be
        resumed with the same `identity` and `config`. Raises TrainingError for an invalid batch size.
        """
        if config.batch % distributed.world_size:
            raise TrainingError(
                f"a batch of {config.batch} can't be shared by {distributed.world_size} processes"
            )
        if photos < config.batch:
            raise TrainingError(
                f"a batch of {config.batch} is larger than the data, {photos} photos; lower `batch`"
            )
        self.config, self.folder, self.distributed = config, folder, distributed
        self.steps_per_epoch = photos // config.batch
        self.steps = self.steps_per_epoch * config.epochs
        self.skipped: dict[str, str] = {}
        """Unreadable photos so far, each with the reason."""
        self.best = (-1.0, 0)
        """Best validation recall@1, the mean of both directions, and its step."""
        self.metrics: dict[str, float] = {}
        """Validation metrics of the last checkpoint."""
        self._photos, self._uncaptioned = photos, uncaptioned
        self._evaluate, self._save_every = evaluate, save_every or self.steps_per_epoch
        self._identity = {**asdict(config), **(identity or {})}
        self.model, self.preprocess = model.to(distributed.device), preprocess
        self._locked = self._lock(config.lock)
        self._precision = config.precision_on(distributed.device)
        self._optimizer = Optimizer(
            parameter_groups(self.model, config.weight_decay, self._learning_rate),
            distributed.device,
            betas=config.betas,
            epsilon=config.epsilon,
            clip_gradient=config.clip_gradient,
            precision=self._precision,
        )
        self._saved_step: int | None = None
        self._saved_time = time.monotonic()

    @property
    def step(self) -> int:
        """Number of steps taken."""
        return self._optimizer.step

    def run(self, batches: Iterator[Batch], observer: Observer | None = None) -> None:
        """Train on the batches of the remaining steps; leave the model in evaluation mode.

        Raises TrainingError for a loss that is not finite, and for too many unreadable photos.
        """
        model: nn.Module = self.model
        if self.distributed.world_size > 1:
            model = DistributedDataParallel(self.model)
        log = RunLog(self.folder, self.step) if self.distributed.is_main else None
        meter = StepMeter(self.step)
        self._train_mode()
        try:
            while self.step < self.steps:
                batch = next(batches)
                self._add_skipped(batch)
                loss, norm = self._train_step(model, batch)
                meter.add(loss)
                saving = self.step % self._save_every == 0 or self.step == self.steps
                row = self._row(meter, norm)
                if observer:
                    observer.on_step(self._progress(loss, row["samples_per_second"]))
                if saving or self.step % LOG_EVERY == 0:
                    self._sync_skipped()
                    metrics = self._validate(observer) if saving else {}
                    if log:
                        log.add({**row, **metrics})
                    if saving:
                        self._save(metrics)
                    meter = StepMeter(self.step)
                if time.monotonic() - self._saved_time > SAVE_SECONDS:
                    self._write_last()
        finally:
            if log:
                log.close()
            self.model.eval()

    def resume(self) -> None:
        """Restore the folder's last checkpoint. Raises TrainingError if it is missing or of another run."""
        state = read_state(self.folder / LAST)
        if before := differences(state, self._identity):
            changed = ", ".join(f"{name} {value}" for name, value in before.items())
            raise TrainingError(
                f"the run in {self.folder} was started with other options ({changed}); resume it with "
                f"the same options and data, or start another in another folder"
            )
        self.model.load_state_dict(state["state_dict"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._saved_step = self.step
        self.best = (state["best"][0], state["best"][1])
        self.metrics, self.skipped = dict(state["figures"]), dict(state["skipped"])
        torch.set_rng_state(state["rng"].cpu())

    def _learning_rate(self, step: int) -> float:
        return self.config.learning_rate * cosine_schedule(step, self.config.warmup, self.steps)

    def _train_step(self, model: nn.Module, batch: Batch) -> tuple[float, float]:
        """Take one step; return the loss and the gradient norm."""
        images, ids = batch.to_inputs(self.distributed.device, self.preprocess)

        def gradients(scale_loss: Callable[[Tensor], Tensor]) -> Tensor:
            micro_batch = self.config.micro_batch
            return backward(model, images, ids, micro_batch, autocast=self._autocast, scale_loss=scale_loss)

        try:
            loss, norm = self._optimizer.update(gradients)
        except TrainingError as error:
            kept = "there is no checkpoint yet"
            if self._saved_step is not None:
                kept = f"{self.folder / LAST} is good, of step {self._saved_step:,}"
            advice = "try a lower `learning_rate`, a longer `warmup` or `precision` fp32"
            raise TrainingError(f"{error}; {kept}; {advice}") from error
        with torch.no_grad():
            self.model.logit_scale.clamp_(0, math.log(MAX_SCALE))
        return loss, norm

    def _autocast(self) -> AbstractContextManager[object]:
        dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(self._precision)
        return nullcontext() if dtype is None else torch.autocast(self.distributed.device.type, dtype)

    def _train_mode(self) -> None:
        self.model.train()
        if self._locked is not None:
            self._locked.eval()  # keeps its batch normalisation unchanged as well

    def _lock(self, tower: Tower | None) -> nn.Module | None:
        locked = {None: None, "image": self.model.visual, "text": self.model.text}[tower]
        return None if locked is None else locked.requires_grad_(False)

    def _validate(self, observer: Observer | None) -> dict[str, float]:
        if self._evaluate is None:
            return {}
        self.model.eval()
        with self._autocast():
            metrics = dict(self._evaluate(self.model))
        self._train_mode()
        if observer:
            observer.on_evaluation(self.step, metrics)
        return metrics

    def _add_skipped(self, batch: Batch) -> None:
        self.skipped.update(batch.skipped)
        self._check_skipped()
        if len(batch.pixels) < self.config.batch // self.distributed.world_size:
            name, reason = batch.skipped[-1]
            raise TrainingError(f"too many photos in a row can't be read; the last was {name}: {reason}")

    def _sync_skipped(self) -> None:
        self.skipped = dict(all_gather_objects(list(self.skipped.items())))
        self._check_skipped()

    def _check_skipped(self) -> None:
        bad, total = len(self.skipped) + self._uncaptioned, self._photos + self._uncaptioned
        if self.skipped and bad > self.config.max_bad * total:
            name, reason = next(iter(self.skipped.items()))
            limit = f"more than `max_bad` {self.config.max_bad:g}"
            raise TrainingError(
                f"{bad:,} of {total:,} photos can't be used, {limit}; one is {name}: {reason}"
            )

    def _row(self, meter: StepMeter, norm: float) -> dict[str, float]:
        return {
            "step": self.step,
            "epoch": self.step / self.steps_per_epoch,
            "loss": meter.loss,
            "logit_scale": self.model.logit_scale.exp().item(),
            "learning_rate": self._optimizer.rates[0],
            "gradient_norm": norm,
            "samples_per_second": meter.steps_per_second(self.step) * self.config.batch,
        }

    def _progress(self, loss: float, samples_per_second: float) -> Progress:
        scale = self.model.logit_scale.exp().item()
        epoch = self.step / self.steps_per_epoch
        return Progress(self.step, self.steps, epoch, loss, scale, samples_per_second)

    def _save(self, metrics: Mapping[str, float]) -> None:
        """Write the best weights, then the checkpoint: a run killed in between resumes from before both."""
        self.metrics = dict(metrics)
        recall = (metrics.get("text_to_image@1", 0.0) + metrics.get("image_to_text@1", 0.0)) / 2
        if recall >= self.best[0]:
            self.best = (recall, self.step)
            if self.distributed.is_main:
                save(self.model, self.folder / _BEST, "openclip", self.preprocess)
        self._write_last()

    def _write_last(self) -> None:
        if self.distributed.is_main:
            write_state(self._state(), self.folder / LAST)
        self._saved_step, self._saved_time = self.step, time.monotonic()

    def _state(self) -> dict[str, Any]:
        return {
            "state_dict": self.model.state_dict(),
            "architecture": self.model.architecture.to_dict(),
            "preprocess": asdict(self.preprocess),
            "optimizer": self._optimizer.state_dict(),
            "best": list(self.best),
            "figures": self.metrics,
            "skipped": self.skipped,
            "rng": torch.get_rng_state(),
            "identity": _as_stored(self._identity),
        }


def read_state(path: Path) -> dict[str, Any]:
    """Read a file of `write_state` to the CPU, without running any code in it. Raises TrainingError."""
    try:
        state: Any = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise TrainingError(f"there is no run to resume in {path.parent}; leave out `resume`") from error
    except Exception as error:  # torch raises anything for a damaged file
        raise TrainingError(f"{path} is no checkpoint of a run, or damaged; start another run") from error
    if not isinstance(state, dict) or "identity" not in state:
        raise TrainingError(f"{path} is no checkpoint of a run; start another run")
    return state


def write_state(state: Mapping[str, Any], path: Path) -> None:
    """Replace a checkpoint atomically; `state` has a key "identity".

    Raises TrainingError if the disk can't be written.
    """
    try:
        with atomic_write(path, error=TrainingError) as temporary:
            torch.save(state, temporary)
    except RuntimeError as error:  # torch's, for a full disk
        detail = str(error).partition("\n")[0]
        raise TrainingError(f"can't write {path}: {detail}; make room, then resume") from error


def differences(state: Mapping[str, Any], identity: Mapping[str, Any]) -> dict[str, Any]:
    """Stored values of a checkpoint's identity that differ from `identity`."""
    stored = state["identity"]
    return {
        name: stored.get(name) for name, value in _as_stored(identity).items() if stored.get(name) != value
    }


def _as_stored(identity: Mapping[str, Any]) -> dict[str, Any]:
    """An identity as a file returns it: tuples become lists."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in identity.items()}
