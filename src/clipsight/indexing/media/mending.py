"""Readable copies of files that a strict reader refuses, though all or a part of their picture is there.

Whole are a JPEG without its end marker, a PNG with a damaged ancillary chunk, an animation whose first frame
is complete. What is missing of a file that is cut short is filled with zeros, no more than nine times of what
is there.
"""

import io
import struct
import zlib
from dataclasses import dataclass

from clipsight.core.errors import PhotoError
from clipsight.indexing.media import jpeg, png_chunks
from clipsight.indexing.media.formats import truncated
from clipsight.indexing.media.memory import DECODING, decoding_bytes

MIN_SHARE = 0.1
"""Smallest share of a picture that is worth decoding."""

_SOC_SIZ, _SOT, _SOD, _EOC = b"\xff\x4f\xff\x51", b"\xff\x90", b"\xff\x93", b"\xff\xd9"
_SOT_BYTES = 12
_EMPTY_PACKETS = 1024
_MOST_TILES = 65_535
"""Tiles of a JPEG 2000 file at most (ITU-T T.800, A.4.2)."""
_HEADERS = (b"ftyp", b"meta", b"moov")
"""Boxes of an ISO base media file without which its picture can't be read."""
_WEBP_FRAMES = (b"VP8 ", b"VP8L", b"ANMF")


@dataclass(frozen=True, slots=True)
class Mended:
    """A file that a strict reader accepts; `problem` is why a part of the picture is missing, if one is."""

    data: bytes
    problem: str | None = None


def mend(data: bytes, format_: str, max_pixels: int) -> Mended | None:
    """Mend a file that could not be decoded; None where that is not known to be possible.

    Of a PNG with more than `max_pixels` pixels no pixels are decompressed. Raises PhotoError with the reason
    if less than `MIN_SHARE` of the picture is there.
    """
    try:
        match format_:
            case "JPEG":
                return _mend_jpeg(data)
            case "PNG":
                return _mend_png(data, max_pixels)
            case "WEBP":
                return _mend_webp(data)
            case "JPEG2000":
                return _mend_jpeg2000(data)
            case "AVIF" | "HEIF":
                return _mend_boxes(data, format_)
            case "JXL":
                raise _reason_of_jxl(data)
    except (OSError, SyntaxError, ValueError, ArithmeticError, struct.error, zlib.error):
        pass
    return None


def _mend_jpeg(data: bytes) -> Mended:
    """Append the end marker, if it is missing."""
    data = jpeg.without_end(data)
    with DECODING.reserve(2 * decoding_bytes(jpeg.JpegFile(io.BytesIO(data)), len(data))):
        missing = jpeg.missing_rows(data, reduced=True)
        if missing.any() and missing.argmax() < MIN_SHARE * missing.size:
            raise _too_little("JPEG")
        is_partial = (
            missing.any() or jpeg.missing_rows(data, reduced=False).any() or jpeg.lacks_scans(data + jpeg.EOI)
        )
    return Mended(data + jpeg.EOI, truncated("JPEG") if is_partial else None)


def _mend_png(data: bytes, max_pixels: int) -> Mended | None:
    """Drop ancillary chunks that can't be read; complete the compressed pixels with zeros."""
    chunks = list(png_chunks.readable(png_chunks.split(data)))
    if not chunks or chunks[0][0] != b"IHDR":
        return None
    header = chunks[0][1]
    pixels = [(body, is_right) for kind, body, is_right in chunks if kind == b"IDAT"]
    data, problem = b"".join(body for body, _ in pixels), None
    width, height = struct.unpack_from(">II", header)
    if width * height <= max_pixels:
        expected = png_chunks.raw_size(header)
        data, found, is_damaged = png_chunks.complete(data, expected)
        if is_damaged:
            problem = f"damaged PNG: its pixels can be decompressed to {found / expected:.0%} only"
        elif found < expected:
            problem = truncated("PNG")
        elif not all(is_right for _, is_right in pixels):
            problem = "damaged PNG: some of its pixels are wrong"
        if found < MIN_SHARE * expected:
            raise PhotoError(problem) if is_damaged else _too_little("PNG")
    others = [(kind, body) for kind, body, _ in chunks if kind not in (b"IDAT", b"IEND")]
    return Mended(png_chunks.join([*others, (b"IDAT", data), (b"IEND", b"")]), problem)


