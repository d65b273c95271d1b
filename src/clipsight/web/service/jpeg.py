"""Removal of all metadata from a JPEG: places, names, times, previews.

Source: ITU-T T.81, annex B. APP1 segments hold EXIF and XMP, APP13 holds IPTC, and phones append videos,
depth maps and more pictures, each with EXIF of its own, after the end of the image.
"""

import io
import struct

from PIL import Image

from clipsight.indexing.media.exif import ORIENTATION, Exif

_KEPT_APPS = {0xE0, 0xEE}  # JFIF; Adobe's, which defines the colour transform
_ICC = b"ICC_PROFILE\0"
_STANDALONE = {0x01, *range(0xD0, 0xD8)}
_SOI, _EOI, _SOS = 0xD8, 0xD9, 0xDA


def strip_metadata(data: bytes) -> bytes | None:
    """The JPEG with unchanged pixels, its colour profile and its orientation, and nothing else.

    None if it is not a JPEG, or its structure can't be parsed to the end.
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
    if marker == 0xE2:  # colour profiles, but also indexes of more pictures
        return content.startswith(_ICC)
    is_comment = marker == 0xFE
    is_app = 0xE0 <= marker <= 0xEF
    return marker in _KEPT_APPS or not (is_app or is_comment)


def _end_of_scan(data: bytes, start: int) -> int:
    """Offset of the first marker after the entropy-coded data that begins at `start`."""
    at = start
    while True:
        at = data.find(b"\xff", at)
        if at < 0 or at + 1 >= len(data):
            return len(data) + 1
        next_byte = data[at + 1]
        if next_byte == 0xFF:
            at += 1
        elif next_byte == 0 or next_byte in _STANDALONE:
            at += 2
        else:
            return at


def _orientation_of(data: bytes) -> bytes:
    """An EXIF segment with nothing but the orientation of this JPEG; empty for an upright one."""
    try:
        with Image.open(io.BytesIO(data), formats=["JPEG"]) as picture:
            orientation = Exif(picture).orientation
    except Exception:  # Pillow raises many types; a browser shows what it can of such a file
        orientation = 1
    if orientation == 1:
        return b""
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    block = exif.tobytes()
    return b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block
