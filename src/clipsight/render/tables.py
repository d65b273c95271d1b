"""Results on stdout: tables for people; JSON, CSV and paths for programs."""

import os
import sys
from collections.abc import Iterable, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from clipsight.core.files import csv_line
from clipsight.core.text import to_json, visible
from clipsight.search.results import Match, Matches, Status

if TYPE_CHECKING:
    from clipsight.metrics.classification import ClassificationMetrics
    from clipsight.models.registry import ModelStatus


NO_MATCH = "no photo matches"


class Format(Enum):
    """Output format of a search."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    PATHS = "paths"
    PATHS_0 = "paths-0"


def stdout_console() -> Console:
    """A console on stdout; 200 columns wide where that is no terminal, so that paths are not folded."""
    return Console(soft_wrap=False, width=None if sys.stdout.isatty() else 200, highlight=False)


def make_table(*columns: str, right: Iterable[str] = ()) -> Table:
    """A table without lines; the columns named in `right` are right-aligned."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(Text(column), justify="right" if column in right else "left")
    return table


def text_cell(text: str, style: str = "") -> Text:
    """Any text as a cell: without markup, control characters escaped, folded where too long."""
    return Text(visible(text), style=style, overflow="fold")


def print_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table of a left-aligned first column and right-aligned others."""
    table = make_table(*header, right=header[1:])
    for row in rows:
        table.add_row(*map(text_cell, row))
    stdout_console().print(table)


def print_class_metrics(scores: "ClassificationMetrics") -> None:
    """Print photos, recall, precision and F1 of every class, and its most frequent confusion."""
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


def print_matches(matches: Matches, form: Format) -> None:
    """Print the results of a query."""
    if form is Format.TABLE:
        stdout_console().print(matches_as_table(matches))
    else:
        _write_bytes(matches_as_text(matches, form))


def matches_as_text(matches: Matches, form: Format) -> str:
    """The results of a query for programs; bytes of paths that are not UTF-8 are surrogates."""
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
            raise ValueError("a table depends on where it is printed")


def matches_as_table(matches: Matches) -> Table:
    """The results of a query as a table."""
    table = make_table("score", "photo", "size", "taken", right=("score", "size"))
    for match in matches:
        table.add_row(f"{match.score:.3f}", _path(match), _pixels(match), _taken(match))
    return table


def _path(match: Match) -> Text:
    return text_cell(str(match.path), "" if match.reachable else "dim")


def _pixels(match: Match) -> str:
    return f"{match.width} x {match.height}" if match.width else ""


def _taken(match: Match) -> str:
    if match.taken is None:
        return ""
    return match.taken[:16].replace("T", " ") + ("" if match.taken_source == "exif" else " *")


def _csv(matches: Matches) -> str:
    columns = ("path", "score", "id", "width", "height", "taken")
    rows = ([row[column] for column in columns] for row in matches.to_dicts())
    return "".join(f"{csv_line(cells)}\n" for cells in (columns, *rows))


def _write_bytes(text: str) -> None:
    """Write text to stdout; surrogates become the original bytes of paths."""
    sys.stdout.flush()
    sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape"))
    sys.stdout.buffer.flush()


def print_status(status: Status) -> None:
    """Print the contents of a library, and each failed file with its reason."""
    out = stdout_console()
    counts = status.counts
    rows: list[tuple[str, str]] = [
        ("library", str(status.path)),
        ("model", status.model or "none yet"),
        ("photos", f"{counts.present + counts.unreachable:,}"),
    ]
    if status.next_model:
        rows.append(("switching to", f"{status.next_model}: {status.to_embed:,} photos to embed"))
    if counts.unreachable:
        rows.append(("unreachable", f"{counts.unreachable:,} (kept; they come back with their folder)"))
    if counts.missing:
        rows.append(("gone", f"{counts.missing:,} (not shown; dropped after 30 days)"))
    if status.partial:
        rows.append(("partial", f"{len(status.partial):,} (their files hold a part of the picture)"))
    rows += [("failed", f"{len(status.failures):,}"), ("on disk", _bytes(status.bytes))]
    summary = Table.grid(padding=(0, 2))
    for name, value in rows:
        summary.add_row(text_cell(name, "bold"), text_cell(value))
    out.print(summary)
    if status.folders:
        table = make_table("folder", "photos", "unreachable", "last indexed", right=("photos", "unreachable"))
        for root, here in status.folders:
            table.add_row(
                text_cell(os.fsdecode(root.path)),
                f"{here.present + here.unreachable:,}",
                f"{here.unreachable:,}" if here.unreachable else "",
                (root.indexed or "not finished").replace("T", " "),
            )
        out.print(table)
    if status.partial:
        table = make_table("partial", "reason")
        for photo in status.partial:
            table.add_row(text_cell(os.fsdecode(photo.path)), text_cell(photo.reason))
        out.print(table)
    if status.failures:
        table = make_table("failed", "reason", "date")
        for failure in status.failures:
            table.add_row(
                text_cell(os.fsdecode(failure.path)),
                text_cell(failure.reason),
                failure.date[:16].replace("T", " "),
            )
        out.print(table)


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
    }


def print_models(models: Sequence["ModelStatus"], in_use: str | None) -> None:
    """Print installed and available models; `in_use` is the name of the library's."""
    table = make_table(
        "",
        "model",
        "here",
        "size",
        "dim",
        "ImageNet",
        "retrieval",
        "licence",
        right=("size", "dim", "ImageNet", "retrieval"),
    )
    for model in models:
        marks = ("*" if model.name == in_use else "") + ("r" if model.recommended else "")
        here = model.problem or ("yes" if model.on_disk else "partly" if model.partial_bytes else "")
        table.add_row(
            marks,
            text_cell(model.name + (" (multilingual)" if model.multilingual else "")),
            text_cell(here),
            _bytes(model.size_bytes) if model.size_bytes else "",
            str(model.embed_dim or ""),
            _figure(model.imagenet_top1),
            _figure(model.retrieval),
            text_cell(
                (model.license or "") + (", not for commercial use" if model.commercial is False else "")
            ),
        )
    out = stdout_console()
    out.print(table)
    out.print(
        "*: this library's model; r: recommended. ImageNet: zero-shot top-1 in percent. Retrieval: mean of"
    )
    out.print(
        "recall@1, @5 and @10 in percent, Crossmodal-3600, English. Sources: docs/models.md and --json."
    )


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def _bytes(count: int) -> str:
    size = float(count)
    for unit in ("B", "KB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            break
        size /= 1000
    return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
