"""Rows of the catalog as frozen dataclasses."""

from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from clipsight.core.arrays import Float16


class State(IntEnum):
    """Availability of a photo's file."""

    PRESENT = 0
    UNREACHABLE = 1
    """The folder can't be read now (a disk that is not mounted); the photo is kept and searched."""
    MISSING = 2
    """The file does not exist; kept for `MISSING_DAYS` in case it reappears elsewhere, not searched."""


MISSING_DAYS = 30


@dataclass(frozen=True, slots=True)
class Model:
    """A model whose vectors the catalog stores or will store."""

    id: int
    fingerprint: str
    name: str
    source: str
    dim: int


@dataclass(frozen=True, slots=True)
class Root:
    """A folder that the user asked to index."""

    path: bytes
    options: str
    reachable: bool
    indexed: str | None


@dataclass(frozen=True, slots=True)
class IndexedFile:
    """Properties of a photo's file when it was indexed, to tell if it has changed since."""

    id: int
    size: int
    mtime_ns: int
    device: int
    state: State
    embedded: bool
    partial: bool
    sidecar_stamp: int | None


@dataclass(frozen=True, slots=True)
class FileStat:
    """A file as the scan found it; `size` in bytes, `device` as in `os.stat_result.st_dev`."""

    folder: bytes
    name: bytes
    size: int
    mtime_ns: int
    device: int
    sidecars: tuple[bytes, ...] = ()
    """names of files beside it that may hold its date"""
    sidecar_stamp: int | None = None
    """a number that changes with these files; None if their changes don't matter"""


@dataclass(frozen=True, slots=True)
class PhotoInfo:
    """Metadata of a photo; width and height in pixels, upright, at full size.

    All are None for a photo whose file was never read: its vector was imported.
    """

    width: int | None = None
    height: int | None = None
    format: str | None = None
    """Pillow's name: JPEG, PNG, WEBP, GIF, BMP, TIFF, JPEG2000, PPM, AVIF or HEIF"""
    taken: str | None = None
    """ISO 8601 local time, to the second"""
    taken_source: str | None = None
    """a source of `indexing.media.taken`, such as `exif`"""
    camera: str | None = None
    orientation: int | None = None
    """EXIF orientation, 1 to 8, as stored; already applied to the pixels"""
    latitude: float | None = None
    """degrees; None also if the location was not to be stored"""
    longitude: float | None = None
    partial: str | None = None
    """the reason, if only a part of the picture could be decoded; the rest is grey or black"""


@dataclass(frozen=True, slots=True)
class PhotoRecord:
    """A photo, without its vectors."""

    id: int
    path: bytes
    size: int
    mtime_ns: int
    state: State
    info: PhotoInfo


@dataclass(frozen=True, slots=True)
class EmbeddedPhoto:
    """A photo with its vector, float16[dim]; files with the same content have the same `content_hash`."""

    vector_id: int
    photo_id: int
    path: bytes
    size: int
    content_hash: bytes | None
    state: State
    info: PhotoInfo
    vector: Float16


class RankedRow(NamedTuple):
    """Ids, path, content and state of a photo, on which its place among others depends."""

    vector_id: int
    photo_id: int
    path: bytes
    content_hash: bytes | None
    state: int


@dataclass(frozen=True, slots=True)
class Failure:
    """A file that could not be read as a photo."""

    path: bytes
    reason: str
    date: str


@dataclass(frozen=True, slots=True)
class PartialPhoto:
    """A photo of which only a part could be decoded, with the reason."""

    path: bytes
    reason: str


@dataclass(frozen=True, slots=True)
class Counts:
    """Number of photos in the catalog, by state."""

    present: int
    unreachable: int
    missing: int
