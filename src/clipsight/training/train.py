"""`train`: one call from captioned photos to a trained model. Called by `clipsight train`."""

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
from clipsight.clip.declared import declared_preprocess, weights_in
from clipsight.clip.model import CLIP, create
from clipsight.clip.pretrained import locate
from clipsight.clip.tokens import VOCABULARY
from clipsight.core.errors import TrainingError
from clipsight.models.preprocess import PreprocessConfig
from clipsight.training.config import Settings
from clipsight.training.datasets import Examples, Plan, batches
from clipsight.training.distributed import Processes, join
from clipsight.training.progress import Observer
from clipsight.training.source import Indices, Source
from clipsight.training.sources import read_source
from clipsight.training.state import read_state
from clipsight.training.trainer import LAST, Trainer
from clipsight.training.validation import HeldOut

_MOST_HELD_OUT = 1000


@dataclass(frozen=True)
class Trained:
    """What came of a run."""

    folder: Path
    photos: int
    held_out: int
    steps: int
    figures: dict[str, float]
    """Held-out recall and zero-shot accuracy at the end, as far as they were asked for."""
    best_step: int
    """The step whose weights are in the folder's `best/`."""
    skipped: tuple[tuple[str, str], ...]
    """Photos that could not be read, and entries without a caption, with the reason."""

    def to_dict(self) -> dict[str, Any]:
        """The result as `--json` prints it."""
        return {
            "folder": str(self.folder),
            "photos": self.photos,
            "held_out": self.held_out,
            "steps": self.steps,
            "best_step": self.best_step,
            "figures": {name: round(value, 6) for name, value in self.figures.items()},
            "skipped": [{"photo": photo, "reason": reason} for photo, reason in self.skipped],
        }


