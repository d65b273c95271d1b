"""EXIF metadata of a photo: date, camera, orientation and position.

Missing, damaged and invalid values are ignored; no error is raised.
Tag numbers are those of the EXIF standard, CIPA DC-008 (TIFF 6.0 for the first directory).
"""

import math
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from clipsight.core.text import nfc
from clipsight.indexing.media.dates import local_time, parse_date

if TYPE_CHECKING:
    from PIL import Image

ORIENTATION = 0x0112
_MAKE, _MODEL, _DATE_TIME = 0x010F, 0x0110, 0x0132
_EXIF_IFD, _GPS_IFD = 0x8769, 0x8825
_DATE_TIME_ORIGINAL, _DATE_TIME_DIGITIZED = 0x9003, 0x9004
_OFFSETS = (0x9011, 0x9012, 0x9010)
"""OffsetTimeOriginal, OffsetTimeDigitized and OffsetTime: hours and minutes of local time ahead of UTC."""
_LATITUDE_REF, _LATITUDE, _LONGITUDE_REF, _LONGITUDE, _GPS_TIME, _GPS_DATE = 1, 2, 3, 4, 7, 29

_MAX_CAMERA_LENGTH = 100
_OFFSET = re.compile(r"\s*([+-])(\d\d):?(\d\d)")

_Tags = Mapping[int, object]


class Exif:
    """EXIF block of a picture. Directories are parsed when they are first needed."""

    def __init__(self, image: "Image.Image") -> None:
        try:
            self._block = image.getexif()
        except Exception:  # the parser of a damaged block raises many types
            from PIL import Image

            self._block = Image.Exif()

    @property
    def orientation(self) -> int:
        """Orientation, 1 to 8; 1 (upright) if there is no valid one."""
        return valid_orientation(self._tag(ORIENTATION))

    @property
    def camera(self) -> str | None:
        """Maker and model."""
        return camera_name(self._tag(_MAKE), self._tag(_MODEL))

    @property
    def date(self) -> datetime | None:
        """Date of the exposure, else of digitization, else of the file, in the camera's local time."""
        if not self._block:
            return None
        details = self._directory(_EXIF_IFD)
        for tag in (_DATE_TIME_ORIGINAL, _DATE_TIME_DIGITIZED, _DATE_TIME):
            date = parse_date(text_of(details.get(tag) or self._tag(tag)))
            if date is not None:
                return date
        return None

    @property
    def gps_date(self) -> datetime | None:
        """Date of the satellites, which is UTC, in the camera's local time, or this machine's if unknown."""
        if not self._block:
            return None
        gps = self._directory(_GPS_IFD)
        date = parse_date(text_of(gps.get(_GPS_DATE)))
        time = _numbers(gps.get(_GPS_TIME))
        if date is None or time is None or not all(0 <= part <= 60 for part in time):
            return date
        hours, minutes, seconds = time
        moment = date + timedelta(hours=hours, minutes=minutes, seconds=int(seconds))
        offset = self._utc_offset()
        return local_time(moment) if offset is None else moment + offset

    @property
    def position(self) -> tuple[float | None, float | None]:
        """Latitude and longitude in degrees, both or neither."""
        gps = self._directory(_GPS_IFD) if self._block else {}
        latitude = _degrees(gps.get(_LATITUDE), gps.get(_LATITUDE_REF), "S")
        longitude = _degrees(gps.get(_LONGITUDE), gps.get(_LONGITUDE_REF), "W")
        return valid_position(latitude, longitude)

    def _tag(self, tag: int) -> object:
        return self._block.get(tag) if self._block else None

    def _directory(self, tag: int) -> _Tags:
        try:
            return self._block.get_ifd(tag)
        except Exception:  # as of the whole block
            return {}

    def _utc_offset(self) -> timedelta | None:
        details = self._directory(_EXIF_IFD)
        for tag in _OFFSETS:
            found = _OFFSET.match(text_of(details.get(tag)))
            if found and int(found[2]) <= 14 and int(found[3]) < 60:
                offset = timedelta(hours=int(found[2]), minutes=int(found[3]))
                return -offset if found[1] == "-" else offset
        return None


def valid_orientation(value: object) -> int:
    """Return an EXIF orientation, 1 to 8; 1 (upright) for any other value."""
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def valid_position(latitude: float | None, longitude: float | None) -> tuple[float | None, float | None]:
    """Return the position, in degrees, rounded to about 10 cm; None twice if it is out of range, or 0, 0."""
    if latitude is None or longitude is None or latitude == longitude == 0:  # cameras write 0, 0 for no fix
        return None, None
    if not (abs(latitude) <= 90 and abs(longitude) <= 180):
        return None, None
    return round(latitude, 6), round(longitude, 6)


def camera_name(make: object, model: object) -> str | None:
    """Join maker and model without repeating the maker: `Canon EOS 5D`, `Apple iPhone 15`."""
    maker, name = _name(make), _name(model)
    if maker and name and maker.split()[0].lower() != name.split()[0].lower():
        name = f"{maker} {name}"
    return (name or maker)[:_MAX_CAMERA_LENGTH] or None


def text_of(value: object) -> str:
    """Text of a tag, in NFC, with spaces for NULs; empty for other values."""
    return " ".join(map(_decode, _parts(value)))


def _name(value: object) -> str:
    """Text of a tag up to its first NUL, printable, with single spaces."""
    text = _decode(_parts(value)[0])
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


def _parts(value: object) -> list[bytes]:
    """Bytes of a text between its NULs; Pillow reads every text as Latin-1."""
    content = value if isinstance(value, bytes) else b""
    if isinstance(value, str):
        try:
            content = value.encode("latin-1")
        except UnicodeEncodeError:
            content = value.encode("utf-8", "replace")
    return content.split(b"\0")


def _decode(content: bytes) -> str:
    """Text in NFC; the standard allows ASCII only, cameras write UTF-8, or Latin-1."""
    try:
        return nfc(content.decode("utf-8"))
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _degrees(parts: object, reference: object, negative: str) -> float | None:
    """Degrees, minutes and seconds as a signed number."""
    numbers = _numbers(parts)
    if numbers is None:
        return None
    degrees, minutes, seconds = numbers
    angle = degrees + minutes / 60 + seconds / 3600
    if angle < 0:
        return None
    return -angle if _name(reference).upper() == negative else angle


def _numbers(parts: object) -> tuple[float, float, float] | None:
    """Three finite numbers, or None."""
    try:
        first, second, third = (float(part) for part in parts)  # type: ignore[attr-defined]
    except Exception:  # wrong count, wrong type, a rational with denominator 0
        return None
    return (first, second, third) if all(map(math.isfinite, (first, second, third))) else None
