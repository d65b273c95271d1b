"""TIFF files: Pillow's reader where it is right, else one of our own.

Pillow (12.3 at least) has no mode for most types of samples, and reads others wrongly without an error:
samples in planes, of more than 8 bits, with a sign.
"""

import ctypes
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import PIL
from PIL import Image, ImageFile, TiffImagePlugin

from clipsight.core.errors import PhotoError
from clipsight.indexing.media.scaling import black_and_white, to_8_bits, to_image
from clipsight.indexing.media.tiff_layout import (
    LOSSLESS,
    NONE,
    Band,
    Layout,
    Values,
    read_bands,
    segment_bytes,
)

_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _CMYK, _YCBCR, _LAB, _ICC_LAB = 0, 1, 2, 3, 5, 6, 8, 9
_COLOURS = {
    _WHITE_IS_ZERO: "L",
    _BLACK_IS_ZERO: "L",
    _RGB: "RGB",
    _PALETTE: "P",
    _CMYK: "CMYK",
    _YCBCR: "YCbCr",
    _LAB: "LAB",
    _ICC_LAB: "LAB",
}
"""Photometric interpretation -> Pillow's mode of its colours."""
_WITH_ALPHA = {"L": "LA", "RGB": "RGBA", "P": "RGBA"}
_ASSOCIATED, _UNASSOCIATED, _COREL = 1, 2, 999
_WEBP = 50001
_MAX_ENTRIES = 10_000
_TYPE_BYTES = {3: 2, 4: 4, 5: 8, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
"""Type of a directory's values -> their bytes; 1 of others (TIFF 6.0, 2; BigTIFF)."""


def _silence_libtiff() -> None:
    """Keep libtiff from writing its errors to stderr; Pillow raises what they are about.

    Only where Pillow's wheel brings libtiff: of a system's there is no way to tell which Pillow has loaded.
    """
    package = Path(PIL.__file__).parent
    for library in [*package.parent.glob("pillow.libs/libtiff*"), *package.glob(".dylibs/libtiff*")]:
        with suppress(OSError, AttributeError):
            ctypes.CDLL(str(library)).TIFFSetErrorHandler(None)


_silence_libtiff()


def open_tiff(file: IO[bytes], name: str) -> ImageFile.ImageFile:
    """Read the first directory. Raises PhotoError with the reason, and anything if the file is damaged."""
    try:
        return _open(file, name)
    except PhotoError:
        raise
    except Exception as error:  # any type
        if _ends_in_directory(file):
            raise PhotoError("truncated TIFF: the file ends before its directory does") from error
        raise


def _open(file: IO[bytes], name: str) -> ImageFile.ImageFile:
    tags = _read_directory(file)
    compression = tags.get(259, NONE)
    if compression not in TiffImagePlugin.COMPRESSION_INFO or compression == _WEBP:
        raise PhotoError(f"unsupported TIFF: compression {compression}")
    if _is_plain(tags):
        file.seek(0)
        try:
            return _PlainTiffFile(file, name)
        except SyntaxError:  # Pillow has no mode for it
            pass
    file.seek(0)
    return TiffFile(file, name)


def read_right(picture: Image.Image) -> Image.Image:
    """The picture, or what its file holds if it is a TIFF that Pillow misreads. Raises PhotoError."""
    if not isinstance(picture, TiffImagePlugin.TiffImageFile) or _is_plain(picture.tag_v2):
        return picture
    try:
        file: Any = picture._fp  # which Pillow keeps open for further pages
        file.seek(0)
    except (AttributeError, ValueError):
        file = None
    if file is None or picture.tell():
        raise PhotoError("Pillow misreads this kind of TIFF: give the path of its file instead")
    return TiffFile(file, "")


def _read_directory(file: IO[bytes]) -> Any:
    head = file.read(8)
    prefix = head[:2]
    if b"+" in head[2:4]:  # BigTIFF, which Pillow recognises in little-endian files only
        head = b"II+\0" + head[4:] + file.read(8)
    tags: Any = TiffImagePlugin.ImageFileDirectory_v2(head, prefix)
    end = file.seek(0, 2)
    if not 0 < tags.next < end:
        raise PhotoError("truncated TIFF: the file ends before its directory")
    file.seek(tags.next)
    tags.load(file)
    return tags


def _ends_in_directory(file: IO[bytes]) -> bool:
    """True if the entries of the first directory, or their values, lie behind the end of the file."""
    file.seek(0)
    head = file.read(16)
    order = "<" if head[:2] == b"II" else ">"
    is_big = b"+" in head[2:4]
    offset, count, entry, inline = ("Q", "Q", "HHQQ", 8) if is_big else ("I", "H", "HHII", 4)
    try:
        (at,) = struct.unpack_from(order + offset, head, 8 if is_big else 4)
        end = file.seek(0, 2)
        file.seek(at)
        (entries,) = struct.unpack(order + count, file.read(struct.calcsize(count)))
        for _ in range(min(entries, _MAX_ENTRIES)):
            _, kind, length, place = struct.unpack(order + entry, file.read(struct.calcsize(order + entry)))
            size = length * _TYPE_BYTES.get(kind, 1)
            if size > inline and place + size > end:
                return True
    except struct.error:
        return True
    return False


def _is_plain(tags: Any) -> bool:
    """True for unsigned samples of up to 8 bits, side by side or in planes that only libtiff decompresses."""
    compression, is_ycbcr = tags.get(259, NONE), tags.get(262) == _YCBCR
    if tags.get(284, 1) != 1 and tags.get(277, 1) > 1:
        is_right = compression not in LOSSLESS and not is_ycbcr
    else:
        is_right = compression != NONE or not is_ycbcr
    return is_right and max(tags.get(258, (1,))) <= 8 and set(tags.get(339, (1,))) == {1}


class _PlainTiffFile(TiffImagePlugin.TiffImageFile):
    """Pillow's reader, which tells files that are cut short from damaged ones."""

    @property
    def working_bytes(self) -> int:
        """Bytes of a decompressed strip or tile."""
        return segment_bytes(self.tag_v2)

    def load(self) -> Any:
        try:
            return super().load()
        except (OSError, ValueError) as error:
            if self._is_cut():
                raise OSError("truncated") from error
            raise

    def _is_cut(self) -> bool:
        """True if strips or tiles lie behind the end of the file."""
        assert self.fp is not None
        if _ends_in_directory(self.fp):
            return True
        end = self.fp.seek(0, 2)
        tags: Any = self.tag_v2
        places = zip(tags.get(273, tags.get(324, ())), tags.get(279, tags.get(325, ())), strict=False)
        return any(offset + size > end for offset, size in places)


class TiffFile(ImageFile.ImageFile):
    """A TIFF read by `tiff_layout`, scaled to 8 bits.

    `load` raises OSError if pixels are missing; the image then has the others, and zeros.
    """

    format = "TIFF"
    format_description = "TIFF"

    def _open(self) -> None:
        assert self.fp is not None
        self.tag_v2 = tags = _read_directory(self.fp)
        self._layout = layout = Layout.of(tags)
        self._size = layout.width, layout.height
        self._photometric = tags.get(262, _WHITE_IS_ZERO if layout.samples < 3 else _RGB)
        self._colours = _COLOURS.get(self._photometric, "")
        if not self._colours:
            raise PhotoError(f"unsupported TIFF: photometric interpretation {self._photometric}")
        if self._photometric == _YCBCR and tags.get(530, (2, 2)) != (1, 1):
            raise PhotoError("unsupported TIFF: YCbCr with subsampling")
        self._count = Image.getmodebands(self._colours)
        if layout.samples < self._count:
            raise PhotoError(f"damaged TIFF: {layout.samples} samples a pixel of {self._colours}")
        self._alpha, self._is_associated = self._find_alpha(tuple(tags.get(338, ())))
        self._mode = {"P": "RGB"}.get(self._colours, self._colours)
        if self._alpha is not None:
            self._mode = _WITH_ALPHA[self._colours]
        if profile := tags.get(34675):
            self.info["icc_profile"] = profile

    @property
    def working_bytes(self) -> int:
        """Bytes of a strip, or of the tiles side by side, decompressed by libtiff and as a picture."""
        return 2 * segment_bytes(self.tag_v2)

    def _find_alpha(self, extra: tuple[int, ...]) -> tuple[int | None, bool]:
        """Index of the sample that is the opacity, if any, and True if the colours are multiplied by it."""
        if not extra and self._colours == "RGB" and self._layout.samples == 4:
            extra = (_UNASSOCIATED,)
        for index, meaning in enumerate(extra, self._count):
            if meaning in (_ASSOCIATED, _UNASSOCIATED, _COREL) and index < self._layout.samples:
                return (index, meaning == _ASSOCIATED) if self._colours in _WITH_ALPHA else (None, False)
        return None, False

    def load(self) -> Any:
        """Read the pixels."""
        if self._im is None:
            self._read_pixels()
        return Image.Image.load(self)

    def _read_pixels(self) -> None:
        page = Image.new(self.mode, self.size)
        missing = set()
        colour_range = black_and_white(self._colour_values(), self._layout.bits)
        for band in self._bands():
            page.paste(self._to_image(band.values, colour_range), (0, band.top))
            missing.add(band.missing)
        self.im = page.im
        self.tile = []
        if missing != {None}:
            raise OSError(
                "truncated" if "truncated" in missing else "some of its pixels can't be decompressed"
            )

    def _bands(self) -> Iterator[Band]:
        assert self.fp is not None
        return read_bands(self.fp, self._layout)

    def _colour_values(self) -> Iterator[Values]:
        return (band.values[..., : self._count] for band in self._bands())

    def _to_image(self, values: Values, colour_range: tuple[float, float]) -> Image.Image:
        """A band of rows as an image of the file's mode."""
        colours = values[..., : self._count]
        if self._colours == "P":
            channels = self._palette()[colours[..., 0].astype(np.intp)]
        elif self._colours == "LAB":
            channels = _lab(colours, self._photometric)
        else:
            channels = to_8_bits(colours, *colour_range)
        if self._photometric == _WHITE_IS_ZERO:
            channels = 255 - channels
        if self._alpha is None:
            return to_image(channels, self._mode)
        opacity = values[..., self._alpha : self._alpha + 1]
        alpha = to_8_bits(opacity, 0, _opaque(opacity, self._layout.bits))
        both = np.concatenate([channels, alpha], axis=-1)
        if not self._is_associated:
            return to_image(both, self._mode)
        return to_image(both, {"LA": "La", "RGBA": "RGBa"}[self._mode]).convert(self._mode)

    def _palette(self) -> npt.NDArray[np.uint8]:
        """Colours uint8[2 ** bits, 3]; the file's have 16 bits, or 8 by mistake."""
        stored = np.asarray(self.tag_v2[320], np.uint16)
        colours = stored.reshape(3, -1).T
        palette = np.zeros((1 << self._layout.bits, 3), np.uint8)
        palette[: len(colours)] = (colours >> 8 if stored.max(initial=0) > 255 else colours)[: len(palette)]
        return palette


def _opaque(values: Values, bits: int) -> float:
    return (
        1.0
        if values.dtype.kind == "f"
        else float((1 << bits) - 1 if values.dtype.kind == "u" else (1 << bits - 1) - 1)
    )


def _lab(values: Values, photometric: int) -> npt.NDArray[np.uint8]:
    """CIELab values of 8 or 16 bits as Pillow takes them: 8 bits, a and b with a sign."""
    bits = 8 * values.dtype.itemsize
    if values.dtype.kind == "f" or bits > 16:
        raise PhotoError(f"unsupported TIFF: CIELab of {bits} bits")
    high = (values.view(f"u{bits // 8}") >> (bits - 8)).astype(np.uint8)
    if photometric == _ICC_LAB:
        high[..., 1:] ^= 0x80
    return high
