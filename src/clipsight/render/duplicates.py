"""Groups of copies as tables, CSV and paths, and on contact sheets."""

from collections.abc import Iterator
from pathlib import Path

from clipsight.core import paths
from clipsight.core.files import csv_line
from clipsight.render.columns import Cell, Column, print_columns
from clipsight.render.contact_sheet import Item, Sheet, write_sheet
from clipsight.render.tables import file_size
from clipsight.search.duplicates import Duplicate, Duplicates

_COLUMNS = ("group", "keep", "kind", "similarity", "path", "width", "height", "format", "bytes", "taken")


def print_duplicates(found: Duplicates, *, inside: Path | None = None) -> None:
    """Print a table, the photo to keep of each group in bold; paths are relative to the folder `inside`."""
    if not found:
        return
    columns = [
        Column(""),
        Column("alike", right=True),
        Column("size", right=True),
        Column("format"),
        Column("bytes", right=True),
        Column("photo"),
    ]
    rows = []
    for _, photo in _numbered(found):
        cells = (
            photo.kind or "keep",
            "" if photo.kind is None else f"{photo.similarity:.3f}",
            f"{photo.width} x {photo.height}" if photo.width else "",
            photo.format or "",
            file_size(photo.size),
            paths.short(photo.path, inside),
        )
        rows.append([Cell(cell, "bold" if photo.kind is None else "") for cell in cells])
    print_columns(columns, rows)


def duplicates_as_csv(found: Duplicates) -> str:
    """One line for each photo, with the number of its group, and 1 in the column `keep` of those to keep."""
    rows = [
        {**photo.to_dict(), "group": number, "keep": int(photo.kind is None)}
        for number, photo in _numbered(found)
    ]
    cells = ([row[name] for name in _COLUMNS] for row in rows)
    return "".join(f"{csv_line(line)}\n" for line in (_COLUMNS, *cells))


def other_paths(found: Duplicates, end: str) -> str:
    """Paths of all photos but those to keep, each followed by `end`."""
    return "".join(f"{other.path}{end}" for group in found for other in group.others)


def write_duplicates_sheet(found: Duplicates, file: Path) -> None:
    """Write a contact sheet, group by group, the photo to keep first; see `contact_sheet.write_sheet`."""
    items = [Item(photo.path, photo.picture, _note(number, photo)) for number, photo in _numbered(found)]
    groups = f"{len(found):,} group{'s' if len(found) > 1 else ''}" if found else "no copies"
    write_sheet(Sheet("Duplicates", f"model {found.model}: {groups}", items), file)


def _numbered(found: Duplicates) -> Iterator[tuple[int, Duplicate]]:
    for number, group in enumerate(found, start=1):
        for photo in (group.keep, *group.others):
            yield number, photo


def _note(number: int, photo: Duplicate) -> str:
    relation = "keep" if photo.kind is None else f"{photo.kind} {photo.similarity:.3f}"
    return f"{number}: {relation}"
