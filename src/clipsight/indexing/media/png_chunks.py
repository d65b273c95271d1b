"""Chunks and compressed pixels of PNG files (PNG specification, third edition)."""

import struct
import zlib
from collections.abc import Iterable, Iterator

MAX_TEXT = 1 << 20
"""Bytes of text and of profiles, decompressed, that are kept; Pillow refuses a file with more in a chunk."""

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
_BLOCK = 1 << 12


def split(data: bytes, before: bytes = b"") -> Iterator[tuple[bytes, bytes, bool]]:
    """Yield the type and content of each chunk, and True if its checksum is right; the last may be cut.

    With `before`, only chunks before the first one of that type, which is not read.
    """
    at = len(_SIGNATURE)
    while at + 8 <= len(data):
        (size,) = struct.unpack_from(">I", data, at)
        if data[at + 4 : at + 8] == before:
            return
        end = at + 8 + size
        checksum = data[end : end + 4]
        yield data[at + 4 : at + 8], data[at + 8 : end], checksum == _checksum(data[at + 4 : end])
        at = end + 4


def join(chunks: Iterable[tuple[bytes, bytes]]) -> bytes:
    """A PNG of these types and contents of chunks."""
    return _SIGNATURE + b"".join(
        struct.pack(">I", len(body)) + kind + body + _checksum(kind + body) for kind, body in chunks
    )


def readable(chunks: Iterable[tuple[bytes, bytes, bool]]) -> Iterator[tuple[bytes, bytes, bool]]:
    """Yield the critical chunks, and the ancillary ones with a right checksum within `MAX_TEXT`."""
    text = 0
    for kind, body, is_right in chunks:
        size = 0 if kind[:1].isupper() else _text_size(kind, body)
        if kind[:1].isupper() or (is_right and text + size <= MAX_TEXT):
            text += size
            yield kind, body, is_right


def _text_size(kind: bytes, body: bytes) -> int:
    """Bytes of a text or colour profile, decompressed, up to a little more than `MAX_TEXT`; else 0."""
    compressed = b""
    if kind in (b"zTXt", b"iCCP"):
        compressed = body.partition(b"\0")[2][1:]
    elif kind == b"iTXt" and body.partition(b"\0")[2][:1] == b"\1":
        compressed = body.partition(b"\0")[2][2:].partition(b"\0")[2].partition(b"\0")[2]
    if not compressed:
        return len(body) if kind in _TEXTS else 0
    try:
        return len(zlib.decompressobj().decompress(compressed, MAX_TEXT + 1))
    except zlib.error:
        return MAX_TEXT + 1


def raw_size(header: bytes) -> int:
    """Number of bytes of the filtered rows, by the content of the chunk IHDR (7.2 and 8)."""
    width, height, bits, colour, _, _, interlaced = struct.unpack(">IIBBBBB", header)
    size = 0
    for left, top, step, down in _ADAM7 if interlaced else ((0, 0, 1, 1),):
        columns, rows = -(-(width - left) // step), -(-(height - top) // down)
        if columns > 0 and rows > 0:
            size += rows * (1 + (columns * bits * _CHANNELS.get(colour, 1) + 7) // 8)
    return size


def complete(pixels: bytes, expected: int) -> tuple[bytes, int, bool]:
    """Compressed pixels of `expected` bytes that begin as `pixels` do and go on with zeros.

    Returns also the number of bytes that `pixels` decompress to, and True if damage ends them. Their checksum
    is not compared.
    """
    target = zlib.compressobj(1)
    out, found, is_damaged = [], 0, False
    try:
        for block in _decompressed(pixels[2:], expected):  # after the header of zlib
            found += len(block)
            out.append(target.compress(block))
    except zlib.error:
        is_damaged = True
    for start in range(found, expected, _BLOCK):
        out.append(target.compress(bytes(min(_BLOCK, expected - start))))
    return b"".join(out) + target.flush(), found, is_damaged


def count(pixels: bytes, expected: int) -> int:
    """Number of bytes that compressed pixels decompress to, up to `expected`."""
    found = 0
    try:
        for block in _decompressed(pixels[2:], expected):
            found += len(block)
    except zlib.error:
        pass
    return found


def _decompressed(deflated: bytes, size: int) -> Iterator[bytes]:
    """Yield at most `size` bytes in small blocks, of which the last before damage is lost.

    A stream that ends as it should, but with less, is damaged.
    """
    source = zlib.decompressobj(-zlib.MAX_WBITS)
    for start in range(0, len(deflated), _BLOCK):
        piece = deflated[start : start + _BLOCK]
        while size and (block := source.decompress(piece, min(_BLOCK, size))):
            size -= len(block)
            yield block
            piece = source.unconsumed_tail
    if source.eof and size:
        raise zlib.error("the stream ends too early")


def _checksum(data: bytes) -> bytes:
    return struct.pack(">I", zlib.crc32(data))
