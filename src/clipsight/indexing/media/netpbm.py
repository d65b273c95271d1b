"""Pictures of Netpbm, PBM, PGM, PPM and PAM, plain and raw, and PFM, which is like them with floats.

Sources: the formats' pages at netpbm.sourceforge.net/doc, and www.pauldebevec.com/Research/HDR/PFM.
Pillow's reader (12.3 at least) lacks PAM and PFM in colour, and takes seconds a megapixel for 16 bits.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile

from clipsight.core.errors import PhotoError
from clipsight.indexing.media.scaling import black_and_white, to_8_bits, to_image

_COMMENT = re.compile(rb"#[^\r\n]*")
_BAND_BYTES = 4 << 20
_MAX_HEADER = 1 << 16
_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
_TUPLE_TYPES = {
    b"BLACKANDWHITE": "L",
    b"BLACKANDWHITE_ALPHA": "LA",
    b"GRAYSCALE": "L",
    b"GRAYSCALE_ALPHA": "LA",
    b"RGB": "RGB",
    b"RGB_ALPHA": "RGBA",
    b"CMYK": "CMYK",
}


@dataclass(frozen=True, slots=True)
class Header:
    """Kind and size of a picture; `start` is the offset of its values in the file."""

    magic: bytes
    width: int
    height: int
    channels: int
    mode: str
    """Pillow's mode of the picture with 8 bits"""
    white: float
    """largest value; of PFM the scale, whose sign is the byte order"""
    start: int

    @property
    def is_plain(self) -> bool:
        """True if values are written in digits."""
        return self.magic in (b"P1", b"P2", b"P3")

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the stored values, but for bits."""
        if self.magic in (b"Pf", b"PF"):
            return np.dtype("<f4" if self.white < 0 else ">f4")
        return np.dtype(">u2" if self.white > 255 else "u1")

    @property
    def row_bytes(self) -> int:
        """Bytes of a row of raw values."""
        if self.magic == b"P4":
            return (self.width + 7) // 8
        return self.width * self.channels * self.dtype.itemsize


def read_header(head: bytes) -> Header:
    """Parse the header. Raises PhotoError, and ValueError if it is not one."""
    magic = head[:2]
    if magic == b"P7":
        return _read_pam_header(head)
    values: list[bytes] = []
    at = 2
    count = 2 if magic in (b"P1", b"P4") else 3
    while len(values) < count:
        match = re.compile(rb"(?:\s|#[^\r\n]*[\r\n])+([^\s#]+)").match(head, at)
        if not match:
            raise ValueError("truncated header" if len(head) < _MAX_HEADER else "no header")
        values.append(match[1])
        at = match.end()
    width, height = int(values[0]), int(values[1])
    colour = magic in (b"P3", b"P6", b"PF")
    return _checked(
        Header(
            magic,
            width,
            height,
            3 if colour else 1,
            "RGB" if colour else "L",
            float(values[2]) if count == 3 else 1.0,
            at + 1,
        )
    )


def _read_pam_header(head: bytes) -> Header:
    end = re.search(rb"(?m)^ENDHDR[ \t\r]*\n", head)
    if not end:
        raise ValueError("truncated header" if len(head) < _MAX_HEADER else "no header")
    fields: dict[bytes, bytes] = {}
    for line in head[2 : end.start()].splitlines():
        name, _, value = line.strip().partition(b" ")
        if name and not name.startswith(b"#"):
            fields[name] = value.strip()
    if missing := {b"WIDTH", b"HEIGHT", b"DEPTH", b"MAXVAL"} - fields.keys():
        raise ValueError(f"it has no {min(missing).decode()}")
    channels = int(fields[b"DEPTH"])
    mode = _TUPLE_TYPES.get(fields.get(b"TUPLTYPE", b""), _MODES.get(channels, ""))
    if not mode or Image.getmodebands(mode) != channels:
        raise PhotoError(f"unsupported PPM: PAM of {channels} channels")
    size = int(fields[b"WIDTH"]), int(fields[b"HEIGHT"])
    return _checked(Header(b"P7", *size, channels, mode, float(fields[b"MAXVAL"]), end.end()))


def _checked(header: Header) -> Header:
    if header.width < 1 or header.height < 1:
        raise ValueError("it has no pixels")
    if header.magic in (b"Pf", b"PF"):
        if not math.isfinite(header.white) or not header.white:
            raise ValueError("its scale is zero or not a number")
    elif header.white != int(header.white) or not 1 <= header.white <= 65535:
        raise ValueError("its largest value is not between 1 and 65535")
    return header


class NetpbmFile(ImageFile.ImageFile):
    """A picture of Netpbm, scaled to 8 bits.

    `load` raises OSError if values are missing; the image then has the others, and zeros.
    """

    format = "PPM"
    format_description = "Netpbm"

    def _open(self) -> None:
        assert self.fp is not None
        self._header = header = read_header(self.fp.read(_MAX_HEADER))
        self._size = header.width, header.height
        self._mode = header.mode

    def load(self) -> Any:
        """Read the pixels."""
        if self._im is None:
            self._read_pixels()
        return Image.Image.load(self)

    def _read_pixels(self) -> None:
        assert self.fp is not None
        header = self._header
        page, end = Image.new(header.mode, self.size), 0
        black, white = 0.0, header.white
        if header.dtype.kind == "f":
            black, white = black_and_white(values for _, values in _bands(self.fp, header))
        for top, values in _bands(self.fp, header):
            scaled = _scaled(values, header, black, white)
            page.paste(to_image(scaled, header.mode), (0, top))
            end += len(scaled)
        self.im = page.im
        self.tile = []
        if end < header.height:
            raise OSError("truncated")


def _bands(file: IO[bytes], header: Header) -> Iterator[tuple[int, npt.NDArray[Any]]]:
    """Yield the first row and the values [rows, width, channels] of bands, as far as whole rows are there."""
    file.seek(header.start)
    if header.is_plain:
        yield from _plain_bands(file.read(), header)
        return
    rows = max(1, _BAND_BYTES // header.row_bytes)
    for first in range(0, header.height, rows):
        count = min(rows, header.height - first)
        stored = file.read(count * header.row_bytes)
        found = len(stored) // header.row_bytes
        content = stored[: found * header.row_bytes]
        if header.magic == b"P4":
            bits = np.frombuffer(content, np.uint8).reshape(found, header.row_bytes)
            values = np.unpackbits(bits, axis=1)[:, : header.width, None]
        else:
            values = np.frombuffer(content, header.dtype).reshape(found, header.width, header.channels)
        if header.dtype.kind == "f":  # the last row comes first
            yield header.height - first - found, values[::-1]
        else:
            yield first, values
        if found < count:
            return


def _plain_bands(text: bytes, header: Header) -> Iterator[tuple[int, npt.NDArray[Any]]]:
    """Yield bands of values written in digits; bits need no space between them."""
    if b"#" in text:
        text = _COMMENT.sub(b"", text)
    row = header.width * header.channels
    pending: list[npt.NDArray[np.uint32]] = []
    top = held = start = 0
    while start < len(text) and top < header.height:
        end = start + _BAND_BYTES
        if end < len(text) and header.magic != b"P1":
            match = re.compile(rb"\s").search(text, end)
            end = match.start() if match else len(text)
        pending.append(_numbers(text[start:end], header))
        held += pending[-1].size
        start = end
        if held >= row:
            values = np.concatenate(pending)
            rows = min(held // row, header.height - top)
            yield top, values[: rows * row].reshape(rows, header.width, header.channels)
            pending = [values[rows * row :]]
            top, held = top + rows, pending[0].size


def _numbers(text: bytes, header: Header) -> npt.NDArray[np.uint32]:
    if header.magic == b"P1":
        digits = np.frombuffer(b"".join(text.split()), np.uint8).astype(np.uint32) - ord("0")
        limit = 1
    else:
        digits, limit = np.array(text.split(), dtype="S10").astype(np.uint32), int(header.white)
    if digits.max(initial=0) > limit:
        raise ValueError("a value is larger than its largest")
    return digits


def _scaled(values: npt.NDArray[Any], header: Header, black: float, white: float) -> npt.NDArray[np.uint8]:
    if header.dtype.kind == "f":
        return to_8_bits(values.astype(np.float32), black, white)
    if header.magic in (b"P1", b"P4"):  # 1 is black
        return (255 * (1 - values.astype(np.uint8))).astype(np.uint8)
    table = np.round(np.arange(white + 1) * (255 / white)).astype(np.uint8)
    return np.take(table, values, mode="clip")
