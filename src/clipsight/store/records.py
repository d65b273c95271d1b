"""What the catalog's rows look like outside it: small frozen dataclasses, no behaviour."""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float16]
Ids = npt.NDArray[np.int64]


class State(IntEnum):
    """Whether a photo's file can be had."""

    PRESENT = 0
    UNREACHABLE = 1
    """Its folder can't be read now (a disk that is not mounted): kept and searched."""
    MISSING = 2
    """Its file is gone: kept for `MISSING_DAYS` in case it turns up elsewhere, never shown."""


MISSING_DAYS = 30


@dataclass(frozen=True, slots=True)
class Model:
    """A model the catalog has, or will have, vectors of."""

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
class Known:
    """What the catalog holds of one file name: enough to tell whether it has changed."""

    id: int
    size: int
    mtime_ns: int
    device: int
    state: State
    embedded: bool


@dataclass(frozen=True, slots=True)
class FileStat:
    """A file as the walk saw it."""

    folder: bytes
    name: bytes
    size: int
    mtime_ns: int
    device: int


@dataclass(frozen=True, slots=True)
class Description:
    """What decoding told of a photo; width and height in pixels, upright."""

    width: int | None = None
    height: int | None = None
    format: str | None = None
    taken: str | None = None
    taken_source: str | None = None
    camera: str | None = None
    orientation: int | None = None
    latitude: float | None = None
    longitude: float | None = None


@dataclass(frozen=True, slots=True)
class Hit:
    """A photo with its vector, as search needs it."""

    vector_id: int
    photo_id: int
    path: bytes
    size: int
    state: State
    description: Description
    vector: Vectors


@dataclass(frozen=True, slots=True)
class Failure:
    """A file that could not be read as a photo."""

    path: bytes
    reason: str
    date: str


@dataclass(frozen=True, slots=True)
class Counts:
    """How many photos the catalog holds, by state."""

    present: int
    unreachable: int
    missing: int
