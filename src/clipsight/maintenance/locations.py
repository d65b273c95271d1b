"""The files and folders that clipsight uses outside photo folders, with their sizes."""

import os
from dataclasses import dataclass
from pathlib import Path

from clipsight.core import paths
from clipsight.core.files import total_size
from clipsight.store.catalog import CATALOG_NAME


@dataclass(frozen=True)
class Location:
    """A file or folder that belongs to clipsight.

    `size` is in bytes, including everything below a folder; None if it does not exist. A cache may be deleted
    at any time.
    """

    name: str
    path: Path
    size: int | None
    is_cache: bool = False

    def to_dict(self) -> dict[str, str | int | bool | None]:
        """The location as `--json` prints it."""
        return {"name": self.name, "path": str(self.path), "bytes": self.size, "cache": self.is_cache}


def locations(library: str | os.PathLike[str] | None = None) -> list[Location]:
    """List the files and folders of a library (default: the user's own), and those that all libraries share.

    Nothing is created. Files that can't be read are left out of a size.
    """
    folder = paths.library_folder(library)
    return [
        _location("library", folder),
        _location("catalog", folder / CATALOG_NAME),
        _location("search index", folder / "vectors", is_cache=True),
        _location("thumbnails", folder / paths.THUMBNAILS, is_cache=True),
        _location("vectors of labels", folder / paths.LABELS, is_cache=True),
        _location("models", paths.models_folder()),
        _location("vectors of texts", paths.texts_folder(), is_cache=True),
        _location("measured photos", paths.measured_folder(), is_cache=True),
        _location("configuration", paths.config_file()),
    ]


def _location(name: str, path: Path, *, is_cache: bool = False) -> Location:
    absolute = Path(os.path.abspath(path))
    return Location(name, absolute, total_size(absolute) if os.path.exists(absolute) else None, is_cache)
