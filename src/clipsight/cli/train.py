"""`clipsight train`. Needs the extra [train]."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clipsight.cli.options import Interrupted, JsonOption

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

    from clipsight.training.progress import Progress
    from clipsight.training.train import Trained


class Tower(Enum):
    """What `--lock` may be."""

    IMAGE = "image"
    TEXT = "text"


class Precision(Enum):
    """What `--precision` may be."""

    AUTO = "auto"
    FP32 = "fp32"
    BF16 = "bf16"
    FP16 = "fp16"


def train(
    data: Annotated[
        str,
        typer.Argument(
            help="A .csv, .tsv or .parquet with filepath and caption, a folder with x.jpg beside x.txt, or "
            "tar shards (a folder, a file, or shards/{000..099}.tar)."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the run.")],
    arch: Annotated[
        str | None,
        typer.Option(help="Architecture, such as ViT-B-32, or a JSON file, to train from scratch."),
    ] = None,
    init: Annotated[
        str | None,
        typer.Option(help="Weights to start from: a checkpoint, a run's best/, or a published name."),
    ] = None,
    lock: Annotated[Tower | None, typer.Option(help="The tower of --init that stays as it is.")] = None,
    val: Annotated[
        str | None, typer.Option(help="Held-out photos, as DATA (default: some of DATA are set aside).")
    ] = None,
    hold_out: Annotated[
        int | None,
        typer.Option(min=0, help="Photos of DATA to set aside (default: a twentieth, at most 1,000)."),
    ] = None,
    zeroshot: Annotated[
        Path | None,
        typer.Option(help="A folder a class, or CSV with filepath and label: zero-shot accuracy."),
    ] = None,
    columns: Annotated[
        str, typer.Option(help="A table's columns of photos and of captions.")
    ] = "filepath,caption",
    epochs: Annotated[int, typer.Option(min=1, help="Times each photo is seen.")] = 32,
    batch_size: Annotated[int, typer.Option(min=2, help="Photos a step, of all processes together.")] = 256,
    micro_batch: Annotated[
        int | None,
        typer.Option(min=1, help="Photos at once, to save memory; the result is that of the whole batch."),
    ] = None,
    lr: Annotated[
        float | None, typer.Option(help="Highest learning rate (default: 5e-4; 1e-5 with --init).")
    ] = None,
    weight_decay: Annotated[float, typer.Option(min=0, help="Weight decay of AdamW.")] = 0.2,
    warmup: Annotated[
        int | None, typer.Option(min=0, help="Steps of warm-up (default: a tenth of all, at most 2,000).")
    ] = None,
    clip_grad: Annotated[float, typer.Option(help="Largest norm of the gradients.")] = 1.0,
    crop: Annotated[
        float, typer.Option(min=0.01, max=1, help="Smallest share of a photo that a random crop keeps.")
    ] = 0.9,
    precision: Annotated[
        Precision, typer.Option(help="auto: bf16 or fp16 on a GPU, fp32 on the CPU.")
    ] = Precision.AUTO,
    activation_checkpointing: Annotated[
        bool, typer.Option("--activation-checkpointing", help="Less memory for a third more time.")
    ] = False,
    save_every: Annotated[
        int | None,
        typer.Option(min=1, help="Steps from checkpoint to checkpoint, each measured (default: an epoch)."),
    ] = None,
    max_bad: Annotated[str, typer.Option(help="Share of unusable photos above which the run fails.")] = "1%",
    seed: Annotated[int, typer.Option(min=0, help="Decides the start, the order and what is held out.")] = 0,
    workers: Annotated[
        int | None,
        typer.Option(min=0, help="Processes that read photos (default: the cores but one, up to 8)."),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ...")] = "auto",
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads (default: all cores).")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in --out, begun with the same command.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Train CLIP on DATA, from scratch (--arch) or from weights (--init)."""
    from clipsight.core.extras import require

    torch = require("train", "clipsight.training.train", "torch")
    from clipsight.training.config import Settings
    from clipsight.training.train import train as train_clip

    if threads:
        torch.set_num_threads(threads)
    settings = Settings(
        epochs=epochs,
        batch=batch_size,
        micro_batch=micro_batch,
        learning_rate=lr if lr is not None else 1e-5 if init else 5e-4,
        weight_decay=weight_decay,
        clip_gradient=clip_grad,
        precision=precision.value,
        crop=crop,
        lock=lock.value if lock else None,
        max_bad=_share(max_bad),
        seed=seed,
    )
    with _watched(out) as watcher:
        done = train_clip(
            data,
            out,
            arch=arch,
            init=init,
            settings=settings,
            warmup=warmup,
            val=val,
            hold_out=hold_out,
            zero_shot=zeroshot,
            columns=_columns(columns),
            activation_checkpointing=activation_checkpointing,
            save_every=save_every,
            workers=workers,
            device=device,
            resume=resume,
            observer=watcher,
        )
    if watcher is not None:
        _print(done, as_json)


