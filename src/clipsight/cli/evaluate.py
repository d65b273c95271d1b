"""`clipsight evaluate`."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clipsight.cli.options import DeviceOption, JsonOption, ThreadsOption

if TYPE_CHECKING:
    from clipsight.classification.dataset import LabelledVectors
    from clipsight.classification.prompts import TemplateSet
    from clipsight.cli.progress import IndexBar
    from clipsight.evaluation.retrieval import Retrieval
    from clipsight.evaluation.robustness import Shift
    from clipsight.library import Library
    from clipsight.metrics.classification import ClassificationMetrics

TemplatesOption = Annotated[
    str | None,
    typer.Option(
        "--templates", help="Prompt templates: plain, simple (default), imagenet, or a file, one a line."
    ),
]
TemplateOption = Annotated[
    list[str] | None,
    typer.Option("--template", help='Make a text of class names, like "a photo of a {}."; repeatable.'),
]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="Decides which photos are held out.")]


def evaluate(
    model: Annotated[
        str, typer.Argument(help="A name from `clipsight models`, or a model folder.")
    ] = "builtin",
    retrieval: Annotated[
        Path | None, typer.Option(help="CSV with filepath and caption: recall@1, 5, 10, median rank.")
    ] = None,
    zeroshot: Annotated[
        Path | None,
        typer.Option(help="A folder a class, or CSV with filepath and label: zero-shot accuracy."),
    ] = None,
    linear_probe: Annotated[
        Path | None,
        typer.Option(help="The same: accuracy of a linear probe on a fifth of the photos, held out."),
    ] = None,
    shift: Annotated[
        tuple[Path, Path] | None,
        typer.Option(metavar="A B", help="Two such collections: accuracy on A, and on B of what A taught."),
    ] = None,
    templates: TemplatesOption = None,
    template: TemplateOption = None,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
    device: DeviceOption = "cpu",
    threads: ThreadsOption = None,
) -> None:
    """Measure MODEL on your own photos: retrieval, zero-shot, linear probe, or robustness to a shift."""
    from clipsight.evaluation.retrieval import measure_retrieval
    from clipsight.evaluation.robustness import measure_shift
    from clipsight.evaluation.zero_shot import measure_zero_shot

    asked = [name for name in (retrieval, zeroshot, linear_probe, shift) if name is not None]
    if len(asked) != 1:
        raise typer.BadParameter("choose one of --retrieval, --zeroshot, --linear-probe and --shift")
    prompts = prompts_for(templates, template)
    with measured(model, device, threads) as (library, bar):
        if retrieval is not None:
            _print_retrieval(measure_retrieval(retrieval, library, observer=bar), library.model, as_json)
        elif zeroshot is not None:
            photos = _embedded(zeroshot, library, bar)
            _print_zero_shot(
                measure_zero_shot(photos, library.encoder, prompts), photos, library.model, prompts, as_json
            )
        elif linear_probe is not None:
            _linear_probe(_embedded(linear_probe, library, bar), library, prompts, seed, as_json)
        elif shift is not None:
            a, b = (_embedded(source, library, bar) for source in shift)
            ways = measure_shift(a, b, library.encoder, prompts, seed=seed)
            _print_shift(ways, (*a.failures, *b.failures), library.model, as_json)


@contextmanager
def measured(model: str, device: str, threads: int | None) -> "Iterator[tuple[Library, IndexBar]]":
    """A library of its own for every model that is measured, so that runs go on where they stopped.

    The user's own library is not touched.
    """
    from clipsight.cli.messages import note
    from clipsight.cli.progress import index_bar
    from clipsight.core import paths
    from clipsight.library import Library
    from clipsight.models import registry
    from clipsight.models.folder import ModelFolder

    folder = ModelFolder.read(registry.locate(model))
    name = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in folder.name)
    path = paths.home() / "measured" / f"{name}-{folder.fingerprint()[:8]}"
    with Library.open(path, model, device=device, threads=threads, note=note) as library, index_bar() as bar:
        yield library, bar


def _embedded(source: Path, library: "Library", bar: "IndexBar") -> "LabelledVectors":
    from clipsight.classification.dataset import read_labelled
    from clipsight.probe.embedding import embed_labelled

    return embed_labelled(read_labelled(source.expanduser()), library, observer=bar)


def _linear_probe(
    photos: "LabelledVectors", library: "Library", prompts: "TemplateSet", seed: int, as_json: bool
) -> None:
    from clipsight.classification.splits import train_test_split
    from clipsight.cli.figures import figure, note_left_out, print_classes
    from clipsight.probe.fitting import fit_and_test

    report = fit_and_test(*train_test_split(photos, seed=seed), library.encoder, prompts, seed=seed)
    if as_json:
        print_json({"model": library.model, **report.scores.to_dict(), "settings": report.probe.settings})
        return
    print_classes(report.scores)
    note_left_out(photos.failures)
    print(
        f"linear probe of {library.model} on {report.photos:,} photos, C {report.fit.C:.3g}; "
        f"{report.scores.photos:,} held out: accuracy {figure(report.scores.accuracy)}, "
        f"macro-F1 {figure(report.scores.macro_f1)}; zero-shot {figure(report.zero_shot.accuracy)}"
    )


def _print_retrieval(found: "Retrieval", model: str, as_json: bool) -> None:
    from clipsight.cli.figures import figure, note_left_out
    from clipsight.render.tables import print_table

    if as_json:
        print_json({"model": model, **found.to_dict()})
        return
    directions = (("text to image", found.text_to_image), ("image to text", found.image_to_text))
    rows = [
        (
            name,
            figure(each.recall_at_1),
            figure(each.recall_at_5),
            figure(each.recall_at_10),
            f"{each.median_rank:g}",
        )
        for name, each in directions
    ]
    print_table(("", "recall@1", "recall@5", "recall@10", "median rank"), rows)
    note_left_out(found.failures)
    print(f"{model} on {found.photos:,} photos with {found.captions:,} captions")


def _print_zero_shot(
    scores: "ClassificationMetrics",
    photos: "LabelledVectors",
    model: str,
    prompts: "TemplateSet",
    as_json: bool,
) -> None:
    from clipsight.cli.figures import figure, note_left_out, print_classes

    if as_json:
        print_json(
            {
                "model": model,
                "templates": list(prompts.templates),
                **scores.to_dict(),
                "failures": _failed(photos.failures),
            }
        )
        return
    print_classes(scores)
    note_left_out(photos.failures)
    top5 = "" if scores.top5_accuracy is None else f", top-5 {figure(scores.top5_accuracy)}"
    print(
        f"{model} zero-shot on {scores.photos:,} photos: top-1 {figure(scores.accuracy)}{top5}, "
        f"mean of the classes {figure(scores.mean_per_class_recall)} (templates: {prompts.name})"
    )


def _print_shift(
    ways: "list[Shift]", failures: tuple[tuple[Path, str], ...], model: str, as_json: bool
) -> None:
    from clipsight.cli.figures import figure, note_left_out
    from clipsight.render.tables import print_table

    if as_json:
        print_json(
            {"model": model, **{way.name: way.to_dict() for way in ways}, "failures": _failed(failures)}
        )
        return
    print_table(
        ("", "A", "B", "change"),
        [
            (way.name, figure(way.on_a.accuracy), figure(way.on_b.accuracy), f"{way.change:+.3f}")
            for way in ways
        ],
    )
    note_left_out(failures)
    photos = f"{ways[0].on_a.photos:,} photos of A held out, and {ways[0].on_b.photos:,} of B"
    print(f"accuracy of {model} on {photos}")


def _failed(failures: tuple[tuple[Path, str], ...]) -> list[dict[str, str]]:
    return [{"path": str(path), "reason": reason} for path, reason in failures]


def prompts_for(templates: str | None, template: list[str] | None) -> "TemplateSet":
    """The templates of the two options; "simple", OpenAI's seven, where neither is given."""
    from clipsight.classification.prompts import load_templates

    return load_templates(templates or (None if template else "simple"), template or ())


def print_json(content: dict[str, Any]) -> None:
    """Print an answer as `--json` does."""
    print(json.dumps(content, indent=2))
