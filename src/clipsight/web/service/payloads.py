"""Results of the service that the library has no class for: small frozen dataclasses."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder that requests name by its `id`; `photos` is None if it is not indexed."""

    id: str
    path: Path
    photos: int | None = None
    unreachable: int = 0
    indexed: str | None = None
    """Time of the last complete scan (ISO 8601)."""
    exclude: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The last component of the path."""
        return self.path.name or str(self.path)


@dataclass(frozen=True, slots=True)
class PhotoDetails:
    """The metadata of one photo; see `search.results.Match` for the units.

    `latitude` and `longitude` are degrees, None unless requested and stored. `labels` were assigned by
    classification. `partial` is the reason why only a part of the picture could be read, None if all was.
    """

    id: int
    path: Path
    size: int
    width: int | None
    height: int | None
    format: str | None
    taken: str | None
    taken_source: str | None
    camera: str | None
    reachable: bool
    labels: tuple[str, ...] = ()
    latitude: float | None = None
    longitude: float | None = None
    partial: str | None = None


@dataclass(frozen=True, slots=True)
class ListedPhoto:
    """A photo in a listing without a query; see `PhotoDetails`."""

    id: int
    path: Path
    width: int | None
    height: int | None
    taken: str | None
    taken_source: str | None


@dataclass(frozen=True, slots=True)
class Listing:
    """A page of a listing, and the number of photos on all its pages."""

    photos: tuple[ListedPhoto, ...]
    total: int


@dataclass(frozen=True, slots=True)
class PhotoFile:
    """The bytes of a photo, their media type, and a file name for saving them."""

    data: bytes
    media_type: str
    name: str


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A small JPEG; `tag`, an HTTP entity tag, changes when the photo does."""

    data: bytes
    tag: str


@dataclass(frozen=True, slots=True)
class FilterValues:
    """Values of photos that searches can be filtered by, in order."""

    cameras: tuple[str, ...]
    formats: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FailedFile:
    """A file that could not be read as a photo."""

    path: Path
    reason: str
    date: str


JobState = Literal["running", "done", "failed", "stopped"]


@dataclass(frozen=True, slots=True)
class Job:
    """An indexing run. Counts are files; `total` is None until all folders have been scanned.

    `notes` are messages for the user, `error` is the reason of a failure. Times are seconds since 1970.
    """

    id: str
    state: JobState
    what: str
    """Description in one line: the folders, and the new model."""
    model: str
    scanned: int = 0
    done: int = 0
    total: int | None = None
    embedded: int = 0
    recognised: int = 0
    failed: int = 0
    started: float = 0.0
    finished: float | None = None
    notes: tuple[str, ...] = ()
    error: str | None = None

    @property
    def running(self) -> bool:
        """True until the run has ended."""
        return self.state == "running"


@dataclass(frozen=True, slots=True)
class Health:
    """`ok` if requests can be answered; otherwise `problems` are the reasons and remedies."""

    ok: bool
    photos: int | None
    model: str | None
    problems: tuple[str, ...] = ()


def json_safe(value: object) -> str:
    """The value as valid Unicode: bytes of file names that are not UTF-8 are escaped."""
    return str(value).encode(errors="backslashreplace").decode()
