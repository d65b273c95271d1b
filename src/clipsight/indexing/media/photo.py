"""Photo files to upright RGB pixels and metadata, or a PhotoError with the reason."""

import io
import logging
import os
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import IO, Any, cast

from PIL import Image, ImageFile

from clipsight.core.arguments import DEFAULT_MAX_PIXELS
from clipsight.core.errors import PhotoError
from clipsight.core.files import open_regular
from clipsight.indexing.media.cicp import profile_of
from clipsight.indexing.media.exif import ORIENTATION, Exif, valid_orientation
from clipsight.indexing.media.formats import open_reader, reason, sniff
from clipsight.indexing.media.memory import DECODING, decoding_bytes
from clipsight.indexing.media.mending import MIN_SHARE, mend
from clipsight.indexing.media.pixels import to_rgb
from clipsight.indexing.media.taken import taken_at_mtime, taken_in
from clipsight.indexing.media.tiff import read_right
from clipsight.store.records import PhotoInfo

DCT_MARGIN = 1.65
"""A JPEG is decoded at 1/2, 1/4 or 1/8 only while its short side stays this many times `min_side`.

Measured by `python -m benchmarks.dct_scale`: at 1.65 the lowest cosine between the embeddings of a
reduced and a full decode is 0.9956 (the median 0.999) over photos smooth, grainy and sharp at each
scale; at 1.25 it is 0.986. A 12-megapixel JPEG decodes in 37 ms at 1/8, 43 at 1/4 and 57 in full, and
then resizes in 2, 5 and 61. Above 1.67, 4000 x 3000 pixels would no longer come at 1/8 for a model
of 224 x 224.
"""

_READ_BY_ROWS = ("GIF", "BMP", "TIFF", "PPM")
"""Formats that are not mended: where their reader fails, its image has the rows before, and zeros."""

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


# Process-wide settings of Pillow. Its pixel limit (179 megapixels) is replaced by `max_pixels`. Its warnings,
# mostly about unusual tags, would appear among the user's results; errors are raised as PhotoError.
Image.MAX_IMAGE_PIXELS = None
warnings.filterwarnings("ignore", module=r"PIL\.")
logging.getLogger("PIL").addHandler(logging.NullHandler())


@dataclass(frozen=True, slots=True)
class DecodedPhoto:
    """A decoded photo: pixels (mode RGB in sRGB, upright, perhaps reduced in size) and metadata."""

    image: Image.Image
    info: PhotoInfo


def decode(
    source: bytes | Path,
    *,
    mtime_ns: int,
    min_side: int | None = None,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    gps: bool = False,
    strict: bool = False,
    memory: ExitStack | None = None,
) -> DecodedPhoto:
    """Decode a photo from its bytes or its path. Thread-safe.

    With `min_side`, the length in pixels that the short side must have at least, JPEGs may be decoded at a
    reduced DCT scale; without it, pixels are exact. `mtime_ns` is the date of a photo that holds none;
    with `gps`, the position is read too. Embedded colour profiles are converted to sRGB.

    Files whose picture is whole though their end or an ancillary part is missing or damaged are read like
    whole ones (`mending`). Of files that are cut short what is there is read if it is a tenth of the picture
    at least, and `PhotoInfo.partial` is what is wrong; with `strict` they are refused.

    All threads together decode within the budget of `memory.DECODING`; a picture that needs more is decoded
    alone. The share of this photo is released on return, or when `memory` is closed, for callers that keep
    the image for a while.

    Raises PhotoError with the reason if the file is not an image, is damaged or truncated, or has more than
    `max_pixels` pixels according to its header, which is checked before decoding.
    """
    with ExitStack() as until_return:
        read = partial(
            _read_photo,
            mtime_ns=mtime_ns,
            min_side=min_side,
            max_pixels=max_pixels,
            gps=gps,
            memory=memory or until_return,
        )
        return _decode_or_mend(source, read, max_pixels, strict)


def _decode_or_mend(
    source: bytes | Path,
    read: Callable[[IO[bytes], tuple[str, ...], bool], DecodedPhoto],
    max_pixels: int,
    strict: bool,
) -> DecodedPhoto:
    with _open(source) as file:
        formats = sniff(file)
        try:
            return read(file, formats, not strict and formats[0] in _READ_BY_ROWS)
        except PhotoError:
            raise
        except Exception as error:  # Pillow, libtiff, libheif and zlib raise many types
            failure = PhotoError(reason(error, formats, at_end=not file.read(1)))
            failure.__cause__ = error.with_traceback(None)  # which would keep the pixels
        file.seek(0)
        mended = mend(file.read(), formats[0], max_pixels)
    if mended is None:
        raise failure
    if mended.problem:
        failure = PhotoError(mended.problem)
        if strict:
            raise failure
    try:
        photo = read(io.BytesIO(mended.data), formats, not strict)
    except PhotoError:
        raise
    except Exception:  # what could not be mended
        raise failure from None
    return replace(photo, info=replace(photo.info, partial=mended.problem or photo.info.partial))


def open_picture(
    source: bytes | Path, *, min_side: int | None = None, max_pixels: int = DEFAULT_MAX_PIXELS
) -> Image.Image:
    """Return the upright RGB pixels of a picture, decoded exactly as in indexing. Raises PhotoError."""
    return decode(source, mtime_ns=0, min_side=min_side, max_pixels=max_pixels).image


