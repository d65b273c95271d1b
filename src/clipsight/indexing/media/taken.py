"""The date of a photo: of all sources, in order, the first that has a date to believe.

`exif`, `xmp`, `png` (its texts) and `gps` lie in the photo's file; `sidecar` (XMP), `name` and `takeout`
beside it; `modified` (a PNG's time of the last change) in it again. `mtime`, the file's modification time, is
the last.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import IO

from PIL import Image

from clipsight.indexing.media import png, takeout, xmp
from clipsight.indexing.media.exif import Exif
from clipsight.indexing.media.file_names import date_in_name
from clipsight.indexing.media.sidecars import XMP_SUFFIX, read_sidecar
from clipsight.store.records import PhotoInfo

_SOURCES = ("exif", "xmp", "png", "gps", "sidecar", "name", "takeout", "modified", "mtime")
"""Names of the sources, in order, as the catalog has them (`taken_source`)."""
_BESIDE = ("sidecar", "name", "takeout")
_Source = tuple[str, Callable[[], datetime | None]]


@dataclass(frozen=True, slots=True)
class Taken:
    """Date of a photo, ISO 8601 in local time, to the second, and the name of its source."""

    date: str
    source: str


@dataclass(frozen=True, slots=True)
class Beside:
    """Metadata that a photo's name, and files beside it, have: date, and position in degrees."""

    taken: Taken | None = None
    latitude: float | None = None
    longitude: float | None = None


def taken_in(picture: Image.Image, exif: Exif, file: IO[bytes]) -> Taken | None:
    """Date that the file of a photo holds; `file` is its content. Sources are read as far as needed."""
    sources: list[_Source] = [("exif", lambda: exif.date), ("xmp", lambda: xmp.xmp_date(picture))]
    is_png = picture.format == "PNG"
    if is_png:
        sources.append(("png", lambda: png.text_date(picture.info)))
    sources.append(("gps", lambda: exif.gps_date))
    if is_png:
        sources.append(("modified", lambda: png.change_date(file)))
    return _first(sources)


def read_beside(folder: bytes, name: bytes, sidecars: Sequence[bytes]) -> Beside:
    """Read the metadata of the photo `name` in its name, and in the files `sidecars` of the same folder."""
    packets: list[datetime | None] = []
    exported = takeout.TakeoutMetadata()
    for sidecar in sidecars:
        path = os.path.join(folder, sidecar)
        if sidecar.lower().endswith(XMP_SUFFIX):
            packets.append(xmp.parse_xmp(read_sidecar(path, xmp.MAX_BYTES)))
        else:
            exported = takeout.parse_takeout(read_sidecar(path, takeout.MAX_BYTES))
    sources: list[_Source] = [
        ("sidecar", lambda: next(filter(None, packets), None)),
        ("name", lambda: date_in_name(os.fsdecode(name))),
        ("takeout", lambda: exported.taken),
    ]
    return Beside(_first(sources), exported.latitude, exported.longitude)


def taken_at_mtime(mtime_ns: int) -> Taken:
    """Date of a file's modification time, in ns since 1970; the epoch for one that no date can have."""
    try:
        date = datetime.fromtimestamp(mtime_ns // 1_000_000_000)
    except (OverflowError, ValueError, OSError):
        date = datetime.fromtimestamp(0)
    return Taken(date.isoformat(timespec="seconds"), "mtime")


def is_complete(info: PhotoInfo, *, gps: bool) -> bool:
    """True if nothing beside the photo can add to its metadata, with `gps` to its position."""
    return _rank(info.taken_source) < _rank(_BESIDE[0]) and (info.latitude is not None or not gps)


def with_beside(info: PhotoInfo, beside: Beside, *, gps: bool) -> PhotoInfo:
    """Return the metadata with a date from beside the photo if its source is as good or better.

    With `gps`, an unknown position comes from there, too.
    """
    if beside.taken and _rank(beside.taken.source) <= _rank(info.taken_source):
        info = replace(info, taken=beside.taken.date, taken_source=beside.taken.source)
    if gps and info.latitude is None:
        info = replace(info, latitude=beside.latitude, longitude=beside.longitude)
    return info


def without_beside(info: PhotoInfo, mtime_ns: int) -> PhotoInfo:
    """Return the metadata with the modification time in place of a date from beside the photo."""
    if info.taken_source not in _BESIDE:
        return info
    taken = taken_at_mtime(mtime_ns)
    return replace(info, taken=taken.date, taken_source=taken.source)


def _rank(source: str | None) -> int:
    """Place in the order; the last for none, and for those of later versions."""
    return _SOURCES.index(source) if source in _SOURCES else len(_SOURCES)


def _first(sources: Sequence[_Source]) -> Taken | None:
    for source, read in sources:
        date = read()
        if date is not None:
            return Taken(date.isoformat(timespec="seconds"), source)
    return None
