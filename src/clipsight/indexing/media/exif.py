"""What a photo's EXIF block tells: when it was taken, by which camera, how it was held, and where.

Nothing here fails a photo: a block that is missing, damaged or absurd counts as not there.
Tag numbers are those of the EXIF standard, CIPA DC-008 (TIFF 6.0 for the first directory).
"""

import math
import re
from dataclasses import dataclass
from datetime import datetime

from PIL import Image

ORIENTATION = 0x0112
_MAKE, _MODEL, _DATE_TIME = 0x010F, 0x0110, 0x0132
_EXIF_IFD, _GPS_IFD = 0x8769, 0x8825
_DATE_TIME_ORIGINAL, _DATE_TIME_DIGITIZED = 0x9003, 0x9004
_LATITUDE_REF, _LATITUDE, _LONGITUDE_REF, _LONGITUDE = 1, 2, 3, 4

_FIRST_PHOTOGRAPH = 1826
_LONGEST_NAME = 100
_DATE = re.compile(r"\s*(\d{4})[:/.-](\d{1,2})[:/.-](\d{1,2})[T\s]+(\d{1,2}):(\d{1,2})(?::(\d{1,2}))?")


@dataclass(frozen=True, slots=True)
class Metadata:
    """What was found; `taken` is ISO 8601 in the camera's local time, angles are in degrees."""

    orientation: int = 1
    taken: str | None = None
    camera: str | None = None
    latitude: float | None = None
    longitude: float | None = None


def read_metadata(image: Image.Image, *, gps: bool) -> Metadata:
    """Read what `image`'s EXIF block holds; the place only if `gps` is asked for."""
    exif = _exif(image)
    if not exif:
        return Metadata()
    details = _directory(exif, _EXIF_IFD)
    dates = (details.get(_DATE_TIME_ORIGINAL), details.get(_DATE_TIME_DIGITIZED), exif.get(_DATE_TIME))
    latitude, longitude = _place(_directory(exif, _GPS_IFD)) if gps else (None, None)
    return Metadata(
        orientation=valid_orientation(exif.get(ORIENTATION)),
        taken=next((date for date in map(parse_date, dates) if date), None),
        camera=camera_name(exif.get(_MAKE), exif.get(_MODEL)),
        latitude=latitude,
        longitude=longitude,
    )


def valid_orientation(value: object) -> int:
    """The EXIF orientation, 1 to 8; 1, upright, for anything else."""
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def parse_date(value: object) -> str | None:
    """EXIF's `YYYY:MM:DD HH:MM:SS` (and its common misspellings) as ISO 8601 to the second.

    None for what is not a date: zeros, blanks, a month 13, a year before photography or after the next one.
    """
    match = _DATE.match(_text(value))
    if not match:
        return None
    try:
        date = datetime(*(int(part or 0) for part in match.groups()))  # type: ignore[arg-type]
    except ValueError:
        return None
    if not _FIRST_PHOTOGRAPH <= date.year <= datetime.now().year + 1:
        return None
    return date.isoformat(timespec="seconds")


def date_of_file(mtime_ns: int) -> str:
    """A file's modification time as ISO 8601 local time; the epoch where the clock value has no date."""
    try:
        return datetime.fromtimestamp(mtime_ns // 1_000_000_000).isoformat(timespec="seconds")
    except (OverflowError, ValueError, OSError):
        return datetime.fromtimestamp(0).isoformat(timespec="seconds")


def camera_name(make: object, model: object) -> str | None:
    """Maker and model without the maker's name twice: `Canon EOS 5D`, `Apple iPhone 15`."""
    maker, name = _text(make), _text(model)
    if maker and name and maker.split()[0].lower() != name.split()[0].lower():
        name = f"{maker} {name}"
    return (name or maker)[:_LONGEST_NAME] or None


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
    """A tag's text up to its first NUL, printable, with single spaces."""
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    if not isinstance(value, str):
        return ""
    value = value.partition("\0")[0]
    return " ".join("".join(c if c.isprintable() else " " for c in value).split())


def _place(gps: dict[int, object]) -> tuple[float | None, float | None]:
    latitude = _degrees(gps.get(_LATITUDE), gps.get(_LATITUDE_REF), "S", 90)
    longitude = _degrees(gps.get(_LONGITUDE), gps.get(_LONGITUDE_REF), "W", 180)
    if latitude is None or longitude is None or latitude == longitude == 0:  # cameras write 0, 0 for no fix
        return None, None
    return latitude, longitude


def _degrees(parts: object, reference: object, negative: str, limit: int) -> float | None:
    """Degrees, minutes and seconds as one signed number, rounded to about 10 cm; None unless in range."""
    try:
        degrees, minutes, seconds = (float(part) for part in parts)  # type: ignore[attr-defined]
    except Exception:  # wrong count, wrong type, a rational with denominator 0
        return None
    angle = degrees + minutes / 60 + seconds / 3600
    if not math.isfinite(angle) or not 0 <= angle <= limit:
        return None
    return round(-angle if _text(reference).upper() == negative else angle, 6)
