"""Command `clipsight classify`."""

import os
import shlex
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from clipsight.cli import completion
from clipsight.cli.options import (
    LABELS,
    OUTPUT,
    CsvOption,
    DeviceOption,
    JsonOption,
    LabelsOption,
    LibraryOption,
    ModelOption,
    NoIndexingOption,
    TemplateOption,
    ThreadsOption,
    check_outputs,
    check_target,
    index_folders,
    only_folder,
    open_library,
)
from clipsight.cli.organize import CopyOption, HardlinkOption, SymlinkOption, chosen_method
from clipsight.core.errors import LabelError
from clipsight.core.paths import expand
from clipsight.render.stdout import print_json, print_line, write_stream

if TYPE_CHECKING:
    from clipsight.classification.predictions import Predictions
    from clipsight.classification.prompt_selection import Accuracy, TemplateComparison
    from clipsight.classification.prompts import TemplateSet
    from clipsight.classification.zero_shot import Classification
    from clipsight.library import Library

SORTING = "Sorting into folders"
"""Heading of options in the help."""


def classify(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PHOTO... TEXT...",
            help="Photos and folders; every other argument is a text to choose from.",
        ),
    ] = None,
    labels: LabelsOption = None,
    template: TemplateOption = None,
    templates: Annotated[
        str | None,
        typer.Option(
            "--templates",
            autocompletion=completion.templates,
            rich_help_panel=LABELS,
            help="plain, simple, imagenet, or a file with one template per line.",
        ),
    ] = None,
    top: Annotated[
        int | None,
        typer.Option(
            "--top", "-t", min=1, rich_help_panel=OUTPUT, help="Only the best labels of each photo."
        ),
    ] = None,
    as_json: JsonOption = False,
    as_csv: CsvOption = False,
    html: Annotated[
        Path | None, typer.Option(rich_help_panel=OUTPUT, help="Also write a page with thumbnails (.html).")
    ] = None,
    png: Annotated[
        Path | None, typer.Option(rich_help_panel=OUTPUT, help="Also write a picture with thumbnails (.png).")
    ] = None,
    unknown: Annotated[
        bool,
        typer.Option("--unknown", rich_help_panel=LABELS, help="Also mark photos that no label matches."),
    ] = False,
    organize: Annotated[
        Path | None,
        typer.Option(metavar="DEST", rich_help_panel=SORTING, help="Sort photos into DEST/<label>/."),
    ] = None,
    by: Annotated[Literal["label"], typer.Option(rich_help_panel=SORTING, help="Sort criterion.")] = "label",
    copy: CopyOption = False,
    symlink: SymlinkOption = False,
    hardlink: HardlinkOption = False,
    min_prob: Annotated[
        float,
        typer.Option(
            min=0,
            max=1,
            rich_help_panel=SORTING,
            help="Sort only photos whose label has at least this probability.",
        ),
    ] = 0.0,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", rich_help_panel=SORTING, help="Only report what would be sorted.")
    ] = False,
    compare: Annotated[
        bool,
        typer.Option(
            "--compare-templates",
            rich_help_panel=LABELS,
            help="Compare templates on a folder of class folders, or a CSV.",
        ),
    ] = False,
    no_indexing: NoIndexingOption = False,
    library: LibraryOption = None,
    model: ModelOption = "auto",
    device: DeviceOption = "cpu",
    threads: ThreadsOption = None,
) -> None:
    """Classify photos by texts or labels, with probabilities.

    Folders are indexed first.
    """
    from clipsight.classification.prompts import PLAIN, check_labels, load_templates, read_labels
    from clipsight.classification.zero_shot import split_arguments
    from clipsight.cli.messages import note, note_model

    if as_json and as_csv:
        raise typer.BadParameter("choose one of --json and --csv")
    method = chosen_method(copy, symlink, hardlink)
    if organize is None and (method is not None or min_prob or dry_run):
        raise typer.BadParameter("--copy, --symlink, --hardlink, --min-prob and --dry-run go with --organize")
    if organize is not None and (as_json or as_csv):
        raise typer.BadParameter("--organize prints what it did: leave out --json and --csv")
    if compare:
        others = (labels, top, as_csv or None, html, png, no_indexing or None, unknown or None, organize)
        if len(arguments or ()) != 1 or any(other is not None for other in others):
            raise typer.BadParameter(
                "--compare-templates takes one folder of class folders, or one CSV with filepath and label; "
                "of the other options only --json and those of templates, library and model"
            )
        default = None if template else "imagenet"
        candidates = load_templates(templates or default, template or (PLAIN if templates is None else ()))
        with open_library(library, model, device, threads) as opened:
            _compare(opened, expand((arguments or [""])[0]), candidates, as_json)
            note_model(opened.model, opened.path, chosen=model != "auto")
        return
    check_target(html, ".html")
    check_target(png, ".png")
    check_outputs(library, html, png)
    photos, texts = split_arguments(arguments or ())
    if labels is not None and texts:
        raise LabelError(f"no such photo or folder: {texts[0]} (and --labels gives the labels)")
    names = read_labels(labels) if labels is not None else check_labels(texts)
    default = None if template else "simple" if labels else "plain"
    chosen = load_templates(templates or default, template or ())
    if not photos and library is None:
        raise LabelError("no photo to classify: name one, or a folder, or --library for all that is indexed")
    if library is not None and not photos and _holds_photos_only(expand(library)):
        note(f"{library} contains photos, not an index: its photos in the default library are classified")
        photos, library = [expand(library)], None
    with open_library(library, model, device, threads) as opened:
        folders = [photo for photo in photos if os.path.isdir(photo)]
        if not no_indexing and (folders or not photos):
            index_folders(opened, folders, quiet=True)
        result = opened.classify(names, *photos, templates=chosen, unknown=unknown, keep=labels is not None)
        sort = None if organize is None else _sorter(opened, organize, method or "copy", min_prob, dry_run)
        _show(result, top, as_json, as_csv, html, png, sort, only_folder(photos) if folders else None)
        note_model(result.model, opened.path, chosen=model != "auto")


