"""Readable copies of JPEG and PNG files that lack their end, or have a damaged ancillary chunk."""

import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image

from clipsight.indexing.media.memory import BYTES_PER_PIXEL, DECODING

MIN_SHARE = 0.1
"""Smallest share of a picture, from its top, that is worth decoding."""

_EOI = b"\xff\xd9"
_NOISE = b"\x55" * 64
_PNG = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Mended:
    """A file that a strict reader accepts; `partial` if pixels are missing, which are grey or black in it."""

    data: bytes
    partial: bool


def mend(data: bytes, format_: str, max_pixels: int) -> Mended | None:
    """Mend a JPEG or PNG that could not be decoded.

    None if it is of another format, its header is damaged, or less than `MIN_SHARE` of its pixels is there.
    Of a PNG with more than `max_pixels` pixels no pixels are decompressed.
    """
    try:
        if format_ == "JPEG":
            return _mend_jpeg(data)
        return _mend_png(data, max_pixels) if format_ == "PNG" else None
    except (OSError, SyntaxError, ValueError, struct.error, zlib.error):
        return None


def _mend_jpeg(data: bytes) -> Mended | None:
    """Append the end marker; noise before it changes the pixels if entropy-coded data is missing."""
    data = data.rstrip(b"\xff")
    ended, noisy = data + _EOI, data + _NOISE + _EOI
    changed = _changed_rows(ended, noisy, reduced=True)
    if changed.any() and changed.argmax() < MIN_SHARE * changed.size:
        return None
    with Image.open(io.BytesIO(ended), formats=["JPEG"]) as picture:
        size = 2 * picture.width * picture.height * BYTES_PER_PIXEL
    with DECODING.reserve(size):
        return Mended(ended, bool(changed.any() or _changed_rows(ended, noisy, reduced=False).any()))


def _changed_rows(one: bytes, other: bytes, *, reduced: bool) -> "np.ndarray[tuple[int], np.dtype[np.bool]]":
    """True for each row in which two JPEGs of one size differ, at a scale of 1/8 if `reduced`."""
    pictures = [Image.open(io.BytesIO(each), formats=["JPEG"]) for each in (one, other)]
    if reduced:
        for picture in pictures:
            picture.draft(None, (picture.width // 8, picture.height // 8))
    rows = [np.asarray(picture).reshape(picture.height, -1) for picture in pictures]
    return np.asarray((rows[0] != rows[1]).any(axis=1))


def _mend_png(data: bytes, max_pixels: int) -> Mended | None:
    """Drop ancillary chunks with a wrong checksum; complete the compressed pixels with zeros."""
    chunks = [(kind, body) for kind, body, is_right in _chunks(data) if is_right or kind[:1].isupper()]
    if not chunks or chunks[0][0] != b"IHDR":
        return None
    pixels = b"".join(body for kind, body in chunks if kind == b"IDAT")
    width, height = struct.unpack_from(">II", chunks[0][1])
    partial = False
    if width * height <= max_pixels:
        expected = _raw_size(*struct.unpack(">IIBBBBB", chunks[0][1]))
        completed, found = _complete(pixels, expected)
        if found < MIN_SHARE * expected:
            return None
        if found < expected:
            pixels, partial = completed, True
    before = [(kind, body) for kind, body in chunks if kind not in (b"IDAT", b"IEND")]
    mended = [*before, (b"IDAT", pixels), (b"IEND", b"")]
    return Mended(_PNG + b"".join(_chunk(*each) for each in mended), partial)


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes, bool]]:
    """Yield the type and content of each chunk, and True if its checksum is right; the last may be cut."""
    at = len(_PNG)
    while at + 8 <= len(data):
        (size,) = struct.unpack_from(">I", data, at)
        end = at + 8 + size
        checksum = data[end : end + 4]
        yield data[at + 4 : at + 8], data[at + 8 : end], checksum == _checksum(data[at + 4 : end])
        at = end + 4


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + _checksum(kind + body)


def _checksum(data: bytes) -> bytes:
    return struct.pack(">I", zlib.crc32(data))


def _raw_size(
    width: int, height: int, bits: int, colour: int, _compression: int, _filter: int, interlaced: int
) -> int:
    """Number of bytes of the filtered rows (PNG specification, 7.2 and 8)."""
    size = 0
    for left, top, step, down in _ADAM7 if interlaced else ((0, 0, 1, 1),):
        columns, rows = -(-(width - left) // step), -(-(height - top) // down)
        if columns > 0 and rows > 0:
            size += rows * (1 + (columns * bits * _CHANNELS.get(colour, 1) + 7) // 8)
    return size


def _complete(pixels: bytes, expected: int) -> tuple[bytes, int]:
    """A zlib stream of `expected` bytes that begins as `pixels` does, and the number of bytes found there."""
    source, target = zlib.decompressobj(), zlib.compressobj(1)
    out, found = [], 0
    while found < expected and (block := source.decompress(pixels, min(_BLOCK, expected - found))):
        pixels = source.unconsumed_tail
        found += len(block)
        out.append(target.compress(block))
    for start in range(found, expected, _BLOCK):
        out.append(target.compress(bytes(min(_BLOCK, expected - start))))
    return b"".join(out) + target.flush(), found
