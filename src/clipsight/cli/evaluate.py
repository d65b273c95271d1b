"""Command `clipsight evaluate`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clipsight.cli import completion
from clipsight.cli.options import DeviceOption, JsonOption, ThreadsOption
from clipsight.render.stdout import print_json, print_line

if TYPE_CHECKING:
    from clipsight.classification.prompts import TemplateSet
    from clipsight.evaluation import LinearProbe, Retrieval, Robustness, ZeroShot

FITTING = "Fitting"
"""Heading of options in the help of `probe fit`."""

TemplatesOption = Annotated[
    str | None,
    typer.Option(
        "--templates",
        autocompletion=completion.templates,
        rich_help_panel=FITTING,
        help="Prompt templates: plain, simple (default), imagenet, or a file, one per line.",
    ),
]
TemplateOption = Annotated[
    list[str] | None,
    typer.Option(
        "--template",
        rich_help_panel=FITTING,
        help='Prompt template for class names, like "a photo of a {}."; repeatable.',
    ),
]
SeedOption = Annotated[
    int, typer.Option("--seed", min=0, rich_help_panel=FITTING, help="Random seed of the split.")
]


def evaluate(
    model: Annotated[
        str,
        typer.Argument(
            autocompletion=completion.models, help="A name from `clipsight models`, or a model folder."
        ),
    ] = "builtin",
    retrieval: Annotated[
        Path | None, typer.Option(help="CSV with filepath and caption: recall@1, 5, 10, median rank.")
    ] = None,
    zeroshot: Annotated[
        Path | None,
        typer.Option(help="A folder per class, or CSV with filepath and label: zero-shot accuracy."),
    ] = None,
    linear_probe: Annotated[
        Path | None,
        typer.Option(help="The same: accuracy of a linear probe on a held-out fifth of the photos."),
    ] = None,
    shift: Annotated[
        tuple[Path, Path] | None,
        typer.Option(metavar="A B", help="Two such datasets: accuracy on A and B after training on A."),
    ] = None,
    templates: TemplatesOption = None,
    template: TemplateOption = None,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
    device: DeviceOption = "cpu",
    threads: ThreadsOption = None,
) -> None:
    """Evaluate a model on your own photos.

    Measures retrieval, zero-shot accuracy, a linear probe, or robustness to a distribution shift.
    """
    from clipsight.cli.messages import note
    from clipsight.cli.progress import index_bar
    from clipsight.evaluation import LinearProbe, Retrieval, Robustness, ZeroShot
    from clipsight.evaluation import evaluate as evaluate_model

    if sum(source is not None for source in (retrieval, zeroshot, linear_probe, shift)) != 1:
        raise typer.BadParameter("choose one of --retrieval, --zeroshot, --linear-probe and --shift")
    with index_bar() as bar:
        found = evaluate_model(
            model,
            retrieval=retrieval,
            zeroshot=zeroshot,
            linear_probe=linear_probe,
            shift=shift,
            templates=prompts_for(templates, template),
            seed=seed,
            device=device,
            threads=threads,
            progress=bar,
            note=note,
        )
    if as_json:
        print_json(found.to_dict())
        return
    match found:
        case Retrieval():
            _print_retrieval(found)
        case ZeroShot():
            _print_zero_shot(found)
        case LinearProbe():
            _print_linear_probe(found)
        case Robustness():
            _print_robustness(found)


def _print_linear_probe(found: "LinearProbe") -> None:
    from clipsight.cli.messages import note_skipped
    from clipsight.render.tables import fraction, print_class_metrics

    report = found.report
    print_class_metrics(report.scores)
    note_skipped(found.failures)
    print_line(
        f"linear probe of {found.model} on {report.photos:,} photos, C {report.fit.C:.3g}; "
        f"{report.scores.photos:,} held out: accuracy {fraction(report.scores.accuracy)}, "
        f"macro-F1 {fraction(report.scores.macro_f1)}; zero-shot {fraction(report.zero_shot.accuracy)}"
    )


def _print_retrieval(found: "Retrieval") -> None:
    from clipsight.cli.messages import note_skipped
    from clipsight.render.tables import fraction, print_table

    directions = (("text to image", found.text_to_image), ("image to text", found.image_to_text))
    rows = [
        (
            name,
            fraction(each.recall_at_1),
            fraction(each.recall_at_5),
            fraction(each.recall_at_10),
            f"{each.median_rank:g}",
        )
        for name, each in directions
    ]
    print_table(("", "recall@1", "recall@5", "recall@10", "median rank"), rows)
    note_skipped(found.failures)
    print_line(f"{found.model} on {found.photos:,} photos with {found.captions:,} captions")


def _print_zero_shot(found: "ZeroShot") -> None:
    from clipsight.cli.messages import note_skipped
    from clipsight.render.tables import fraction, print_class_metrics

    metrics = found.metrics
    print_class_metrics(metrics)
    note_skipped(found.failures)
    top5 = "" if metrics.top5_accuracy is None else f", top-5 {fraction(metrics.top5_accuracy)}"
    print_line(
        f"{found.model} zero-shot on {metrics.photos:,} photos: top-1 {fraction(metrics.accuracy)}{top5}, "
        f"mean of the classes {fraction(metrics.mean_per_class_recall)} (templates: {found.templates.name})"
    )


def _print_robustness(found: "Robustness") -> None:
    from clipsight.cli.messages import note_skipped
    from clipsight.render.tables import fraction, print_table

    print_table(
        ("", "A", "B", "change"),
        [
            (shift.name, fraction(shift.on_a.accuracy), fraction(shift.on_b.accuracy), f"{shift.change:+.3f}")
            for shift in found.shifts
        ],
    )
    note_skipped(found.failures)
    first = found.shifts[0]
    photos = f"{first.on_a.photos:,} photos of A held out, and {first.on_b.photos:,} of B"
    print_line(f"accuracy of {found.model} on {photos}")


def prompts_for(templates: str | None, template: list[str] | None) -> "TemplateSet":
    """The templates of `--templates` and `--template`; by default "simple", OpenAI's seven."""
    from clipsight.classification.prompts import load_templates

    return load_templates(templates or (None if template else "simple"), template or ())
