"""Commands `clipsight probe fit` and `clipsight probe apply`."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clipsight.cli.evaluate import (
    FITTING,
    SeedOption,
    TemplateOption,
    TemplatesOption,
    prompts_for,
)
from clipsight.cli.help import GroupedCommand
from clipsight.cli.options import (
    OUTPUT,
    CsvOption,
    DeviceOption,
    JsonOption,
    LibraryOption,
    ModelOption,
    NoIndexingOption,
    ThreadsOption,
    check_outputs,
    index_folders,
    only_folder,
    open_library,
)
from clipsight.render.stdout import print_json, print_line, write_stream

if TYPE_CHECKING:
    from clipsight.probe import Report
    from clipsight.probe.few_shot import CurvePoint
    from clipsight.probe.logistic import Alpha

app = typer.Typer(
    help="Fit a classifier to labelled photos, and apply it.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.command(cls=GroupedCommand)
def fit(
    source: Annotated[Path, typer.Argument(help="A folder per class, or a CSV with filepath and label.")],
    out: Annotated[Path, typer.Option("--out", "-o", rich_help_panel=OUTPUT, help="File for the probe.")],
    test: Annotated[
        Path | None,
        typer.Option(
            rich_help_panel=FITTING,
            help="Another labelled collection to test on (default: a fifth is held out).",
        ),
    ] = None,
    shots: Annotated[
        int | None,
        typer.Option(
            min=1, rich_help_panel=FITTING, help="Train on so many photos per class (default: all)."
        ),
    ] = None,
    repeats: Annotated[
        int | None,
        typer.Option(
            min=1,
            rich_help_panel=FITTING,
            help="Random samples per point of the few-shot curve: 1, 2, 4, ... and all photos per class.",
        ),
    ] = None,
    alpha: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=FITTING,
            help="Start from zero-shot: from 0 (zero-shot) to 1 (fine-tuned), or auto.",
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            rich_help_panel=OUTPUT,
            help="Folder for report.json and confusion.png (and curve.csv, curve.png).",
        ),
    ] = None,
    templates: TemplatesOption = None,
    template: TemplateOption = None,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
    library: LibraryOption = None,
    model: ModelOption = "auto",
    device: DeviceOption = "cpu",
    threads: ThreadsOption = None,
) -> None:
    """Fit a probe to labelled photos and test it on held-out ones.

    The library is not changed.
    """
    from clipsight import probe
    from clipsight.cli.messages import note, note_skipped
    from clipsight.cli.progress import index_bar
    from clipsight.core.errors import LabelError
    from clipsight.core.extras import require

    outputs = ("report.json", "confusion.png", "curve.csv", "curve.png")
    check_outputs(library, out, *(report / name for name in outputs if report is not None))
    parsed_alpha = _parse_alpha(alpha)
    prompts = prompts_for(templates, template)
    if report:
        require("probe", "matplotlib")
    if not os.path.isdir(out.parent):
        raise LabelError(f"can't write {out}: there is no folder {out.parent}")
    with open_library(library, model, device, threads) as photos, index_bar() as bar:
        found = probe.fit(
            source,
            photos,
            test=test,
            alpha=parsed_alpha,
            shots=shots,
            repeats=repeats,
            templates=prompts,
            seed=seed,
            progress=bar,
            on_point=_print_point,
        )
    if report:
        found.save(report)
    found.probe.save(out)
    if as_json:
        print_json(found.to_dict())
    else:
        _print_report(found)
    note_skipped(found.failures)
    note(f"wrote {out}: {len(found.probe.classes)} classes on vectors of {found.probe.model}")


@app.command(cls=GroupedCommand)
def apply(
    file: Annotated[Path, typer.Argument(help="A probe that `clipsight probe fit` wrote.")],
    photos: Annotated[
        list[Path] | None, typer.Argument(help="Photos and folders; default: the whole library.")
    ] = None,
    as_json: JsonOption = False,
    as_csv: CsvOption = False,
    no_indexing: NoIndexingOption = False,
    library: LibraryOption = None,
    model: ModelOption = "auto",
    device: DeviceOption = "cpu",
    threads: ThreadsOption = None,
) -> None:
    """Classify photos with a probe.

    Prints the most probable class of each photo, with its probability.
    """
    from clipsight import probe
    from clipsight.cli.messages import note_skipped
    from clipsight.core.errors import LabelError
    from clipsight.core.paths import expand
    from clipsight.render.predictions import PredictionTally, csv_text, json_text, text_lines

    if as_json and as_csv:
        raise typer.BadParameter("choose one of --json and --csv")
    fitted = probe.load(file)
    for photo in photos or []:
        if not os.path.exists(expand(photo)):
            raise LabelError(f"no such photo or folder: {photo}")
    folders = [photo for photo in photos or [] if os.path.isdir(expand(photo))]
    with open_library(library, model, device, threads) as opened:
        fitted.check(opened)
        if folders and not no_indexing:
            index_folders(opened, folders, quiet=True)
        tally = PredictionTally(fitted.apply(opened, *photos or ()))
        lines = text_lines(tally, only_folder(folders) if len(photos or ()) == 1 else None)
        write_stream(json_text(tally) if as_json else csv_text(tally) if as_csv else lines)
    note_skipped(tally.failures)


def _parse_alpha(value: str | None) -> "Alpha":
    if value is None:
        return None
    if value == "auto":
        return "auto"
    try:
        return float(value)
    except ValueError:
        raise typer.BadParameter(f"--alpha is {value!r}: a number from 0 to 1, or auto") from None


def _print_point(point: "CurvePoint") -> None:
    from clipsight.cli.messages import note

    if sys.stderr.isatty():
        note(f"few-shot curve: {point.to_dict()['shots']} photos per class: done")


def _print_report(found: "Report") -> None:
    from clipsight.render.tables import fraction, print_class_metrics, print_table

    print_class_metrics(found.scores)
    if found.curve:
        rows = [
            (
                str(row["shots"]),
                fraction(row["zero_shot"]),
                f"{fraction(row['probe'])} ± {fraction(row['probe_std'])}",
                f"{fraction(row['tuned'])} ± {fraction(row['tuned_std'])}",
            )
            for row in (point.to_dict() for point in found.curve)
        ]
        print_table(("photos per class", "zero-shot", "probe", "from zero-shot"), rows)
    settings = f"C {found.fit.C:.3g}"
    if found.fit.alpha is not None:
        settings += f", alpha {found.fit.alpha:.2g}"
    settings += (
        f" (chosen on {found.fit.validation_photos:,} photos)"
        if found.fit.validation_photos
        else " (too few photos to choose by)"
    )
    print_line(
        f"fitted on {found.photos:,} photos, {settings}; on {found.scores.photos:,} others: accuracy "
        f"{fraction(found.scores.accuracy)}, macro-F1 {fraction(found.scores.macro_f1)}; "
        f"zero-shot {fraction(found.zero_shot.accuracy)}"
    )
