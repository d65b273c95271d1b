"""A JPEG without what it tells beside its picture: place, names, times, previews. Called by `pictures` only.

The segments of a JPEG are those of ITU-T T.81, annex B; APP1 holds EXIF and XMP,
APP13 IPTC, and phones append videos, depth maps and second pictures, each with its own EXIF, behind the end.
"""

import io
import struct

from PIL import Image

from clipsight.indexing.media.exif import ORIENTATION, read_metadata

_KEPT_APPS = {0xE0, 0xEE}  # JFIF; Adobe's, which tells how colours are coded
_ICC = b"ICC_PROFILE\0"
_STANDALONE = {0x01, *range(0xD0, 0xD8)}
_SOI, _EOI, _SOS = 0xD8, 0xD9, 0xDA


def without_metadata(data: bytes) -> bytes | None:
    """The JPEG with its pixels as they are, its colour profile and its orientation, and nothing else.

    None for what is no JPEG, and where its structure can't be followed to the end.
    """
    if data[:2] != b"\xff\xd8":
        return None
    kept = [b"\xff\xd8", _orientation_of(data)]
    at = 2
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            return None
        marker = data[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        if marker == _EOI:
            return b"".join([*kept, b"\xff\xd9"])
        if marker in _STANDALONE:
            at += 2
            continue
        (length,) = struct.unpack_from(">H", data, at + 2)
        end = at + 2 + length
        if marker == _SOS:
            end = _end_of_scan(data, end)
        if length < 2 or end > len(data):
            return None
        if _is_kept(marker, data[at + 4 : at + 4 + len(_ICC)]):
            kept.append(data[at:end])
        at = end
    return b"".join([*kept, b"\xff\xd9"]) if data[at : at + 2] == b"\xff\xd9" else None


def _is_kept(marker: int, content: bytes) -> bool:
    if marker == 0xE2:  # colour profiles, but also lists of further pictures
        return content.startswith(_ICC)
    is_comment = marker == 0xFE
    is_app = 0xE0 <= marker <= 0xEF
    return marker in _KEPT_APPS or not (is_app or is_comment)


def _end_of_scan(data: bytes, start: int) -> int:
    """Where the first marker after the entropy-coded data from `start` on begins."""
    at = start
    while True:
        at = data.find(b"\xff", at)
        if at < 0 or at + 1 >= len(data):
            return len(data) + 1
        following = data[at + 1]
        if following == 0xFF:
            at += 1
        elif following == 0 or following in _STANDALONE:
            at += 2
        else:
            return at


def _orientation_of(data: bytes) -> bytes:
    """An EXIF block that holds the orientation of this JPEG only; nothing for an upright one."""
    try:
        with Image.open(io.BytesIO(data), formats=["JPEG"]) as picture:
            orientation = read_metadata(picture, gps=False).orientation
    except Exception:  # Pillow raises whatever it likes; a browser sees what it can of such a file
        orientation = 1
    if orientation == 1:
        return b""
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    block = exif.tobytes()
    return b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block
