"""Results on stdout: tables for people; JSON, CSV and paths for programs."""

import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clipsight.core import paths, terminal
from clipsight.core.files import csv_line
from clipsight.core.text import to_json
from clipsight.render.columns import Cell, Column, fold, print_columns
from clipsight.render.stdout import write_text
from clipsight.search.results import Match, Matches, Status
from clipsight.store.records import Counts, Root
from clipsight.store.text_index import TextCounts

if TYPE_CHECKING:
    from clipsight.maintenance.locations import Location
    from clipsight.metrics.classification import ClassificationMetrics
    from clipsight.models.registry import ModelStatus


NO_MATCH = "no photo matches"

CSV_COLUMNS = ("path", "score", "id", "width", "height", "taken", "taken_source")
"""Columns of a photo found, named as in its JSON."""

_INDENT = "    "

_MAX_TEXT = 40
"""Characters of a photo's text in a table."""


class Format(Enum):
    """Output format of a search."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    PATHS = "paths"
    PATHS_0 = "paths-0"


def print_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table of a left-aligned first column and right-aligned others."""
    first, *others = header
    print_columns([Column(first, fold=True), *(Column(name, right=True) for name in others)], rows)


def print_class_metrics(scores: "ClassificationMetrics") -> None:
    """Print the number of photos, recall, precision, F1 and most frequent confusion of every class."""
    photos = scores.confusion_matrix.sum(1)
    rows = []
    for row, name in enumerate(scores.classes):
        mistake = scores.most_confused_with(row)
        rows.append(
            (
                name,
                str(photos[row]),
                *(fraction(values[row]) for values in (scores.recall, scores.precision, scores.f1)),
                f"{mistake[0]} ({mistake[1]})" if mistake else "",
            )
        )
    print_table(("class", "photos", "recall", "precision", "F1", "most taken for"), rows)


def fraction(value: float) -> str:
    """A fraction with three decimals; "" for NaN."""
    return "" if value != value else f"{value:.3f}"


def print_matches(matches: Matches, form: Format, *, inside: Path | None = None) -> None:
    """Print the results of a query; paths in a table are relative to the folder `inside`, or to `~`."""
    if form is Format.TABLE:
        print_columns(*matches_as_columns(matches, inside=inside))
    else:
        write_text(matches_as_text(matches, form))


def matches_as_text(matches: Matches, form: Format) -> str:
    """The results of a query as JSON, CSV or paths; bytes of paths that are not UTF-8 are surrogates.

    Raises ValueError for `Format.TABLE`, which depends on the terminal.
    """
    match form:
        case Format.JSON:
            return to_json(matches.to_dict()) + "\n"
        case Format.CSV:
            return _csv(matches)
        case Format.PATHS:
            return "".join(f"{match.path}\n" for match in matches)
        case Format.PATHS_0:
            return "".join(f"{match.path}\0" for match in matches)
        case Format.TABLE:
            raise ValueError("the layout of a table depends on the terminal")


def matches_as_columns(
    matches: Matches, *, inside: Path | None = None, home: str | None = None
) -> tuple[list[Column], list[list[Cell]]]:
    """The results of a query as columns and rows for `render.columns`."""
    explanation = " (*: file date)" if any(map(_is_file_date, matches)) else ""
    has_text = any(match.text for match in matches)
    columns = [
        Column("score", right=True),
        Column("size", right=True),
        Column(f"taken{explanation}"),
        *([Column("text")] if has_text else []),
        Column("photo"),
    ]
    return columns, [
        [
            Cell(f"{match.score:.3f}"),
            Cell(_pixels(match)),
            Cell(_taken(match)),
            *([Cell(_shortened(" | ".join(match.text)))] if has_text else []),
            Cell(paths.short(match.path, inside, home=home), "" if match.reachable else "dim"),
        ]
        for match in matches
    ]


def _shortened(text: str) -> str:
    return text if len(text) <= _MAX_TEXT else f"{text[: _MAX_TEXT - 3]}..."


def _pixels(match: Match) -> str:
    return f"{match.width} x {match.height}" if match.width else ""


def _is_file_date(match: Match) -> bool:
    return match.taken is not None and match.taken_source == "mtime"


def _taken(match: Match) -> str:
    if match.taken is None:
        return ""
    return match.taken[:16].replace("T", " ") + (" *" if _is_file_date(match) else "")


def csv_columns(answers: Iterable[Matches]) -> tuple[str, ...]:
    """The columns of photos found; the last one is `text` if it was found in any."""
    has_text = any(match.text for matches in answers for match in matches)
    return (*CSV_COLUMNS, "text") if has_text else CSV_COLUMNS


def csv_rows(matches: Matches, columns: Sequence[str]) -> Iterator[list[Any]]:
    """Yield the cells of each match; lines of text are separated by " | "."""
    for match in matches:
        row = {**match.to_dict(), "text": " | ".join(match.text)}
        yield [row[column] for column in columns]


def _csv(matches: Matches) -> str:
    columns = csv_columns([matches])
    return "".join(f"{csv_line(cells)}\n" for cells in (columns, *csv_rows(matches, columns)))