def train(
    data: str | Path,
    folder: Path,
    *,
    arch: str | None = None,
    init: str | None = None,
    settings: Settings | None = None,
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
) -> Trained:
    """Train CLIP on captioned photos (see `sources`), alone or as one of torchrun's processes.

    From scratch with the architecture `arch`, or from the weights `init` (see `clip.create`). Held-out
    recall is measured on `val`, or on `hold_out` photos that are set aside (a twentieth, at most 1,000);
    `zero_shot` is a folder of photos with classes. `warmup` None is a tenth of the steps, at most the
    settings' own. Raises TrainingError, ModelError for an unknown architecture, CheckpointError for weights
    of another, LabelError for `zero_shot`.
    """
    settings = settings or Settings()
    _check(folder, arch, init, settings, resume)
    labelled = None if zero_shot is None else read_labelled(zero_shot)
    source = read_source(data, columns)
    _check_captions(source, settings)
    chosen, kept = _split(source, 0 if val is not None else hold_out, settings)
    with join(device) as processes, _explained():
        steps = len(chosen) // settings.batch * settings.epochs
        settings = replace(settings, warmup=min(settings.warmup, steps // 10) if warmup is None else warmup)
        model, preprocess = _model(arch, init, settings, folder if resume else None)
        model.set_activation_checkpointing(activation_checkpointing)
        if workers is None:
            workers = min(8, max(1, (os.cpu_count() or 1) - 1))
        apart = read_source(val, columns) if val is not None else source
        if val is not None:
            kept = np.arange(len(apart))
        measure = None
        if len(kept) or labelled is not None:
            measure = HeldOut(apart, kept, preprocess, processes, workers, labelled)
        _make(folder)
        trainer = Trainer(
            model,
            settings,
            folder,
            processes,
            preprocess=preprocess,
            photos=len(chosen),
            uncaptioned=len(source.uncaptioned),
            measure=measure,
            identity={"arch": arch, "init": init, "data": source.digest(), "held out": len(kept)},
            save_every=save_every,
        )
        if resume:
            trainer.resume()
        trainer.run(_batches(trainer, model, source, chosen, processes, workers), observer)
    unread = trainer.skipped | dict.fromkeys(source.uncaptioned, "") | (measure.unread if measure else {})
    return Trained(
        folder,
        len(chosen),
        len(kept),
        trainer.steps,
        trainer.figures,
        trainer.best[1],
        tuple(unread.items()),
    )


def _check(folder: Path, arch: str | None, init: str | None, settings: Settings, resume: bool) -> None:
    if arch is None and init is None:
        raise TrainingError(
            "give an architecture to train from scratch (`arch`), or a model to start from (`init`)"
        )
    if settings.lock and init is None:
        raise TrainingError("`lock` keeps a trained tower as it is; give the model it is from with `init`")
    if settings.micro_batch is not None and settings.micro_batch < 1:
        raise TrainingError("a micro-batch needs one photo at least")
    if not resume and (folder / LAST).exists():
        raise TrainingError(f"{folder} holds a run already; go on with `resume=True`, or give another folder")


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TrainingError(f"{folder} can't be made ({error.strerror}); give another folder") from error


def _check_captions(source: Source, settings: Settings) -> None:
    bad, all_there = len(source.uncaptioned), len(source) + len(source.uncaptioned)
    if bad > settings.max_bad * all_there:
        raise TrainingError(
            f"{bad:,} of {all_there:,} entries have no caption or no photo, more than `max_bad` "
            f"{settings.max_bad:.3g}; one is {source.uncaptioned[0]}"
        )


def _split(source: Source, hold_out: int | None, settings: Settings) -> tuple[Indices, Indices]:
    """Photos to train on and photos held out, drawn with the seed."""
    count = min(_MOST_HELD_OUT, len(source) // 20) if hold_out is None else hold_out
    if count >= len(source):
        raise TrainingError(f"{count:,} photos can't be held out of {len(source):,}; lower `hold_out`")
    order = np.random.default_rng(settings.seed).permutation(len(source))
    return np.sort(order[count:]), np.sort(order[:count])


def _model(
    arch: str | None, init: str | None, settings: Settings, resumed: Path | None
) -> tuple[CLIP, PreprocessConfig]:
    """The model to train, and how its photos are prepared."""
    torch.manual_seed(settings.seed)
    if resumed is not None:
        state = read_state(resumed / LAST)
        model = CLIP(Architecture.from_dict(state["architecture"], str(resumed)))
        preprocess = PreprocessConfig.from_dict(state["preprocess"])
    else:
        weights = None if init is None else weights_in(locate(init))
        model = create(arch, weights)
        side = model.architecture.vision_cfg.image_size
        preprocess = PreprocessConfig((side, side)) if weights is None else declared_preprocess(weights, side)
    size = model.architecture.text_cfg.vocab_size
    if size != VOCABULARY:
        raise TrainingError(
            f"the architecture has a vocabulary of {size:,} tokens; training uses CLIP's of {VOCABULARY:,}"
        )
    return model, preprocess


def _batches(
    trainer: Trainer, model: CLIP, source: Source, chosen: Indices, processes: Processes, workers: int
) -> Iterator[Any]:
    vision, text, settings = model.architecture.vision_cfg, model.architecture.text_cfg, trainer.settings
    examples = Examples(source, chosen, vision.image_size, text.context_length, settings.crop, settings.seed)
    plan = Plan(examples, settings.batch, trainer.steps, trainer.step, processes.rank, processes.count)
    return batches(plan, workers)


@contextmanager
def _explained() -> Iterator[None]:
    """Errors of PyTorch that a person can mend, in one line."""
    try:
        yield
    except torch.cuda.OutOfMemoryError as error:
        raise TrainingError(
            "the device has too little memory; set a lower `micro_batch`, which gives the same result, or "
            "`activation_checkpointing=True`"
        ) from error
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise TrainingError(
            "a process that reads photos was killed, perhaps for want of memory; set fewer `workers`"
        ) from error