class _Watcher:
    """A bar with loss, logit scale and speed on a terminal; a line a checkpoint anywhere."""

    def __init__(self, bar: "Bar") -> None:
        self._bar = bar
        self._task = bar.add_task("training", total=None, figures="")
        self._loss = 0.0

    def stepped(self, progress: "Progress") -> None:
        self._loss = progress.loss
        figures = (
            f"loss {progress.loss:.3f}  scale {progress.logit_scale:.1f}  "
            f"{progress.samples_per_second:,.0f} photos/s"
        )
        self._bar.update(
            self._task,
            description=f"epoch {progress.epoch:.1f}",
            completed=progress.step,
            total=progress.steps,
            figures=figures,
        )

    def measured(self, step: int, figures: Mapping[str, float]) -> None:
        self._bar.console.print(
            f"step {step:,}: loss {self._loss:.3f}, {_figures(figures)}", highlight=False, soft_wrap=True
        )


@contextmanager
def _watched(out: Path) -> Iterator["_Watcher | None"]:
    """None in all but the first of several processes, which alone prints."""
    import os

    from rich.progress import TextColumn

    from clipsight.cli.messages import note
    from clipsight.cli.progress import new_bar

    if os.environ.get("RANK", "0") != "0":
        yield None
        return
    with new_bar(TextColumn("{task.fields[figures]}")) as bar:
        try:
            yield _Watcher(bar)
        except Interrupted:
            note(f"stopped; the same command with --resume goes on from the last checkpoint in {out}")
            raise


def _print(done: "Trained", as_json: bool) -> None:
    from clipsight.cli.figures import note_left_out
    from clipsight.cli.messages import note

    if as_json:
        print(json.dumps(done.to_dict(), indent=2))
        return
    note_left_out([(Path(name), reason or "no caption") for name, reason in done.skipped])
    measured = f"; {done.held_out:,} held out: {_figures(done.figures)}" if done.figures else ""
    print(f"{done.folder}: {done.steps:,} steps on {done.photos:,} photos{measured}")
    note(
        f"the best weights, of step {done.best_step:,}, as a model to search with: "
        f"clipsight export-model {done.folder / 'best'} -o FOLDER"
    )


def _figures(figures: Mapping[str, float]) -> str:
    """ "recall@1 0.512 text to image, ..." """
    names = {
        "text_to_image@1": "text to image recall@1",
        "image_to_text@1": "image to text recall@1",
        "zero_shot": "zero-shot accuracy",
    }
    return ", ".join(f"{words} {figures[name]:.3f}" for name, words in names.items() if name in figures)


def _columns(value: str) -> tuple[str, str]:
    names = [name.strip() for name in value.split(",")]
    if len(names) != 2 or not all(names):
        raise typer.BadParameter("give two names with a comma between, like filepath,caption")
    return names[0], names[1]


def _share(value: str) -> float:
    """ "1%" and "0.01" alike."""
    number, percent = value.removesuffix("%"), value.endswith("%")
    try:
        share = float(number) / (100 if percent else 1)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise typer.BadParameter("give a share like 1% or 0.01")
    return share
