"""EXIF metadata of a photo: date, camera, orientation and position.

Missing, damaged and invalid values are ignored; no error is raised.
Tag numbers are those of the EXIF standard, CIPA DC-008 (TIFF 6.0 for the first directory).
"""

import math
import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from PIL import Image

from clipsight.core.text import nfc

ORIENTATION = 0x0112
_MAKE, _MODEL, _DATE_TIME = 0x010F, 0x0110, 0x0132
_EXIF_IFD, _GPS_IFD = 0x8769, 0x8825
_DATE_TIME_ORIGINAL, _DATE_TIME_DIGITIZED = 0x9003, 0x9004
_LATITUDE_REF, _LATITUDE, _LONGITUDE_REF, _LONGITUDE = 1, 2, 3, 4

_FIRST_PHOTO_YEAR = 1826
_MAX_CAMERA_LENGTH = 100
_DATE = re.compile(
    r"\s*(\d{4})\s*[:/.-]\s*(\d{1,2})\s*[:/.-]\s*(\d{1,2})(?!\d)"
    r"(?:[T\s]+(\d{1,2})[:.](\d{1,2})(?:[:.](\d{1,2}))?(?:\.\d+)?\s*([AaPp][Mm])?)?"
)


@dataclass(frozen=True, slots=True)
class ExifMetadata:
    """EXIF metadata; `taken` is ISO 8601 in the camera's local time, angles are in degrees."""

    orientation: int = 1
    taken: str | None = None
    camera: str | None = None
    latitude: float | None = None
    longitude: float | None = None


def read_metadata(image: Image.Image, *, gps: bool) -> ExifMetadata:
    """Read the EXIF block of `image`; the position only with `gps`."""
    exif = _exif(image)
    if not exif:
        return ExifMetadata()
    details = _directory(exif, _EXIF_IFD)
    dates = (details.get(_DATE_TIME_ORIGINAL), details.get(_DATE_TIME_DIGITIZED), exif.get(_DATE_TIME))
    latitude, longitude = _position(_directory(exif, _GPS_IFD)) if gps else (None, None)
    return ExifMetadata(
        orientation=valid_orientation(exif.get(ORIENTATION)),
        taken=next((date for date in map(parse_date, dates) if date), None),
        camera=camera_name(exif.get(_MAKE), exif.get(_MODEL)),
        latitude=latitude,
        longitude=longitude,
    )


def valid_orientation(value: object) -> int:
    """Return an EXIF orientation, 1 to 8; 1 (upright) for any other value."""
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def parse_date(value: object) -> str | None:
    """Convert EXIF's `YYYY:MM:DD HH:MM:SS` (and its common variants) to ISO 8601 to the second.

    A time that can't be is midnight; 24:00:00 is the next day, and second 60 is 59. None if the day is not a
    date (zeros, blanks, month 13), its year is before 1826 or after the next year, or a camera's default.
    """
    match = _DATE.match(_text(value))
    if not match:
        return None
    year, month, day, hour, minute, second = (int(part or 0) for part in match.groups()[:6])
    half = (match[7] or "").lower()
    if half and 1 <= hour <= 12:
        hour = hour % 12 + (12 if half == "pm" else 0)
    try:
        date = datetime(year, month, day)
    except ValueError:
        return None
    if not _FIRST_PHOTO_YEAR <= year <= datetime.now().year + 1:
        return None
    if (hour, minute, second) == (24, 0, 0):
        date += timedelta(days=1)
    elif hour < 24 and minute < 60 and second <= 60:
        date = date.replace(hour=hour, minute=minute, second=min(second, 59))
    return None if _is_default(date) else date.isoformat(timespec="seconds")


def _is_default(date: datetime) -> bool:
    """True for dates of cameras whose clock was never set."""
    return (date.year, date.month, date.day) == (1980, 1, 1) or date == datetime(2002, 12, 8, 12)


def date_of_file(mtime_ns: int) -> str:
    """Convert a file's modification time to ISO 8601 local time; out-of-range times become the epoch."""
    try:
        return datetime.fromtimestamp(mtime_ns // 1_000_000_000).isoformat(timespec="seconds")
    except (OverflowError, ValueError, OSError):
        return datetime.fromtimestamp(0).isoformat(timespec="seconds")


def camera_name(make: object, model: object) -> str | None:
    """Join maker and model without repeating the maker: `Canon EOS 5D`, `Apple iPhone 15`."""
    maker, name = _text(make), _text(model)
    if maker and name and maker.split()[0].lower() != name.split()[0].lower():
        name = f"{maker} {name}"
    return (name or maker)[:_MAX_CAMERA_LENGTH] or None


def _exif(image: Image.Image) -> dict[int, object] | Image.Exif:
    try:
        return image.getexif()
    except Exception:  # the parser of a damaged block raises many types
        return {}


def _directory(exif: dict[int, object] | Image.Exif, tag: int) -> dict[int, object]:
    try:
        return exif.get_ifd(tag) if isinstance(exif, Image.Exif) else {}
    except Exception:  # as above
        return {}


def _text(value: object) -> str:
    """Text of a tag up to its first NUL, printable, in NFC, with single spaces.

    The standard allows ASCII only; cameras write UTF-8, or Latin-1, as which Pillow reads every text.
    """
    if isinstance(value, str):
        try:
            content = value.encode("latin-1")
        except UnicodeEncodeError:
            content = value.encode("utf-8", "replace")
    elif isinstance(value, bytes):
        content = value
    else:
        return ""
    content = content.partition(b"\0")[0]
    try:
        text = nfc(content.decode("utf-8"))
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _position(gps: dict[int, object]) -> tuple[float | None, float | None]:
    latitude = _degrees(gps.get(_LATITUDE), gps.get(_LATITUDE_REF), "S", 90)
    longitude = _degrees(gps.get(_LONGITUDE), gps.get(_LONGITUDE_REF), "W", 180)
    if latitude is None or longitude is None or latitude == longitude == 0:  # cameras write 0, 0 for no fix
        return None, None
    return latitude, longitude


def _degrees(parts: object, reference: object, negative: str, limit: int) -> float | None:
    """Degrees, minutes and seconds as a signed number, rounded to about 10 cm; None if out of range."""
    try:
        degrees, minutes, seconds = (float(part) for part in parts)  # type: ignore[attr-defined]
    except Exception:  # wrong count, wrong type, a rational with denominator 0
        return None
    angle = degrees + minutes / 60 + seconds / 3600
    if not math.isfinite(angle) or not 0 <= angle <= limit:
        return None
    return round(-angle if _text(reference).upper() == negative else angle, 6)
