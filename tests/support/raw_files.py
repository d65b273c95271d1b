"""Raw files made by hand: minimal DNG files, with or without a preview.

Tags are those of TIFF 6.0, TIFF/EP and the DNG specification 1.4.
"""

import io
import struct
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from PIL import Image

from clipsight.core.arrays import Float32

_BYTE, _ASCII, _SHORT, _LONG, _RATIONAL, _SIGNED = 1, 2, 3, 4, 5, 10
_IDENTITY = (3.1339, -1.6169, -0.4906, -0.9788, 1.9161, 0.0335, 0.0719, -0.2290, 1.4052)
"""XYZ (D50) to linear sRGB: the camera of these files sees in sRGB's primaries."""

Entry = tuple[int, int, "bytes | Sequence[int] | Sequence[float]"]


def dng(
    colours: Float32,
    *,
    preview: Image.Image | None = None,
    orientation: int = 1,
    taken: str = "2024:05:06 07:08:09",
) -> bytes:
    """A DNG file of an uncompressed RGGB sensor that sees `colours`, float32[H, W, 3] in sRGB, 0 to 1."""
    sensor = _sensor(colours)
    height, width = sensor.shape
    file = _Tiff()
    pixels = sensor.tobytes()
    data: list[Entry] = [
        (254, _LONG, [0]),
        (256, _LONG, [width]),
        (257, _LONG, [height]),
        (258, _SHORT, [16]),
        (259, _SHORT, [1]),
        (262, _SHORT, [32803]),
        (273, _LONG, [file.add(pixels)]),
        (277, _SHORT, [1]),
        (278, _LONG, [height]),
        (279, _LONG, [len(pixels)]),
        (33421, _SHORT, [2, 2]),
        (33422, _BYTE, bytes([0, 1, 1, 2])),
        (50717, _LONG, [65535]),
    ]
    exif = file.directory([(0x9003, _ASCII, taken.encode() + b"\0")])
    camera: list[Entry] = [
        (271, _ASCII, b"Maker\0"),
        (272, _ASCII, b"Model 1\0"),
        (274, _SHORT, [orientation]),
        (34665, _LONG, [exif]),
        (50706, _BYTE, bytes([1, 4, 0, 0])),
        (50708, _ASCII, b"Maker Model 1\0"),
        (50721, _SIGNED, _IDENTITY),
        (50728, _RATIONAL, [1, 1, 1]),
        (50778, _SHORT, [23]),
    ]
    if preview is None:
        return file.finished(file.directory(data + camera))
    jpeg = io.BytesIO()
    preview.save(jpeg, "JPEG", quality=95)
    first: list[Entry] = [
        (254, _LONG, [1]),
        (256, _LONG, [preview.width]),
        (257, _LONG, [preview.height]),
        (258, _SHORT, [8, 8, 8]),
        (259, _SHORT, [7]),
        (262, _SHORT, [6]),
        (273, _LONG, [file.add(jpeg.getvalue())]),
        (277, _SHORT, [3]),
        (278, _LONG, [preview.height]),
        (279, _LONG, [len(jpeg.getvalue())]),
        (330, _LONG, [file.directory(data)]),
    ]
    return file.finished(file.directory(first + camera))


def _sensor(colours: Float32) -> np.ndarray:
    """Values of a sensor, uint16[H, W]: each pixel sees one of red, green and blue."""
    linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    channel = np.indices(colours.shape[:2]).sum(0) - 2 * (np.indices(colours.shape[:2]) // 2).sum(0)
    return (65535 * np.take_along_axis(linear, channel[..., None], 2)[..., 0]).astype("<u2")


class _Tiff:
    """A little-endian TIFF file, written in one pass."""

    def __init__(self) -> None:
        self._data = bytearray(b"II*\0\0\0\0\0")

    def add(self, data: bytes) -> int:
        """Append data and return their offset."""
        start = len(self._data)
        self._data += data + b"\0" * (len(data) % 2)
        return start

    def directory(self, entries: Sequence[Entry]) -> int:
        """Append a directory and return its offset."""
        packed = b""
        for tag, type_, values in sorted(entries, key=lambda entry: entry[0]):
            data, count = _encoded(type_, values)
            field = data.ljust(4, b"\0") if len(data) <= 4 else struct.pack("<I", self.add(data))
            packed += struct.pack("<HHI", tag, type_, count) + field
        return self.add(struct.pack("<H", len(entries)) + packed + b"\0\0\0\0")

    def finished(self, first: int) -> bytes:
        """The file, whose first directory is at `first`."""
        struct.pack_into("<I", self._data, 4, first)
        return bytes(self._data)


def _encoded(type_: int, values: "bytes | Sequence[int] | Sequence[float]") -> tuple[bytes, int]:
    if isinstance(values, bytes):
        return values, len(values)
    if type_ in (_RATIONAL, _SIGNED):
        parts = [Fraction(value).limit_denominator(10_000) for value in values]
        numbers = [number for part in parts for number in (part.numerator, part.denominator)]
        return struct.pack(f"<{len(numbers)}{'i' if type_ == _SIGNED else 'I'}", *numbers), len(values)
    return struct.pack(f"<{len(values)}{'H' if type_ == _SHORT else 'I'}", *values), len(values)