def print_status(status: Status) -> None:
    """Print the contents of a library, and each failed file with its reason."""
    counts = status.counts
    rows: list[tuple[str, str]] = [
        ("library", paths.short(status.path)),
        ("model", status.model or "none yet"),
        ("photos", f"{counts.present + counts.unreachable:,}"),
    ]
    if status.text is not None:
        rows.append(("text", _text(status.text)))
    if status.next_model:
        rows.append(("switching to", f"{status.next_model}: {status.to_embed:,} photos to embed"))
    if counts.unreachable:
        rows.append(("unreachable", f"{counts.unreachable:,} (kept; they come back with their folder)"))
    if counts.missing:
        rows.append(("gone", f"{counts.missing:,} (not shown; dropped after 30 days)"))
    if status.partial:
        rows.append(("partial", f"{len(status.partial):,} (their files hold a part of the picture)"))
    rows += [("failed", f"{len(status.failures):,}"), ("on disk", file_size(status.bytes))]
    print_columns([Column(""), Column("")], [(Cell(name, "bold"), Cell(value)) for name, value in rows])
    if status.folders:
        print()
        _print_folders(status.folders)
    if status.partial:
        print()
        _print_files("partial photos", [(photo.path, photo.reason) for photo in status.partial])
    if status.text is not None and status.text.failures:
        print()
        _print_files("text not read", [(photo.path, photo.reason) for photo in status.text.failures])
    if status.failures:
        print()
        reasons = [
            (each.path, f"{each.date[:16].replace('T', ' ')}: {each.reason}") for each in status.failures
        ]
        _print_files("failed files", reasons)


def _text(counts: TextCounts) -> str:
    """The photos by the state of their text, in words."""
    found = f"read in {counts.read:,} photos, of which {counts.with_text:,} have some"
    if counts.failures:
        found += f"; failed in {len(counts.failures):,}"
    return found + (f"; {counts.to_read:,} to read: clipsight index" if counts.to_read else "")


def _print_folders(folders: Iterable[tuple[Root, Counts]]) -> None:
    columns = [
        Column("photos", right=True),
        Column("unreachable", right=True),
        Column("last indexed"),
        Column("folder"),
    ]
    rows = [
        (
            f"{here.present + here.unreachable:,}",
            f"{here.unreachable:,}" if here.unreachable else "",
            (root.indexed or "not finished").replace("T", " "),
            paths.short(os.fsdecode(root.path)),
        )
        for root, here in folders
    ]
    print_columns(columns, rows)


def _print_files(heading: str, files: Iterable[tuple[bytes, str]]) -> None:
    """Print files, each with a reason below its path."""
    width = terminal.width(sys.stdout) - len(_INDENT)
    rows = [
        [Cell(paths.short(os.fsdecode(path)), more=tuple(_INDENT + line for line in fold(reason, width)))]
        for path, reason in files
    ]
    print_columns([Column(heading)], rows)


def status_to_dict(status: Status) -> dict[str, Any]:
    """The status as JSON-serialisable values."""
    return {
        "library": str(status.path),
        "model": status.model,
        "next_model": status.next_model,
        "to_embed": status.to_embed,
        "photos": status.counts.present + status.counts.unreachable,
        "unreachable": status.counts.unreachable,
        "missing": status.counts.missing,
        "bytes": status.bytes,
        "folders": [
            {
                "path": os.fsdecode(root.path),
                "photos": here.present + here.unreachable,
                "unreachable": here.unreachable,
                "reachable": root.reachable,
                "indexed": root.indexed,
            }
            for root, here in status.folders
        ],
        "failures": [
            {"path": os.fsdecode(failure.path), "reason": failure.reason, "date": failure.date}
            for failure in status.failures
        ],
        "partial": [{"path": os.fsdecode(photo.path), "reason": photo.reason} for photo in status.partial],
        "text": None if status.text is None else _text_to_dict(status.text),
    }


def _text_to_dict(counts: TextCounts) -> dict[str, Any]:
    return {
        "read": counts.read,
        "with_text": counts.with_text,
        "to_read": counts.to_read,
        "failures": [{"path": os.fsdecode(each.path), "reason": each.reason} for each in counts.failures],
    }


def print_locations(locations: Iterable["Location"]) -> None:
    """Print clipsight's own files and folders."""
    columns = [Column("what (*: a cache)"), Column("size", right=True), Column("path")]
    rows = [
        (
            each.name + (" *" if each.is_cache else ""),
            "none" if each.size is None else file_size(each.size),
            paths.short(each.path),
        )
        for each in locations
    ]
    print_columns(columns, rows)


def print_models(models: Sequence["ModelStatus"], in_use: str | None) -> None:
    """Print installed and available models; `in_use` is the name of the library's model."""
    here = [model for model in models if model.on_disk]
    others = [model for model in models if not model.on_disk]
    print("on this machine:")
    _print_models(here, in_use)
    print("\nto download (clipsight models download NAME):")
    _print_models(others, in_use)
    print(
        "\n* this library's model, r recommended, m multilingual, n not for commercial"
        "\nuse, p partly downloaded. ImageNet: zero-shot top-1 in percent. recall: mean"
        "\nof recall@1, @5 and @10 in percent on the English captions of Crossmodal-3600."
        "\nMore, and the sources: docs/models.md and --json."
    )


def _print_models(models: Iterable["ModelStatus"], in_use: str | None) -> None:
    columns = [
        Column(""),
        Column("size", right=True),
        Column("ImageNet", right=True),
        Column("recall", right=True),
        Column("licence"),
        Column("model"),
    ]
    rows = []
    for model in models:
        marks = {
            "*": model.name == in_use,
            "r": model.recommended,
            "m": model.multilingual,
            "n": model.commercial is False,
            "p": model.partial_bytes and not model.on_disk,
        }
        rows.append(
            (
                "".join(mark for mark, applies in marks.items() if applies),
                file_size(model.size_bytes) if model.size_bytes else "",
                _figure(model.imagenet_top1),
                _figure(model.retrieval),
                re.split("[;(]", model.license or "")[0].strip(),
                Cell(model.name, more=(f"  {model.problem}",) if model.problem else ()),
            )
        )
    print_columns(columns, rows)


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def file_size(count: int) -> str:
    """A number of bytes, such as "1.5 GB"."""
    size = float(count)
    for unit in ("B", "KB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            break
        size /= 1000
    return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
