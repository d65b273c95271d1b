"""`train`: from captioned photos to a trained model in one call."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from clipsight.classification.dataset import read_labelled
from clipsight.clip.architecture import Architecture
from clipsight.clip.factory import create
from clipsight.clip.model import CLIP
from clipsight.clip.pretrained import find_weights, locate, read_preprocess
from clipsight.clip.tokens import VOCAB_SIZE
from clipsight.core.arguments import whole_number
from clipsight.core.errors import TrainingError
from clipsight.models.preprocess import PreprocessConfig
from clipsight.training.config import TrainConfig
from clipsight.training.datasets import CaptionDataset, Indices, open_dataset
from clipsight.training.distributed import Distributed, init_distributed
from clipsight.training.loader import Batch, BatchSampler, TrainingExamples, training_batches
from clipsight.training.trainer import LAST, Observer, Trainer, read_state
from clipsight.training.validation import ValidationSet

_MAX_HELD_OUT = 1000
_MAX_WORKERS = 1024
"""Maximum number of processes that load photos."""


@dataclass(frozen=True)
class TrainResult:
    """Result of a run."""

    folder: Path
    photos: int
    held_out: int
    steps: int
    metrics: dict[str, float]
    """Validation metrics after the last step: recall, zero-shot accuracy."""
    best_step: int
    """Step of the weights in the folder's `best/`."""
    skipped: tuple[tuple[str, str], ...]
    """Unreadable photos, each with the reason, and entries without a caption."""

    def to_dict(self) -> dict[str, Any]:
        """The result as a JSON object."""
        return {
            "folder": str(self.folder),
            "photos": self.photos,
            "held_out": self.held_out,
            "steps": self.steps,
            "best_step": self.best_step,
            "figures": {name: round(value, 6) for name, value in self.metrics.items()},
            "skipped": [{"photo": photo, "reason": reason} for photo, reason in self.skipped],
        }