def _mend_webp(data: bytes) -> Mended | None:
    """Keep the chunks that are whole; fill the picture, or the first frame of an animation, with zeros."""
    at = end = len(b"RIFFsizeWEBP")
    frames, kind = 0, b""
    while at + 8 <= len(data):
        kind, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        end = at + 8 + size + size % 2
        if end > len(data) + 1:  # the last byte may be padding
            break
        frames += kind in _WEBP_FRAMES
        at = end
    if frames:
        return Mended(_riff(data[12:at].ljust(at - 12, b"\0")))
    if end <= len(data):
        return None
    if kind not in _WEBP_FRAMES:
        raise PhotoError(truncated("WEBP"))
    return Mended(_riff(_filled(data, at, end, "WEBP")[12:]), truncated("WEBP"))


def _riff(chunks: bytes) -> bytes:
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WEBP" + chunks


def _mend_jpeg2000(data: bytes) -> Mended | None:
    """Fill the last tile, and those that are missing, with zeros, and end the stream.

    Zeros are empty packets (ITU-T T.800, B.10.3), so that tiles become blurred or grey.
    """
    at, parts = data.index(_SOC_SIZ), list[int]()
    count = _tile_count(data, at + 6)
    if count > _MOST_TILES:
        return None
    at += 2
    while at < len(data) and data[at : at + 2] != _SOT:
        at += 2 + int.from_bytes(data[at + 2 : at + 4])
    start = at
    while at + _SOT_BYTES <= len(data) and data[at : at + 2] == _SOT:
        tile, size = struct.unpack_from(">HI", data, at + 4)
        parts.append(tile)
        start, at = at, at + (size or len(data) - at)  # 0: up to the end
    rest = data[at:]
    if rest and not _EOC.startswith(rest) and not (_SOT.startswith(rest[:2]) and len(rest) < _SOT_BYTES):
        return None
    is_cut = at > len(data)
    if is_cut and len(set(parts)) > 1 and len(data) - start < MIN_SHARE * (at - start):
        data, at = data[:start], start  # of the last part too little is there
        del parts[-1]
    missing = sorted(set(range(count)).difference(parts))
    if len(set(parts)) - (at > len(data)) < MIN_SHARE * len(missing):
        raise _too_little("JPEG2000")
    problem = truncated("JPEG2000") if missing or is_cut else None
    whole = _filled(data[:at], start, at, "JPEG2000")
    return Mended(whole + b"".join(map(_empty_tile, missing)) + _EOC, problem)


def _empty_tile(number: int) -> bytes:
    content = bytes(_EMPTY_PACKETS)
    return _SOT + struct.pack(">HHIBB", 10, number, _SOT_BYTES + 2 + len(content), 0, 1) + _SOD + content


def _tile_count(data: bytes, at: int) -> int:
    """Number of tiles, by the content of the marker segment SIZ (A.5.1)."""
    _, width, height, _, _, tile_width, tile_height, left, top = struct.unpack_from(">H8I", data, at)
    return int(-(-(width - left) // tile_width) * -(-(height - top) // tile_height))


def _mend_boxes(data: bytes, format_: str) -> Mended | None:
    """Fill the last box of an ISO base media file with zeros."""
    start, end = _last_box(data)
    is_header = data[start + 4 : start + 8] in _HEADERS
    if (is_header and (end > len(data) or b"mdat" not in data)) or end < len(data):
        raise PhotoError(truncated(format_))
    if end == len(data):
        return None
    return Mended(_filled(data, start, end, format_), truncated(format_))


def _reason_of_jxl(data: bytes) -> PhotoError:
    """A codestream does not say how long it is, unless it lies in a box that does."""
    if data[4:8] == b"JXL ":
        start, end = _last_box(data)
        if end > len(data):
            return PhotoError(truncated("JXL"))
        if int.from_bytes(data[start : start + 4]):
            return PhotoError("damaged JXL: it can't be decoded")
    return PhotoError("damaged or truncated JXL: it can't be decoded")


def _last_box(data: bytes) -> tuple[int, int]:
    """Start and end of the last box, by its own size."""
    start = at = 0
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4])
        if size == 1:
            size = int.from_bytes(data[at + 8 : at + 16])
        if size < 8:  # 0: the box ends with the file
            return at, len(data)
        start, at = at, at + size
    return start, at


def _filled(data: bytes, start: int, end: int, format_: str) -> bytes:
    """`data`, of which a part from `start` to `end` is cut short, with zeros up to `end`.

    Raises PhotoError if too little is there of that part.
    """
    if len(data) - start < MIN_SHARE * (end - start):
        raise _too_little(format_)
    return data.ljust(end, b"\0")


def _too_little(format_: str) -> PhotoError:
    return PhotoError(f"truncated {format_}: less than a tenth of the picture is there")
