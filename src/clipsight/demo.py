"""A first look without photos of one's own: the sample photos that ship inside two Python packages.

scikit-image and scikit-learn (the extra `[demo]`) carry some twenty photos in their wheels. They are
searched where they lie; nothing is copied and nothing downloaded.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from clipsight.core.errors import LibraryError
from clipsight.indexing.scan import walk
from clipsight.render.contact_sheet import write_sheet
from clipsight.search.query import Kind, Part, Query
from clipsight.search.results import Matches

if TYPE_CHECKING:
    from clipsight.indexing.indexer import Observer
    from clipsight.library import Library

NO_PHOTOS = (
    "chessboard_*",  # drawn
    "color.png",
    "horse.png",
    "logo.png",
    "phantom.png",
    "page.png",  # scans of text
    "text.png",
    "clock_motion.png",  # blurred beyond recognition
    "microaneurysms.png",  # 102 x 102 pixels cut from a larger photo
    "multipage*",  # 10 x 15 and 14 x 24 pixels, for tests of file formats
    "*.gif",
)
"""Names in the packages' folders that are no photos: test patterns that match any query by chance."""

TOP = 6
"""Photos shown for each query: two full rows of a contact sheet."""

_INSTALL = 'pip install "clipsight[demo]"'


def sample_photos() -> list[Path]:
    """The sample photos, by folder and name. Raises LibraryError where the extra [demo] is missing."""
    return [
        Path(os.fsdecode(photo.path))
        for folder in _folders()
        for directory in walk(bytes(folder), exclude=NO_PHOTOS)
        for photo in directory.files
    ]


def run_demo(
    library: "Library", folder: Path, show: Callable[[Matches], None], *, observer: "Observer | None" = None
) -> list[Path]:
    """Index the sample photos, ask a query of each kind, `show` each answer, write it as a contact sheet.

    The sheets go to `folder`, which is made if need be, and their paths are returned; sheets of an
    earlier run are replaced. In what is shown, pictures in queries go by their names alone.
    Raises LibraryError.
    """
    queries = _queries({photo.name: photo for photo in sample_photos()})
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LibraryError(f"can't make the folder {folder}: {error.strerror}") from error
    library.index(*_folders(), exclude=NO_PHOTOS, observer=observer)
    sheets = []
    for number, asked in enumerate(queries, start=1):
        found = library.search(asked.query, top=TOP, folders=_folders())
        found = replace(found, query=asked.shown)
        show(found)
        sheets.append(folder / f"{number}-{asked.kind}.jpg")
        write_sheet(found, sheets[-1])
    return sheets


@dataclass(frozen=True, slots=True)
class _Asked:
    """A query of the demo, of which kind it is, and how it is shown."""

    kind: str
    query: Query
    shown: str


def _queries(photos: dict[str, Path]) -> list[_Asked]:
    """One query of each kind; that with a minus is asked without it first, to show what it changes."""
    motorcycle, astronaut = _picture("motorcycle_left.png", photos), _picture("astronaut.png", photos)
    return [
        _asked("words", Part(Kind.TEXT, "a cat")),
        _asked("picture", motorcycle),
        _asked("joint", astronaut, Part(Kind.TEXT, "launch of a rocket")),
        _asked("before-minus", Part(Kind.TEXT, "a building")),
        _asked("minus", Part(Kind.TEXT, "a building"), Part(Kind.TEXT, "a wall", weight=-1.0)),
    ]


def _asked(kind: str, *parts: Part) -> _Asked:
    named = [replace(part, value=Path(part.value).name) for part in parts]
    return _Asked(kind, Query(parts), str(Query(tuple(named))))


def _picture(name: str, photos: dict[str, Path]) -> Part:
    if name not in photos:
        raise LibraryError(
            f"the installed scikit-image has no sample photo {name}: {_INSTALL} --upgrade --force-reinstall"
        )
    return Part(Kind.PICTURE, str(photos[name]))


def _folders() -> list[Path]:
    """The two packages' folders of pictures; the packages, slow to import, are only located."""
    return [
        _package("skimage", "scikit-image") / "data",
        _package("sklearn", "scikit-learn") / "datasets" / "images",
    ]


def _package(module: str, distribution: str) -> Path:
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        raise LibraryError(f"the demo's photos come with {distribution}, which isn't installed: {_INSTALL}")
    return Path(spec.origin).parent
