"""What the service answers beside `results` and `classify`: small frozen dataclasses."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder that a request can name by its `id`; `photos` is None for one that is not indexed."""

    id: str
    path: Path
    photos: int | None = None
    unreachable: int = 0
    indexed: str | None = None
    """When it was last walked to its end (ISO 8601); None if never."""

    @property
    def name(self) -> str:
        return self.path.name or str(self.path)


@dataclass(frozen=True, slots=True)
class PhotoDetails:
    """What the library knows of one photo; see `results.Match` for the units.

    `latitude` and `longitude` are degrees, None unless they were asked for and the library keeps them.
    `labels` are those that classification gave it.
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


@dataclass(frozen=True, slots=True)
class PhotoFile:
    """A photo to be sent: its bytes, their media type, and a file name for saving it."""

    data: bytes
    media_type: str
    name: str


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A small JPEG; `tag` changes when the photo does (an HTTP entity tag)."""

    data: bytes
    tag: str


@dataclass(frozen=True, slots=True)
class FailedFile:
    """A file that could not be read as a photo."""

    path: Path
    reason: str
    date: str


@dataclass(frozen=True, slots=True)
class LabelPhotos:
    """A label that photos have, for the label filter, and how many do."""

    label: str
    photos: int


JobState = Literal["running", "done", "failed", "stopped"]


@dataclass(frozen=True, slots=True)
class Job:
    """An indexing run. Counts are files; `total` is None until all folders are walked.

    `photos` is how many photos the library holds; `notes` are lines a person should see, `error` why it
    failed. Times are seconds since 1970.
    """

    id: str
    state: JobState
    what: str
    """What it does, in one line."""
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
        return self.state == "running"


@dataclass(frozen=True, slots=True)
class Health:
    """Whether requests can be answered; `problems` say what is wrong and what to do."""

    ok: bool
    photos: int | None
    model: str | None
    problems: tuple[str, ...] = field(default=())


def json_safe(text: object) -> str:
    """The text, or path, as JSON can hold it: names of files need not be UTF-8."""
    return str(text).encode(errors="backslashreplace").decode()