def upright_rgb(picture: Image.Image, *, max_pixels: int = DEFAULT_MAX_PIXELS) -> Image.Image:
    """Return the pixels of a picture that a caller has opened, as `decode` gives those of a file.

    The picture is not changed. Raises PhotoError.
    """
    _check_size(picture, max_pixels)
    try:
        with DECODING.reserve(decoding_bytes(picture)):
            picture = read_right(picture)
            picture.load()
            orientation = Exif(picture).orientation
            image = to_rgb(picture)
            return image.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else image
    except PhotoError:
        raise
    except Exception as error:
        raise PhotoError(reason(error, (picture.format or "picture",))) from error


def _open(source: bytes | Path) -> IO[bytes]:
    if isinstance(source, bytes):
        return io.BytesIO(source)
    try:
        return open_regular(source)
    except (OSError, ValueError) as error:
        raise PhotoError(f"can't be read: {getattr(error, 'strerror', None) or error}") from error


def _read_header(file: IO[bytes], formats: tuple[str, ...], max_pixels: int) -> ImageFile.ImageFile:
    picture = open_reader(file, formats)
    _check_size(picture, max_pixels)
    return picture


def _check_size(picture: Image.Image, max_pixels: int) -> None:
    """Raise PhotoError for more than `max_pixels` pixels."""
    width, height = getattr(picture, "stored_size", picture.size)
    if width * height > max_pixels:
        raise PhotoError(
            f"too large: {width} x {height} is {width * height / 1e6:.0f} megapixels, "
            f"the limit is {max_pixels / 1e6:.0f}"
        )


def _read_photo(
    file: IO[bytes],
    formats: tuple[str, ...],
    accept_part: bool,
    *,
    mtime_ns: int,
    min_side: int | None,
    max_pixels: int,
    gps: bool,
    memory: ExitStack,
) -> DecodedPhoto:
    size = file.seek(0, os.SEEK_END)
    picture = _read_header(file, formats, max_pixels)
    format_ = str(picture.format)
    orientation = _orientation_applied_by_plugin(picture)
    full = picture.size
    scale = _dct_scale(full, min_side) if min_side and format_ == "JPEG" else 1
    if scale > 1:
        picture.draft(None, (full[0] // scale, full[1] // scale))
    with ExitStack() as reserved:
        reserved.enter_context(DECODING.reserve(decoding_bytes(picture, size)))
        problem = _load(picture, accept_part)
        exif = Exif(picture)
        taken = taken_in(picture, exif, file) or taken_at_mtime(mtime_ns)
        if "icc_profile" not in picture.info and (profile := profile_of(picture, file)):
            picture.info["icc_profile"] = profile
        image = to_rgb(picture)
        if scale > 1:
            image = _without_partial_edges(image, full, scale)
        if exif.orientation in _UPRIGHT:
            image = image.transpose(_UPRIGHT[exif.orientation])
        memory.push(reserved.pop_all())
    if scale == 1:  # a HEIC's size is reliable only after decoding
        full = getattr(picture, "full_size", image.size)
    elif exif.orientation >= 5:
        full = full[::-1]
    latitude, longitude = exif.position if gps else (None, None)
    info = PhotoInfo(
        *full,
        format=format_,
        taken=taken.date,
        taken_source=taken.source,
        camera=exif.camera,
        orientation=orientation or exif.orientation,
        latitude=latitude,
        longitude=longitude,
        partial=problem,
    )
    return DecodedPhoto(image, info)


def _load(picture: ImageFile.ImageFile, accept_part: bool) -> str | None:
    """Decode the pixels; return what is wrong if only a part of them could be decoded, and is accepted."""
    try:
        picture.load()
    except Exception as error:  # any type
        if not accept_part or picture._im is None:
            raise
        box = picture._new(picture.im).getbbox(alpha_only=False)
        if box is None or box[3] - box[1] < MIN_SHARE * picture.height:
            raise
        picture.tile = []
        return reason(error, (str(picture.format),))
    return None


def _dct_scale(size: tuple[int, int], min_side: int) -> int:
    """Largest reduction, 8, 4, 2 or 1, that keeps the margin."""
    return next((scale for scale in (8, 4, 2) if min(size) >= DCT_MARGIN * min_side * scale), 1)


def _without_partial_edges(image: Image.Image, full: tuple[int, int], scale: int) -> Image.Image:
    """Resample a reduced image so that its last column and row cover as much as the others.

    libjpeg rounds the reduced size up: 4001 pixels at 1/8 become 501, the last of which covers one pixel
    instead of eight. It would shift the image by up to a pixel, and a shift changes an embedding more
    than the reduction. Images whose sides are multiples of the scale, as from most cameras, are unchanged.
    """
    width, height = full[0] / scale, full[1] / scale
    if image.size == (width, height):
        return image
    # Lanczos: a softer filter would blur at almost the same size.
    return image.resize((round(width), round(height)), Image.Resampling.LANCZOS, box=(0, 0, width, height))


def _orientation_applied_by_plugin(picture: ImageFile.ImageFile) -> int | None:
    """Stored orientation in formats whose plugin applies it and drops the tag; else None."""
    if picture.format == "TIFF":
        return valid_orientation(cast("Any", picture).tag_v2.get(ORIENTATION))
    if picture.format == "HEIF":
        return valid_orientation(picture.info.get("original_orientation"))
    return None
