"""Layout of the pixels of a TIFF (TIFF 6.0; BigTIFF), and their values, a band of rows at a time.

libtiff, as Pillow has it, decompresses: segments (strips or tiles) are handed to it as a grey picture of 8
bits whose pixels are their bytes. All else, such as byte order, predictor and planes, is done here.
"""

import io
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import IO, Any, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, TiffImagePlugin

from clipsight.core.errors import PhotoError

Values = npt.NDArray[Any]

NONE = 1
LOSSLESS = (NONE, 5, 8, 32773, 32946, 34925, 50000)
"""Compressions of bytes: none, LZW, Deflate, PackBits, Deflate, LZMA, Zstandard."""
_SEPARATE = 2
_HORIZONTAL, _FLOATING_POINT = 2, 3
_KINDS = {1: "u", 2: "i", 3: "f", 4: "u"}
_BAND_BYTES = 4 << 20
"""Bytes of values, as stored, that are read at once; a segment if it has more."""
_MAX_SAMPLES = 64


@dataclass(frozen=True, slots=True)
class Layout:
    """Places of the samples of a picture in its file, and their type."""

    width: int
    height: int
    samples: int
    """samples a pixel"""
    bits: int
    """bits a sample"""
    kind: str
    """`u`, `i` or `f`, as of NumPy's types"""
    order: str
    """`<` or `>`: byte order of the file"""
    planes: int
    """1 if the samples of a pixel lie side by side, else as many as samples"""
    compression: int
    predictor: int
    columns: int
    """pixels in a row of a segment"""
    rows: int
    """rows of a segment, but for the last strip of a plane"""
    is_tiled: bool
    offsets: tuple[int, ...]
    sizes: tuple[int, ...]

    @classmethod
    def of(cls, tags: Any) -> "Layout":
        """The layout by the tags of a directory. Raises PhotoError, and anything if they are damaged."""
        samples = tags.get(277, 1)
        if not 1 <= samples <= _MAX_SAMPLES:
            raise PhotoError(f"unsupported TIFF: {samples} samples a pixel")
        bits, kinds = _values_of(tags, 258, samples), _values_of(tags, 339, samples)
        compression, predictor = tags.get(259, NONE), tags.get(317, 1)
        if compression not in LOSSLESS:
            raise PhotoError(f"unsupported TIFF: samples of {bits[0]} bits with compression {compression}")
        if len({*bits}) > 1 or len({*kinds}) > 1 or kinds[0] not in _KINDS or tags.get(266, 1) != 1:
            raise PhotoError(f"unsupported TIFF: samples of {bits} bits of types {kinds}")
        is_tiled = 322 in tags
        layout = cls(
            width=tags[256],
            height=tags[257],
            samples=samples,
            bits=bits[0],
            kind=_KINDS[kinds[0]],
            order="<" if tags.prefix == b"II" else ">",
            planes=samples if tags.get(284, 1) == _SEPARATE else 1,
            compression=compression,
            predictor=predictor,
            columns=tags[322] if is_tiled else tags[256],
            rows=tags[323] if is_tiled else min(tags.get(278, tags[257]), tags[257]),
            is_tiled=is_tiled,
            offsets=tags[324 if is_tiled else 273],
            sizes=tags.get(325 if is_tiled else 279, ()),
        )
        layout._check()
        return layout

    def _check(self) -> None:
        if min(self.width, self.height, self.columns, self.rows) < 1:
            raise ValueError("it has no pixels")
        if self.is_tiled and self.columns * self.rows > 4 * self.width * self.height + (1 << 20):
            raise ValueError("its tiles are much larger than the picture")
        whole_bytes = self.bits in ((16, 32, 64) if self.kind == "f" else (8, 16, 32, 64))
        if not whole_bytes and (self.kind != "u" or self.bits > 16 or self.predictor in (2, 3)):
            raise PhotoError(f"unsupported TIFF: samples of {self.bits} bits of type {self.kind}")
        if self.predictor == _FLOATING_POINT and self.kind != "f":
            raise PhotoError("unsupported TIFF: integers with the predictor of floats")

    @property
    def row_bytes(self) -> int:
        """Bytes in a row of a segment."""
        return (self.columns * self.together * self.bits + 7) // 8

    @property
    def across_bytes(self) -> int:
        """Bytes of a row of the picture, with all planes, as segments have it."""
        return self.row_bytes * self.across * self.planes

    @property
    def together(self) -> int:
        """Samples side by side."""
        return 1 if self.planes > 1 else self.samples

    @property
    def across(self) -> int:
        """Segments side by side."""
        return -(-self.width // self.columns)

    @property
    def down(self) -> int:
        """Segments of a plane, one below the other."""
        return -(-self.height // self.rows)


def _values_of(tags: Any, tag: int, samples: int) -> tuple[int, ...]:
    """A value a sample; one value stands for all."""
    values = tuple(tags.get(tag, (1,)))
    return (values * samples if len(values) == 1 else values)[:samples]


@dataclass(frozen=True, slots=True)
class Band:
    """Values [rows, width, samples] of rows from `top` on; zeros where some are missing."""

    top: int
    values: Values
    missing: Literal["truncated", "damaged"] | None


def segment_bytes(tags: Any) -> int:
    """Bytes of the rows of a compressed strip, or of tiles side by side, with all planes; else 0."""
    if tags.get(259, NONE) == NONE:
        return 0
    width, rows = tags[256], tags.get(323, min(tags.get(278, tags[257]), tags[257]))
    return int(max(width, tags.get(322, 0)) * rows * tags.get(277, 1) * max(tags.get(258, (1,))) // 8)


def read_bands(file: IO[bytes], layout: Layout) -> Iterator[Band]:
    """Yield the rows of a picture in order."""
    layout = _in_smaller_strips(layout)
    whole = layout.down if layout.is_tiled else layout.height // layout.rows
    at_once = max(1, _BAND_BYTES // (layout.rows * layout.across_bytes))
    for first in range(0, whole, at_once):
        yield from _read_segments(file, layout, range(first, min(first + at_once, whole)), layout.rows)
    if whole < layout.down:
        yield from _read_segments(file, layout, range(whole, layout.down), layout.height % layout.rows)


def _in_smaller_strips(layout: Layout) -> Layout:
    """The same layout; a single strip without compression is taken for several."""
    rows = max(1, _BAND_BYTES // layout.across_bytes)
    if layout.is_tiled or layout.compression != NONE or layout.down > 1 or layout.rows <= rows:
        return layout
    starts = range(0, layout.height, rows)
    offsets = tuple(offset + start * layout.row_bytes for offset in layout.offsets for start in starts)
    return replace(layout, rows=rows, offsets=offsets, sizes=())


def _read_segments(file: IO[bytes], layout: Layout, down: range, rows: int) -> Iterator[Band]:
    """Yield the rows of segments that lie one below the other; those of a large one in several bands."""
    segments = [
        (plane * layout.down + each) * layout.across + column
        for each in down
        for plane in range(layout.planes)
        for column in range(layout.across)
    ]
    size = rows * layout.row_bytes
    stored = [_read_segment(file, layout, segment, size) for segment in segments]
    missing: Literal["truncated", "damaged"] | None = None
    if any(
        len(each) < _length(layout, segment, size) for segment, each in zip(segments, stored, strict=True)
    ):
        missing = "truncated"
    if layout.compression == NONE:
        content = b"".join(each[:size].ljust(size, b"\0") for each in stored)
        picture = Image.frombuffer("L", (layout.row_bytes, len(stored) * rows), content, "raw", "L", 0, 1)
    else:
        picture, is_whole = _decompress(stored, layout, rows)
        missing = missing or (None if is_whole else "damaged")
    step = rows if len(down) > 1 else max(1, _BAND_BYTES // layout.across_bytes)
    for first in range(0, rows, step):
        count = min(step, rows - first)
        values = _values(_rows(picture, len(segments), rows, first, count), layout)
        shape = (len(down), layout.planes, layout.across, count, layout.columns, layout.together)
        ordered = values.reshape(shape).transpose(0, 3, 2, 4, 1, 5)
        band = ordered.reshape(len(down) * count, layout.across * layout.columns, layout.samples)
        top = down.start * layout.rows + first
        if top < layout.height:
            yield Band(top, band[: layout.height - top, : layout.width], missing)


def _rows(picture: Image.Image, segments: int, rows: int, first: int, count: int) -> npt.NDArray[np.uint8]:
    """Bytes [segments, count, row_bytes] of rows from `first` on in each segment of `rows` rows."""
    tops = range(first, segments * rows, rows)
    return np.stack([np.asarray(picture.crop((0, top, picture.width, top + count))) for top in tops])


def _length(layout: Layout, segment: int, size: int) -> int:
    """Bytes of a segment as stored; `size` are those of its content."""
    return size if layout.compression == NONE or segment >= len(layout.sizes) else layout.sizes[segment]


def _read_segment(file: IO[bytes], layout: Layout, segment: int, size: int) -> bytes:
    if segment >= len(layout.offsets):
        return b""
    file.seek(layout.offsets[segment])
    return file.read(_length(layout, segment, size))


def _decompress(stored: Sequence[bytes], layout: Layout, rows: int) -> tuple[Image.Image, bool]:
    """Content of compressed segments, as the pixels of a grey TIFF that has them as its strips.

    False says that some of it could not be decompressed.
    """
    count = len(stored)
    ends = np.cumsum([len(each) for each in stored])
    tags = [
        (256, [layout.row_bytes]),
        (257, [count * rows]),
        (258, [8]),
        (259, [layout.compression]),
        (262, [1]),
        (273, [0] * count),
        (277, [1]),
        (278, [rows]),
        (279, [len(each) for each in stored]),
    ]
    start = 8 + 2 + 12 * len(tags) + 4
    data_at = start + (8 * count if count > 1 else 0)
    tags[5] = (273, [data_at + int(end) - len(each) for end, each in zip(ends, stored, strict=True)])
    entries, arrays = b"", b""
    for tag, values in tags:
        packed = struct.pack(f"<{len(values)}I", *values)
        entries += struct.pack("<HHI", tag, 4, len(values))
        entries += packed if len(values) == 1 else struct.pack("<I", start + len(arrays))
        arrays += packed if len(values) > 1 else b""
    file = struct.pack("<2sHIH", b"II", 42, 8, len(tags)) + entries + bytes(4) + arrays + b"".join(stored)
    picture = TiffImagePlugin.TiffImageFile(io.BytesIO(file), "")
    try:
        picture.load()
    except (OSError, ValueError):
        if picture._im is None:
            raise
        picture.tile = []
        return picture._new(picture.im), False
    return picture._new(picture.im), True


def _values(content: npt.NDArray[np.uint8], layout: Layout) -> Values:
    """Values [segments, rows, columns, samples] in this machine's byte order."""
    shape = (*content.shape[:2], layout.columns, layout.together)
    if layout.bits not in (8, 16, 32, 64):
        return _unpacked(content, layout.bits, shape)
    size = layout.bits // 8
    if layout.predictor == _FLOATING_POINT:
        content, order = _floats(content, layout, shape), ">"
    else:
        order = layout.order
    values = np.ascontiguousarray(content).view(f"{order}{layout.kind}{size}").reshape(shape)
    values = values.astype(values.dtype.newbyteorder("="), copy=False)
    if layout.predictor == _HORIZONTAL:
        differences = values.view(f"u{size}")
        values = np.cumsum(differences, axis=2, dtype=differences.dtype).view(values.dtype)
    return values


def _unpacked(content: npt.NDArray[np.uint8], bits: int, shape: tuple[int, ...]) -> Values:
    """Unsigned values of up to 16 bits, the first in the highest bits."""
    used = shape[2] * shape[3] * bits
    every = np.unpackbits(content, axis=2)[:, :, :used].reshape(*shape, bits)
    padded = np.zeros((*shape, 16), np.uint8)
    padded[..., 16 - bits :] = every
    return np.packbits(padded, axis=-1).view(">u2").reshape(shape).astype(np.uint16)


def _floats(content: npt.NDArray[np.uint8], layout: Layout, shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    """Bytes of big-endian floats from their differences, stored byte by byte (TIFF Technical Note 3)."""
    size = layout.bits // 8
    steps = content.reshape(*content.shape[:2], -1, layout.together)
    planes = np.cumsum(steps, axis=2, dtype=np.uint8).reshape(*content.shape[:2], size, -1)
    return planes.swapaxes(2, 3).reshape(content.shape)