def _show(
    result: "Classification",
    top: int | None,
    as_json: bool,
    as_csv: bool,
    html: Path | None,
    png: Path | None,
    sort: "Callable[[Iterable[Predictions]], str] | None",
    inside: Path | None,
) -> None:
    """Print the result as a stream, write the files, and print notes.

    `sort` takes all photos and returns a summary line. A table's paths are relative to the folder `inside`.
    """
    from clipsight.cli.messages import note
    from clipsight.render import heatmap
    from clipsight.render.predictions import PredictionTally, csv_text, failure_notes, json_text

    targets = frozenset(Path(os.path.abspath(file)) for file in (html, png) if file is not None)
    tally = PredictionTally(result, keep=heatmap.HTML_ROWS, targets=targets)
    if as_json or as_csv:
        write_stream(json_text(tally, top) if as_json else csv_text(tally, top))
    elif sort is not None:
        done = sort(tally)
        heatmap.print_table(tally, top, inside=inside)
        print_line(done)
    else:
        deque(tally, maxlen=0)
        heatmap.print_table(tally, top, inside=inside)
    if html is not None:
        heatmap.write_html(tally, html, top)
    if png is not None:
        heatmap.write_png(tally, png, top)
    notes = [*result.notes, *failure_notes(tally.failures), *_scale_note(result)]
    shown = (
        (None if as_json or as_csv else "the table", heatmap.TABLE_ROWS),
        (html, heatmap.HTML_ROWS),
        (png, heatmap.PNG_ROWS),
    )
    notes += [
        f"{what} shows the first {rows} of {tally.count:,} photos: --csv and --json give all"
        for what, rows in shown
        if what is not None and tally.count > rows
    ]
    for line in notes:
        note(line)


def _sorter(
    opened: "Library", destination: Path, method: str, min_prob: float, dry_run: bool
) -> "Callable[[Iterable[Predictions]], str]":
    """A function that sorts classified photos into `destination`, and returns a summary."""
    from clipsight.cli.organize import summary
    from clipsight.organize import Method
    from clipsight.organize import organize as organize_photos
    from clipsight.organize.labelling import by_label

    folders = [Path(os.fsdecode(root.path)) for root, _ in opened.status().folders]

    def sort(chunks: "Iterable[Predictions]") -> str:
        done = organize_photos(
            by_label(replace(chunk, failures=()) for chunk in chunks),  # `_show` prints the failures
            destination,
            Method.named(method),
            dry_run=dry_run,
            min_probability=min_prob,
            photo_folders=folders,
        )
        return summary(done, destination, without="without a label", dry_run=dry_run)

    return sort


def _scale_note(result: "Classification") -> tuple[str, ...]:
    if not result.logit_scale_assumed:
        return ()
    scale = result.classifier.logit_scale
    return (f"{result.model} has no logit scale of its own: {scale:g}, CLIP's usual one, is assumed",)


def _compare(opened: "Library", source: Path, candidates: "TemplateSet", as_json: bool) -> None:
    """Compare templates on a labelled dataset and print the result."""
    from clipsight.cli.messages import note
    from clipsight.cli.progress import index_bar, tracked
    from clipsight.evaluation import compare_templates
    from clipsight.render.predictions import failure_notes

    with ExitStack() as indexing:

        def track(templates: Iterable[str]) -> Iterable[str]:
            indexing.close()  # rich shows one bar at a time
            return tracked(templates, "templates")

        bar = indexing.enter_context(index_bar())
        found = compare_templates(source, opened, candidates, progress=bar, track=track)
    if as_json:
        print_json(found.to_dict())
    else:
        _print_comparison(found)
    for line in failure_notes(found.failures):
        note(line)


def _holds_photos_only(folder: Path) -> bool:
    """True if `--library` is a folder of photos: not empty, and without a catalog."""
    from clipsight.store.catalog import CATALOG_NAME

    return os.path.isdir(folder) and any(folder.iterdir()) and not any(folder.glob(f"{CATALOG_NAME}*"))


def _print_comparison(found: "TemplateComparison") -> None:
    from clipsight.render.columns import Cell, Column, print_columns

    def row(accuracy: "Accuracy", name: str, style: str = "") -> list[Cell]:
        shares = (f"{accuracy.choosing:.1%}", f"{accuracy.held_out:.1%}")
        return [Cell(text, style) for text in (*shares, name)]

    numbers = [f"on {found.photos[0]:,} photos", f"on {found.photos[1]:,} others"]
    columns = [*(Column(name, right=True) for name in numbers), Column("template", fold=True)]
    rows = [
        *(row(accuracy, template) for template, accuracy in found.templates),
        row(found.all_together, f"all {len(found.templates)} together", "bold"),
        row(found.chosen_together, "the best together, found on the photos of the first column:", "bold"),
    ]
    print_columns(columns, rows)
    print_line("  " + " ".join(f"--template {shlex.quote(template)}" for template in found.chosen))
