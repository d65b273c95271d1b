"""Dates of a PNG: texts on its creation, and the time at which its picture was last changed.

Not read are the dates that ImageMagick writes of every file, `date:create` and its kin: those of the file on
disk.
"""

import struct
from collections.abc import Mapping
from datetime import datetime
from typing import IO, Any

from clipsight.indexing.media.dates import local_time, parse_date

_KEYWORDS = ("exif:datetimeoriginal", "creation time", "exif:datetimedigitized", "exif:datetime")
"""Keywords in order of precedence: the PNG standard's, and EXIF as ImageMagick keeps it in texts."""
_SIGNATURE_LENGTH = 8
_MAX_CHUNKS = 100_000


def text_date(info: Mapping[Any, Any]) -> datetime | None:
    """Date of creation in the texts of a PNG, `Image.info`; None if there is no valid one."""
    texts = {str(key).lower(): text for key, text in info.items() if isinstance(text, str)}
    return next((date for word in _KEYWORDS if (date := parse_date(texts.get(word, "")))), None)


def change_date(file: IO[bytes]) -> datetime | None:
    """Time of the last change of the picture, chunk tIME, in local time; None if there is no valid one."""
    at = _SIGNATURE_LENGTH
    for _ in range(_MAX_CHUNKS):
        file.seek(at)
        head = file.read(8)
        if len(head) < 8 or head[4:] == b"IEND":
            return None
        if head[4:] == b"tIME":
            return _parse_time_chunk(file.read(7))
        at += 12 + int.from_bytes(head[:4], "big")
    return None


def _parse_time_chunk(content: bytes) -> datetime | None:
    """Year, month, day, hour, minute, second in UTC; a second may be 60."""
    try:
        year, month, day, hour, minute, second = struct.unpack(">H5B", content)
        moment = local_time(datetime(year, month, day, hour, minute, min(second, 59)))
    except (struct.error, ValueError):
        return None
    return None if moment is None else parse_date(moment.isoformat())
