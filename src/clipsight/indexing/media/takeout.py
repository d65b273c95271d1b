"""Sidecars of Google Takeout: a JSON file beside each photo of Google Photos, with its date and position.

Takeout names them after the photo: `IMG.jpg.json`, since 2024 `IMG.jpg.supplemental-metadata.json`; beside
`IMG(1).jpg`, `IMG.jpg(1).json` or `IMG.jpg.supplemental-metadata(1).json`. The name before the number and
`.json` is cut after 46 characters, wherever that is. An edited copy, `IMG-edited.jpg` in the user's language,
has none: its original's is used.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from os.path import splitext

from clipsight.indexing.media.dates import from_timestamp
from clipsight.indexing.media.exif import valid_position

MAX_BYTES = 1 << 20
"""Longest file that is read; they have a kilobyte or two."""

_MAX_LENGTH = 46
_ADDED = ".supplemental-metadata"
_NUMBER = re.compile(r"\((\d+)\)$")
_EDITED = re.compile(r"(?<=.)-[^\d-]*$", re.DOTALL)

Key = tuple[str, str]
"""Common part of the names of a photo and of its sidecar: a name, cut, and the number of a copy."""


@dataclass(frozen=True, slots=True)
class TakeoutMetadata:
    """Date, in local time, and position, in degrees, of a photo in Google Photos."""

    taken: datetime | None = None
    latitude: float | None = None
    longitude: float | None = None


def parse_takeout(content: bytes) -> TakeoutMetadata:
    """Parse a sidecar; what is missing or invalid, such as the position 0, 0, is None."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return TakeoutMetadata()
    taken = _timestamp(_member(_member(found, "photoTakenTime"), "timestamp"))
    for key in ("geoData", "geoDataExif"):
        place = _member(found, key)
        latitude, longitude = valid_position(_number(place, "latitude"), _number(place, "longitude"))
        if latitude is not None:
            return TakeoutMetadata(taken, latitude, longitude)
    return TakeoutMetadata(taken)


def sidecar_key(name: str) -> Key:
    """Key of a sidecar by its name, which ends with `.json`."""
    base, number = _split_number(name[: -len(".json")])
    return _without_added(base), number


def photo_keys(name: str, *, edited: bool = True) -> Iterator[Key]:
    """Yield the keys that the sidecar of the photo `name` may have, the most exact first.

    With `edited`, the photo may be an edited copy.
    """
    stem, suffix = splitext(name)
    base, number = _split_number(stem)
    yield from ((_without_added(_cut(each)), "") for each in (name, stem))
    if number:
        yield from ((_without_added(_cut(each)), number) for each in (base + suffix, base))
    original = _EDITED.sub("", base)
    if edited and original != base:
        copy = f"({number})" if number else ""
        yield from photo_keys(f"{original}{copy}{suffix}", edited=False)
    if number and _cut(base + suffix) != base + suffix:  # of long names, copies may share a sidecar
        yield _without_added(_cut(base + suffix)), ""


def _split_number(name: str) -> tuple[str, str]:
    found = _NUMBER.search(name)
    return (name[: found.start()], found[1]) if found else (name, "")


def _without_added(name: str) -> str:
    """The name without ".supplemental-metadata", or what a cut has left of it."""
    dot = name.rfind(".")
    return name[:dot] if dot > 0 and _ADDED.startswith(name[dot:]) else name


def _cut(name: str) -> str:
    """The first 46 characters as Takeout counts them, in UTF-16."""
    length = 0
    for at, char in enumerate(name):
        length += 2 if char > "\uffff" else 1
        if length > _MAX_LENGTH:
            return name[:at]
    return name


def _member(found: object, key: str) -> object:
    return found.get(key) if isinstance(found, dict) else None


def _number(place: object, key: str) -> float | None:
    value = _member(place, key)
    try:
        return float(value) if isinstance(value, int | float) else None
    except OverflowError:
        return None


def _timestamp(value: object) -> datetime | None:
    """Date of seconds since 1970, a number or its text."""
    text = str(value) if isinstance(value, int | str) else ""
    return from_timestamp(int(text)) if re.fullmatch(r"-?\d{1,12}", text) else None
