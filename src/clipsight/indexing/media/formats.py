"""Formats of photos: recognised by their first bytes, opened by one reader each, and why a reader failed.

Pillow's readers of other formats, some of them hazardous (EPS runs Ghostscript), are never used.
"""

import importlib
import re
import struct
from collections.abc import Iterator
from typing import IO, Any

from PIL import ImageFile

from clipsight.core.errors import PhotoError
from clipsight.indexing.media import raw

_READERS = {
    "JPEG": ("clipsight.indexing.media.jpeg", "JpegFile"),
    "PNG": ("clipsight.indexing.media.png_file", "PngFile"),
    "WEBP": ("PIL.WebPImagePlugin", "WebPImageFile"),
    "GIF": ("PIL.GifImagePlugin", "GifImageFile"),
    "BMP": ("PIL.BmpImagePlugin", "BmpImageFile"),
    "TIFF": ("clipsight.indexing.media.tiff", "open_tiff"),
    "JPEG2000": ("PIL.Jpeg2KImagePlugin", "Jpeg2KImageFile"),
    "PPM": ("clipsight.indexing.media.netpbm", "NetpbmFile"),
    "AVIF": ("PIL.AvifImagePlugin", "AvifImageFile"),
    "HEIF": ("clipsight.indexing.media.heif", "open_heif"),
    "JXL": ("clipsight.indexing.media.jxl", "JxlFile"),
    "RAW": ("clipsight.indexing.media.raw", "RawFile"),
}
"""Module and class or function of each format's reader, imported when the first file of the format is read.

It takes a file and a file name, and raises anything. It is called directly: `Image.open` replaces
the reason of a failure by "cannot identify image file".
"""

_AFTER_MAGIC = (b" ", b"\t", b"\n", b"\r", b"#")
_SIGNATURES = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"BM", "BMP"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG2000"),
    (b"\xff\x4f\xff\x51", "JPEG2000"),
    (b"\xff\x0a", "JXL"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "JXL"),
    *raw.SIGNATURES,
    *((b"P" + kind + space, "PPM") for kind in b"1 2 3 4 5 6 7 f F".split() for space in _AFTER_MAGIC),
)

_UNSUPPORTED_SIGNATURES = (
    (b"\xff\xd8\xff\xf7", "JPEG-LS"),
    (b"II\xbc", "JPEG XR"),
    (b"8BPS", "Photoshop"),
    (b"v/1\x01", "OpenEXR"),
    (b"#?RADIANCE", "Radiance HDR"),
    (b"qoif", "QOI"),
)

_AVIF_BRANDS = {b"avif", b"avis", b"avio"}
_HEIF_BRANDS = {
    *(b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"),
    *(b"avci", b"j2ki", b"jpeg", b"vvic", b"unif"),  # other codecs than HEVC: libheif says which it lacks
}
_RAW_BRANDS = {b"crx "}  # Canon's CR3
_ANY_BRANDS = {b"mif1", b"mif2", b"mif3", b"msf1", b"miaf"}
"""Brands of ISO base media files with images (ISO/IEC 23008-12, annex B; AV1 Image File Format, 5)."""

_MAX_FTYP = 4096
_TRUNCATED = re.compile(
    r"truncated|no more images|unexpected end|end of file|outside of file|not enough (image )?data|premature|"
    r"buffer overrun",
    re.IGNORECASE,
)
_UNSUPPORTED = re.compile(
    r"unsupported|not supported|not implemented|unknown pixel mode|cannot handle", re.IGNORECASE
)


_OF_A_PARSER = (IndexError, KeyError, TypeError, AttributeError, struct.error)
"""Errors of Pillow's parsers whose text is on Python, not on the file."""


def sniff(file: IO[bytes]) -> tuple[str, ...]:
    """Possible formats by the first bytes: one, or two that share a container. Raises PhotoError."""
    try:
        head = file.read(_MAX_FTYP)
    except OSError as error:
        raise PhotoError(f"can't be read: {error.strerror or error}") from error
    if head[4:8] == b"ftyp" and (formats := _formats_of_brands(head)):
        return formats
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return ("WEBP",)
    for signature, format_ in _UNSUPPORTED_SIGNATURES:
        if head.startswith(signature):
            raise PhotoError(f"unsupported format: {format_}")
    for signature, format_ in _SIGNATURES:
        if head.startswith(signature):
            return ("RAW",) if format_ == "TIFF" and _is_raw(file) else (format_,)
    raise PhotoError(f"not an image: {_describe(head)}")


def _is_raw(file: IO[bytes]) -> bool:
    try:
        return raw.is_raw_tiff(file)
    except OSError as error:
        raise PhotoError(f"can't be read: {error.strerror or error}") from error


def _formats_of_brands(head: bytes) -> tuple[str, ...]:
    """Formats by the brands of an ISO base media file, of which the first is the major one."""
    end = int.from_bytes(head[:4])
    compatible = [head[start : start + 4] for start in range(16, min(end, len(head)) - 3, 4)]
    formats = dict.fromkeys(_known_brands([head[8:12], *compatible]))
    if None in formats and len(formats) == 1:
        return ("AVIF", "HEIF")
    return tuple(format_ for format_ in formats if format_)


def _known_brands(brands: list[bytes]) -> Iterator[str | None]:
    """Yield the format of each brand that is known; None for one that may be either."""
    for brand in brands:
        if brand in _AVIF_BRANDS:
            yield "AVIF"
        elif brand in _HEIF_BRANDS:
            yield "HEIF"
        elif brand in _RAW_BRANDS:
            yield "RAW"
        elif brand in _ANY_BRANDS:
            yield None


def _describe(head: bytes) -> str:
    if not head:
        return "the file is empty"
    if not head.strip(b"\0"):
        return "the file holds zeros"
    if all(byte >= 0x20 or byte in b"\t\r\n\f" for byte in head[:32]):
        return "the file is text"
    return f"unknown content, begins with {head[:8].hex(' ')}"


def open_reader(file: IO[bytes], formats: tuple[str, ...]) -> ImageFile.ImageFile:
    """Read the header of a file with the first of the formats' readers that accepts it. Raises anything."""
    for format_ in formats[:-1]:
        try:
            return _open_as(file, format_)
        except Exception:  # any
            continue
    return _open_as(file, formats[-1])


def _open_as(file: IO[bytes], format_: str) -> ImageFile.ImageFile:
    module, name = _READERS[format_]
    reader: Any = getattr(importlib.import_module(module), name)
    file.seek(0)
    picture = reader(file, "")
    assert isinstance(picture, ImageFile.ImageFile)
    return picture


def reason(error: Exception, formats: tuple[str, ...], *, at_end: bool = False) -> str:
    """Describe in one line what a reader raised of a file, of which it had read the last byte if `at_end`."""
    name = "/".join(formats)
    if isinstance(error, MemoryError):
        return f"{name} too large for this machine's memory"
    if isinstance(error, OSError) and error.errno:
        return f"can't be read: {error.strerror}"
    if isinstance(error.__cause__ or error, _OF_A_PARSER):
        return truncated(name) if at_end else f"damaged {name}: its header can't be read"
    text = " ".join(str(error).split())[:200] or "its pixels can't be read"
    if _TRUNCATED.search(text):
        return truncated(name)
    kind = "unsupported" if _UNSUPPORTED.search(text) or isinstance(error, NotImplementedError) else "damaged"
    return f"{kind} {name}: {text}"


def truncated(format_: str) -> str:
    """The reason of a file that lacks a part of its picture."""
    return f"truncated {format_}: the file ends before its picture does"
