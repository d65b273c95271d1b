"""Command `clipsight organize`."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from clipsight.cli import completion
from clipsight.cli.options import (
    LABELS,
    DeviceOption,
    LabelsOption,
    LibraryOption,
    ModelOption,
    NoIndexingOption,
    TemplateOption,
    ThreadsOption,
    index_folders,
    open_library,
)
from clipsight.render.stdout import print_line

if TYPE_CHECKING:
    from clipsight.organize import OrganizeResult

FILES = "Files"
"""Heading of options in the help."""

CopyOption = Annotated[bool, typer.Option("--copy", rich_help_panel=FILES, help="Make copies (the default).")]
SymlinkOption = Annotated[bool, typer.Option("--symlink", rich_help_panel=FILES, help="Make symbolic links.")]
HardlinkOption = Annotated[bool, typer.Option("--hardlink", rich_help_panel=FILES, help="Make hard links.")]


def organize(
    places: Annotated[
        list[Path] | None,
        typer.Argument(metavar="FOLDER... DEST", help="Folders of photos, and the folder to sort them into."),
    ] = None,
    by: Annotated[
        Literal["label", "date", "camera"],
        typer.Option(help="A folder for each label, month (2024-05) or camera."),
    ] = "label",
    labels: LabelsOption = None,
    template: TemplateOption = None,
    templates: Annotated[
        str | None,
        typer.Option(
            "--templates",
            autocompletion=completion.templates,
            rich_help_panel=LABELS,
            help="plain, simple (default), imagenet, or a file with one template per line.",
        ),
    ] = None,
    unknown: Annotated[
        bool,
        typer.Option("--unknown", rich_help_panel=LABELS, help="Leave out photos that no label matches."),
    ] = False,
    min_prob: Annotated[
        float,
        typer.Option(
            min=0,
            max=1,
            rich_help_panel=LABELS,
            help="Leave out photos whose label is less probable than this.",
        ),
    ] = 0.0,
    copy: CopyOption = False,
    symlink: SymlinkOption = False,
    hardlink: HardlinkOption = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", rich_help_panel=FILES, help="Only report what would be done.")
    ] = False,
    undo: Annotated[
        Path | None,
        typer.Option("--undo", metavar="DEST", rich_help_panel=FILES, help="Remove what was made in DEST."),
    ] = None,
    no_indexing: NoIndexingOption = False,
    library: LibraryOption = None,
    model: ModelOption = "auto",
    device: DeviceOption = "cpu",
    threads: ThreadsOption = None,
) -> None:
    """Sort photos into folders by label, date or camera.

    New photos in FOLDER are indexed first. The photos are only read: DEST gets copies of them, or links.
    """
    from clipsight.classification.prompts import load_templates, read_labels
    from clipsight.cli.messages import note_model

    method = chosen_method(copy, symlink, hardlink)
    of_labels = labels is not None or template or templates is not None or unknown or min_prob
    if undo is not None:
        if places or of_labels or method or dry_run:
            raise typer.BadParameter("--undo takes one folder, into which photos were sorted, and no more")
        _undo(undo)
        return
    places = places or []
    if len(places) < 2:
        raise typer.BadParameter("name the folder of the photos, then the folder to sort them into")
    if by != "label" and of_labels:
        raise typer.BadParameter(
            "--labels, --template, --templates, --unknown and --min-prob are for --by label"
        )
    if by == "label" and labels is None:
        raise typer.BadParameter("--by label needs --labels, such as --labels cat,dog")
    *folders, destination = places
    names = () if labels is None else read_labels(labels)
    chosen = load_templates(templates or (None if template else "simple"), template or ())
    with open_library(library, model, device, threads) as photos:
        if not no_indexing:
            index_folders(photos, folders, quiet=True)
        done = photos.organize(
            folders,
            destination,
            by=by,
            labels=names,
            templates=chosen,
            unknown=unknown,
            min_probability=min_prob,
            method=method or "copy",
            dry_run=dry_run,
        )
        _print_folders(done)
        print_line(summary(done, destination, without=f"without a {by}", dry_run=dry_run))
        if by == "label":
            note_model(photos.model, photos.path, chosen=model != "auto")


def chosen_method(copy: bool, symlink: bool, hardlink: bool) -> str | None:
    """The chosen method, None if there is none. Raises `BadParameter` for more than one."""
    methods = {"copy": copy, "symlink": symlink, "hardlink": hardlink}
    chosen = [name for name, wanted in methods.items() if wanted]
    if len(chosen) > 1:
        raise typer.BadParameter("choose one of --copy, --symlink and --hardlink")
    return chosen[0] if chosen else None


def summary(done: "OrganizeResult", destination: Path, *, without: str, dry_run: bool) -> str:
    """One line with the numbers of photos, and how to undo it; prints a note for each unreadable photo."""
    from clipsight.cli.messages import note_skipped

    failures = [(failed.source, failed.reason) for failed in done.failures]
    note_skipped(failures, "not sorted:", "clipsight status")
    would = "would be " if dry_run else ""
    counts = (
        (done.existing, "there already"),
        (done.below_threshold, "less probable"),
        (done.unlabelled, without),
    )
    line = f"{done.created:,} photos {would}sorted into {destination}"
    more = [f"{count:,} {what}" for count, what in counts if count]
    undo = f"; to undo: clipsight organize --undo {shlex.quote(str(destination))}"
    return ", ".join((line, *more)) + (undo if done.created and not dry_run else "")


def _print_folders(done: "OrganizeResult") -> None:
    from clipsight.render.tables import print_table

    if done.folders:
        print_table(("folder", "photos"), [(folder.name, f"{count:,}") for folder, count in done.folders])


def _undo(destination: Path) -> None:
    from clipsight.cli.messages import note
    from clipsight.core.text import visible
    from clipsight.organize import undo

    done = undo(destination)
    for path, reason in done.kept:
        note(f"kept {visible(str(path))}: {visible(reason)}")
    note(f"removed {done.removed:,} of the files that clipsight created in {destination}")
