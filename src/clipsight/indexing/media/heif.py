"""HEIC files by pi-heif, after a look at their boxes (ISO/IEC 14496-12; ISO/IEC 23008-12)."""

import struct
from collections.abc import Iterator
from typing import IO, Any

from PIL import ImageFile

from clipsight.core.errors import PhotoError

_PADDING = 64
"""Pixels a side by which encoders enlarge a picture, to whole blocks; it is cropped again."""


def open_heif(file: IO[bytes], name: str) -> ImageFile.ImageFile:
    """Read the header. Raises PhotoError with the reason, and anything if the file is damaged.

    The picture's `stored_size` is the width and height that are decoded, of which it may be a crop.
    libheif shows what it has of a file that is cut short, and black; here, it is an OSError.
    """
    from pi_heif.as_plugin import HeifImageFile

    data = file.read()
    check_item_types(data)
    kind, _, end = next(reversed([*_boxes(data, 0, len(data), is_whole=False)]), (b"", 0, 0))
    if kind == b"mdat" and end > len(data):
        raise OSError("truncated")
    file.seek(0)
    try:
        picture: Any = HeifImageFile(file, name)
    except Exception as error:
        if end != len(data):
            raise OSError("truncated") from error
        raise
    padded = (picture.width + _PADDING) * (picture.height + _PADDING)
    crops = [(width, height) for width, height in _stored_sizes(data) if width * height > padded]
    picture.stored_size = max(crops, key=lambda size: size[0] * size[1], default=picture.size)
    assert isinstance(picture, ImageFile.ImageFile)
    return picture


def check_item_types(data: bytes) -> None:
    """Raise PhotoError if an item has a type or content type that is not UTF-8.

    pi-heif (1.4.0 at least) converts both to Python strings in `_CtxImage_metadata` without checking the
    result: a single damaged byte is a segmentation fault. Boxes are those of ISO/IEC 14496-12:
    `infe`, item information entries, in `iinf` in `meta`.
    """
    for kind, start, end in _boxes(data, 0, len(data)):
        if kind == b"meta":
            _check_meta(data, start + 4, end)


def _check_meta(data: bytes, start: int, end: int) -> None:
    for kind, first, last in _boxes(data, start, end):
        if kind == b"iinf":
            entries = first + (6 if data[first : first + 1] == b"\0" else 8)  # version 0 counts in 2 bytes
            for entry, inside, beyond in _boxes(data, entries, last):
                if entry == b"infe" and not _is_text(_strings(data[inside:beyond])):
                    raise PhotoError("damaged HEIF: the type of an item is not text")


def code_points(data: bytes) -> tuple[int, int] | None:
    """Colour primaries and transfer characteristics of the first property `colr` of type `nclx`."""
    for first, last in _properties(data, b"colr"):
        if data[first : first + 4] == b"nclx" and first + 8 <= last:
            primaries, transfer = struct.unpack_from(">HH", data, first + 4)
            return primaries, transfer
    return None


def _stored_sizes(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield width and height of each property `ispe`."""
    for first, last in _properties(data, b"ispe"):
        if first + 12 <= last:
            width, height = struct.unpack_from(">II", data, first + 4)
            yield width, height


def _properties(data: bytes, wanted: bytes) -> list[tuple[int, int]]:
    """Start and end of the content of properties of a type, in `ipco` in `iprp` in `meta`."""
    inside = [(0, len(data))]
    for kind, skipped in ((b"meta", 4), (b"iprp", 0), (b"ipco", 0), (wanted, 0)):
        inside = [
            (first + skipped, last)
            for start, end in inside
            for found, first, last in _boxes(data, start, end)
            if found == kind
        ]
    return inside


def _strings(entry: bytes) -> bytes:
    """Type of an item, four bytes, and its content type, which follows the name if the type is `mime`."""
    start = 10 if entry[:1] == b"\3" else 8  # after version, flags, item number of 4 or 2 bytes, protection
    content_type = entry[start + 4 :].split(b"\0")[1:2]
    return entry[start : start + 4] + b"".join(content_type)


def _is_text(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _boxes(data: bytes, start: int, end: int, *, is_whole: bool = True) -> Iterator[tuple[bytes, int, int]]:
    """Yield the type and the start and end of the content of each box between two offsets.

    The last may end behind the data, unless `is_whole`.
    """
    while start + 8 <= end:
        size, content = int.from_bytes(data[start : start + 4]), start + 8
        if size == 1:
            size, content = int.from_bytes(data[content : content + 8]), start + 16
        elif size == 0:  # the last box
            size = end - start
        if start + size < content:
            return
        yield data[start + 4 : start + 8], content, min(start + size, end) if is_whole else start + size
        start += size
