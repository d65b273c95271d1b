"""Command `clipsight train`; needs the extra [train]."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clipsight.cli.options import Interrupted, JsonOption
from clipsight.core.arguments import MAX_THREADS
from clipsight.render.stdout import print_json, print_line

if TYPE_CHECKING:
    from rich.progress import Progress as ProgressBar

    from clipsight.training.train import TrainResult
    from clipsight.training.trainer import Progress

WEIGHTS, DATA, OPTIMIZATION, RUN = "Weights", "Data", "Optimization", "Run"
"""Headings of options in the help."""


class Tower(Enum):
    """Values of `--lock`."""

    IMAGE = "image"
    TEXT = "text"


class Precision(Enum):
    """Values of `--precision`."""

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
    out: Annotated[Path, typer.Option("--out", "-o", rich_help_panel=RUN, help="Folder of the run.")],
    arch: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=WEIGHTS,
            help="Architecture to train from scratch, such as ViT-B-32, or a JSON file.",
        ),
    ] = None,
    init: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=WEIGHTS,
            help="Weights to start from: a checkpoint, a run's best/, or a published name.",
        ),
    ] = None,
    lock: Annotated[
        Tower | None, typer.Option(rich_help_panel=WEIGHTS, help="Tower of --init that is not trained.")
    ] = None,
    val: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=DATA, help="Photos to validate on, as DATA (default: some of DATA are held out)."
        ),
    ] = None,
    hold_out: Annotated[
        int | None,
        typer.Option(
            min=0,
            rich_help_panel=DATA,
            help="Photos of DATA to hold out (default: a twentieth, at most 1,000).",
        ),
    ] = None,
    zeroshot: Annotated[
        Path | None,
        typer.Option(
            rich_help_panel=DATA,
            help="A folder per class, or a CSV with filepath and label: zero-shot accuracy.",
        ),
    ] = None,
    columns: Annotated[
        str, typer.Option(rich_help_panel=DATA, help="Path and caption columns of a table.")
    ] = "filepath,caption",
    epochs: Annotated[
        int, typer.Option(min=1, rich_help_panel=OPTIMIZATION, help="Passes over the data.")
    ] = 32,
    batch_size: Annotated[
        int,
        typer.Option(min=2, rich_help_panel=OPTIMIZATION, help="Photos per step, summed over all processes."),
    ] = 256,
    micro_batch: Annotated[
        int | None,
        typer.Option(
            min=1,
            rich_help_panel=OPTIMIZATION,
            help="Photos per forward pass, to save memory; the result is that of the whole batch.",
        ),
    ] = None,
    lr: Annotated[
        float | None,
        typer.Option(
            rich_help_panel=OPTIMIZATION, help="Peak learning rate (default: 5e-4; 1e-5 with --init)."
        ),
    ] = None,
    weight_decay: Annotated[
        float, typer.Option(min=0, rich_help_panel=OPTIMIZATION, help="Weight decay of AdamW.")
    ] = 0.2,
    warmup: Annotated[
        int | None,
        typer.Option(
            min=0,
            rich_help_panel=OPTIMIZATION,
            help="Steps of warm-up (default: a tenth of all, at most 2,000).",
        ),
    ] = None,
    clip_grad: Annotated[
        float, typer.Option(rich_help_panel=OPTIMIZATION, help="Maximum norm of the gradients.")
    ] = 1.0,
    crop: Annotated[
        float,
        typer.Option(
            min=0.01,
            max=1,
            rich_help_panel=DATA,
            help="Minimum share of a photo's area that a random crop keeps.",
        ),
    ] = 0.9,
    precision: Annotated[
        Precision, typer.Option(rich_help_panel=RUN, help="auto: bf16 or fp16 on a GPU, fp32 on the CPU.")
    ] = Precision.AUTO,
    activation_checkpointing: Annotated[
        bool,
        typer.Option(
            "--activation-checkpointing", rich_help_panel=RUN, help="Use less memory for a third more time."
        ),
    ] = False,
    save_every: Annotated[
        int | None,
        typer.Option(
            min=1, rich_help_panel=RUN, help="Steps between checkpoints with validation (default: an epoch)."
        ),
    ] = None,
    max_bad: Annotated[
        str,
        typer.Option(rich_help_panel=DATA, help="Maximum share of unusable photos; above it the run fails."),
    ] = "1%",
    seed: Annotated[
        int,
        typer.Option(
            min=0, rich_help_panel=RUN, help="Seed of the initial weights, the order and the hold-out split."
        ),
    ] = 0,
    workers: Annotated[
        int | None,
        typer.Option(
            min=0,
            rich_help_panel=RUN,
            help="Processes that load photos (default: the cores but one, up to 8).",
        ),
    ] = None,
    device: Annotated[str, typer.Option(rich_help_panel=RUN, help="auto, cpu, cuda, cuda:1, ...")] = "auto",
    threads: Annotated[
        int | None,
        typer.Option(min=1, max=MAX_THREADS, rich_help_panel=RUN, help="CPU threads (default: all cores)."),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", rich_help_panel=RUN, help="Continue the run in --out, started with the same command."
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Train CLIP from scratch or from a checkpoint.

    From scratch with --arch, from weights with --init.
    """
    from clipsight.core.extras import require

    torch = require("train", "clipsight.training.train", "torch")
    from clipsight.training.config import TrainConfig
    from clipsight.training.train import train as train_clip

    if threads:
        torch.set_num_threads(threads)
    config = TrainConfig(
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
    with _progress(out) as observer:
        result = train_clip(
            data,
            out,
            arch=arch,
            init=init,
            config=config,
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
            observer=observer,
        )
    if observer is not None:
        _print(result, as_json)


class _Observer:
    """Progress bar with loss, logit scale and speed on a terminal; a line per checkpoint everywhere."""

    def __init__(self, bar: "ProgressBar") -> None:
        self._bar = bar
        self._task = bar.add_task("training", total=None, figures="")
        self._loss = 0.0

    def on_step(self, progress: "Progress") -> None:
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

    def on_evaluation(self, step: int, metrics: Mapping[str, float]) -> None:
        self._bar.console.print(
            f"step {step:,}: loss {self._loss:.3f}, {_format_metrics(metrics)}",
            highlight=False,
            soft_wrap=True,
        )


@contextmanager
def _progress(out: Path) -> Iterator["_Observer | None"]:
    """The observer of the main process; None in the others, which print nothing."""
    import os

    from rich.progress import TextColumn

    from clipsight.cli.messages import note
    from clipsight.cli.progress import new_bar

    if os.environ.get("RANK", "0") != "0":
        yield None
        return
    with new_bar(TextColumn("{task.fields[figures]}")) as bar:
        try:
            yield _Observer(bar)
        except Interrupted:
            note(f"stopped; the same command with --resume continues from the last checkpoint in {out}")
            raise


def _print(result: "TrainResult", as_json: bool) -> None:
    from clipsight.cli.messages import note, note_skipped

    if as_json:
        print_json(result.to_dict())
        return
    note_skipped([(Path(name), reason or "no caption") for name, reason in result.skipped])
    metrics = f"; {result.held_out:,} held out: {_format_metrics(result.metrics)}" if result.metrics else ""
    print_line(f"{result.folder}: {result.steps:,} steps on {result.photos:,} photos{metrics}")
    note(
        f"the best weights, of step {result.best_step:,}, as a model to search with: "
        f"clipsight export-model {result.folder / 'best'} -o FOLDER"
    )


def _format_metrics(metrics: Mapping[str, float]) -> str:
    """Format as "text to image recall@1 0.512, ..."."""
    names = {
        "text_to_image@1": "text to image recall@1",
        "image_to_text@1": "image to text recall@1",
        "zero_shot": "zero-shot accuracy",
    }
    return ", ".join(f"{words} {metrics[name]:.3f}" for name, words in names.items() if name in metrics)


def _columns(value: str) -> tuple[str, str]:
    names = [name.strip() for name in value.split(",")]
    if len(names) != 2 or not all(names):
        raise typer.BadParameter("give two names separated by a comma, like filepath,caption")
    return names[0], names[1]


def _share(value: str) -> float:
    """Parse "1%" or "0.01" as 0.01."""
    number, percent = value.removesuffix("%"), value.endswith("%")
    try:
        share = float(number) / (100 if percent else 1)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise typer.BadParameter("give a share like 1% or 0.01")
    return share
