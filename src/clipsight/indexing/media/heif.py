"""Validation of HEIC files before pi-heif reads them: some damage would crash the process."""

from collections.abc import Iterator

from clipsight.core.errors import PhotoError


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


def _boxes(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield the type and the start and end of the content of each box between two offsets."""
    while start + 8 <= end:
        size, content = int.from_bytes(data[start : start + 4]), start + 8
        if size == 1:
            size, content = int.from_bytes(data[content : content + 8]), start + 16
        elif size == 0:  # the last box
            size = end - start
        if start + size < content:
            return
        yield data[start + 4 : start + 8], content, min(start + size, end)
        start += size
