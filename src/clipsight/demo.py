"""Example searches over the sample photos of scikit-image and scikit-learn (the extra `[demo]`)."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from clipsight.core.errors import LibraryError
from clipsight.indexing.sample_photos import EXCLUDE, sample_folders, sample_photos
from clipsight.render.contact_sheet import write_contact_sheet
from clipsight.search.query import Kind, Part, Query
from clipsight.search.results import Matches

if TYPE_CHECKING:
    from clipsight.core.progress import ProgressLike
    from clipsight.indexing.report import Observer
    from clipsight.library import Library

TOP = 6
"""Photos shown for each query: two full rows of a contact sheet."""


def run_demo(
    library: "Library",
    folder: Path,
    show: Callable[[Matches], None],
    *,
    progress: "Observer | ProgressLike" = None,
) -> list[Path]:
    """Index the sample photos, run one query of each kind, pass each result to `show`, write contact sheets.

    The sheets are written to `folder`, which is created if it does not exist, and replace those of an earlier
    run; their paths are returned. Query pictures are shown by file name only. Raises LibraryError.
    """
    examples = _examples({photo.name: photo for photo in sample_photos()})
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LibraryError(f"can't make the folder {folder}: {error.strerror}") from error
    folders = sample_folders()
    library.index(*folders, exclude=EXCLUDE, progress=progress)
    sheets = []
    for number, (name, query) in enumerate(examples, start=1):
        matches = library.search(query, top=TOP, folders=folders)
        matches = replace(matches, query=_with_file_names(query))
        show(matches)
        sheets.append(folder / f"{number}-{name}.jpg")
        write_contact_sheet(matches, sheets[-1])
    return sheets


def _examples(photos: dict[str, Path]) -> list[tuple[str, Query]]:
    """One query of each kind, with its name; "before-minus" is "minus" without the subtracted part."""
    motorcycle, astronaut = _picture("motorcycle_left.png", photos), _picture("astronaut.png", photos)
    building, wall = Part(Kind.TEXT, "a building"), Part(Kind.TEXT, "a wall", weight=-1.0)
    return [
        ("words", Query((Part(Kind.TEXT, "a cat"),))),
        ("picture", Query((motorcycle,))),
        ("joint", Query((astronaut, Part(Kind.TEXT, "launch of a rocket")))),
        ("before-minus", Query((building,))),
        ("minus", Query((building, wall))),
    ]


def _with_file_names(query: Query) -> str:
    """The query as text, with pictures by file name instead of path."""
    return str(Query(tuple(replace(part, value=Path(part.value).name) for part in query.parts)))


def _picture(name: str, photos: dict[str, Path]) -> Part:
    if name not in photos:
        raise LibraryError(
            f"the installed scikit-image has no sample photo {name}: "
            "pip install --upgrade --force-reinstall scikit-image"
        )
    return Part(Kind.PICTURE, str(photos[name]))