def train(
    data: str | Path,
    folder: Path,
    *,
    arch: str | None = None,
    init: str | None = None,
    config: TrainConfig | None = None,
    warmup: int | None = None,
    val: str | Path | None = None,
    hold_out: int | None = None,
    zero_shot: Path | None = None,
    columns: tuple[str, str] = ("filepath", "caption"),
    activation_checkpointing: bool = False,
    save_every: int | None = None,
    workers: int | None = None,
    device: str = "auto",
    resume: bool = False,
    observer: Observer | None = None,
) -> TrainResult:
    """Train CLIP on captioned photos (see `datasets`), in one process or in each of torchrun's processes.

    Args:
        data: Table, folder or shards of captioned photos.
        folder: Folder of the run.
        arch: Architecture to train from scratch; with `init`, the architecture of those weights.
        init: Weights to start from (see `factory.create`).
        config: Hyperparameters.
        warmup: Steps of warm-up; None for a tenth of all steps, at most `config.warmup`.
        val: Captioned photos to validate on.
        hold_out: Photos of `data` to validate on instead; None for a twentieth, at most 1,000.
        zero_shot: Labelled photos (see `classification.dataset`) for zero-shot accuracy.
        columns: Path and caption columns of a table.
        activation_checkpointing: Recompute activations: less memory for a third more time.
        save_every: Steps between checkpoints with validation; None for an epoch.
        workers: Processes that load photos; None for the cores but one, up to 8.
        device: A torch device, or "auto".
        resume: Continue the run in `folder`, started with the same arguments.
        observer: Callbacks.

    Raises:
        TrainingError: The run can't start or can't continue.
        ModelError: The architecture is unknown.
        CheckpointError: The weights can't be read, or are of another architecture.
        LabelError: `zero_shot` can't be read.
    """
    config = config or TrainConfig()
    whole_number(warmup, "warmup", error=TrainingError)
    whole_number(hold_out, "hold_out", error=TrainingError)
    whole_number(save_every, "save_every", minimum=1, error=TrainingError)
    whole_number(workers, "workers", maximum=_MAX_WORKERS, error=TrainingError)
    _check_arguments(folder, arch, init, config, resume)
    labelled = None if zero_shot is None else read_labelled(zero_shot)
    dataset = open_dataset(data, columns)
    _check_uncaptioned(dataset, config)
    trained, held_out = _split(dataset, 0 if val is not None else hold_out, config)
    with init_distributed(device) as distributed, _readable_errors():
        steps = len(trained) // config.batch * config.epochs
        config = replace(config, warmup=min(config.warmup, steps // 10) if warmup is None else warmup)
        model, preprocess = _build_model(arch, init, config, folder if resume else None)
        model.set_activation_checkpointing(activation_checkpointing)
        if workers is None:
            workers = min(8, max(1, (os.cpu_count() or 1) - 1))
        val_dataset = dataset
        if val is not None:
            val_dataset = open_dataset(val, columns)
            held_out = np.arange(len(val_dataset))
        validation = None
        if len(held_out) or labelled is not None:
            validation = ValidationSet(val_dataset, held_out, preprocess, distributed, workers, labelled)
        _make_folder(folder)
        trainer = Trainer(
            model,
            config,
            folder,
            distributed,
            preprocess=preprocess,
            photos=len(trained),
            uncaptioned=len(dataset.uncaptioned),
            evaluate=validation.evaluate if validation else None,
            identity={"arch": arch, "init": init, "data": dataset.digest(), "held out": len(held_out)},
            save_every=save_every,
        )
        if resume:
            trainer.resume()
        trainer.run(_batches(trainer, dataset, trained, distributed, workers), observer)
    unread = validation.unread if validation else {}
    skipped = trainer.skipped | dict.fromkeys(dataset.uncaptioned, "") | unread
    return TrainResult(
        folder,
        len(trained),
        len(held_out),
        trainer.steps,
        trainer.metrics,
        trainer.best[1],
        tuple(skipped.items()),
    )


def _check_arguments(
    folder: Path, arch: str | None, init: str | None, config: TrainConfig, resume: bool
) -> None:
    if arch is None and init is None:
        raise TrainingError(
            "set `arch` to train an architecture from scratch, or `init` to start from a model"
        )
    if config.lock and init is None:
        raise TrainingError("`lock` keeps a trained tower unchanged; set `init` to the model it is part of")
    if not resume and os.path.exists(folder / LAST):
        raise TrainingError(
            f"{folder} holds a run already; continue it with `resume=True`, or choose another folder"
        )


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TrainingError(
            f"the folder {folder} can't be made ({error.strerror}); choose another"
        ) from error


def _check_uncaptioned(dataset: CaptionDataset, config: TrainConfig) -> None:
    bad, total = len(dataset.uncaptioned), len(dataset) + len(dataset.uncaptioned)
    if bad > config.max_bad * total:
        raise TrainingError(
            f"{bad:,} of {total:,} entries have no caption or no photo, more than `max_bad` "
            f"{config.max_bad:.3g}; one is {dataset.uncaptioned[0]}"
        )


def _split(dataset: CaptionDataset, hold_out: int | None, config: TrainConfig) -> tuple[Indices, Indices]:
    """Seeded split into indices to train on and indices to validate on, both sorted."""
    count = min(_MAX_HELD_OUT, len(dataset) // 20) if hold_out is None else hold_out
    if count >= len(dataset):
        raise TrainingError(f"{count:,} photos can't be held out of {len(dataset):,}; lower `hold_out`")
    order = np.random.default_rng(config.seed).permutation(len(dataset))
    return np.sort(order[count:]), np.sort(order[:count])


def _build_model(
    arch: str | None, init: str | None, config: TrainConfig, resumed: Path | None
) -> tuple[CLIP, PreprocessConfig]:
    """The model at the start of the run, and its preprocessing."""
    torch.manual_seed(config.seed)
    if resumed is not None:
        state = read_state(resumed / LAST)
        model = CLIP(Architecture.from_dict(state["architecture"], str(resumed)))
        preprocess = PreprocessConfig.from_dict(state["preprocess"])
    else:
        weights = None if init is None else find_weights(locate(init))
        model = create(arch, weights)
        size = model.architecture.vision_cfg.image_size
        preprocess = PreprocessConfig((size, size)) if weights is None else read_preprocess(weights, size)
    vocab_size = model.architecture.text_cfg.vocab_size
    if vocab_size != VOCAB_SIZE:
        raise TrainingError(
            f"the architecture has a vocabulary of {vocab_size:,} tokens; training uses CLIP's "
            f"of {VOCAB_SIZE:,}"
        )
    return model, preprocess


def _batches(
    trainer: Trainer, dataset: CaptionDataset, indices: Indices, distributed: Distributed, workers: int
) -> Iterator[Batch]:
    architecture, config = trainer.model.architecture, trainer.config
    examples = TrainingExamples(
        dataset,
        indices,
        architecture.vision_cfg.image_size,
        architecture.text_cfg.context_length,
        config.crop,
        config.seed,
    )
    sampler = BatchSampler(
        examples, config.batch, trainer.steps, trainer.step, distributed.rank, distributed.world_size
    )
    return training_batches(sampler, workers)


@contextmanager
def _readable_errors() -> Iterator[None]:
    """Turn PyTorch's errors that a user can remedy into a TrainingError."""
    try:
        yield
    except torch.cuda.OutOfMemoryError as error:
        raise TrainingError(
            "the device is out of memory; lower `micro_batch`, which gives the same result, or set "
            "`activation_checkpointing=True`"
        ) from error
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise TrainingError(
            "a process that loads photos was killed, perhaps for lack of memory; lower `workers`"
        ) from error
