"""Decoding of uploads, within limits, and of library photos; photo files with and without metadata."""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from PIL import Image

from clipsight.core.errors import NotFoundError, PhotoError, UploadError
from clipsight.core.files import mtime_ns, open_regular
from clipsight.indexing.media.photo import DecodedPhoto, decode, open_picture
from clipsight.store.records import PhotoRecord
from clipsight.web.service.jpeg import strip_metadata
from clipsight.web.service.payloads import PhotoFile
from clipsight.web.service.query_parts import UploadPart

MAX_UPLOAD_BYTES = 32 << 20
"""Limit of one uploaded picture."""

MAX_UPLOAD_PIXELS = 64_000_000
"""Limit of width x height of an uploaded picture, according to its header: 200 MB as RGB."""

_QUALITY = 92
_THUMBNAIL_QUALITY = 80
_MEDIA_TYPES = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "WEBP": "image/webp",
    "GIF": "image/gif",
    "BMP": "image/bmp",
    "TIFF": "image/tiff",
    "JPEG2000": "image/jp2",
    "PPM": "image/x-portable-anymap",
    "AVIF": "image/avif",
    "HEIF": "image/heif",
    "JXL": "image/jxl",
}


def open_upload(picture: UploadPart, *, min_side: int) -> Image.Image:
    """Decode an upload to upright RGB, at a reduced size of at least `min_side` where the format allows it.

    Raises `UploadError`.
    """
    megabytes = len(picture.data) / 1e6
    if len(picture.data) > MAX_UPLOAD_BYTES:
        limit = MAX_UPLOAD_BYTES / 1e6
        raise UploadError(
            f"{picture.name} has {megabytes:.0f} MB, the limit is {limit:.0f}: send a smaller picture"
        )
    try:
        return open_picture(picture.data, min_side=min_side, max_pixels=MAX_UPLOAD_PIXELS)
    except PhotoError as error:
        raise UploadError(f"can't use the picture {picture.name}: {error}") from error


def open_photo(photo: PhotoRecord, *, min_side: int) -> Image.Image:
    """Decode a library photo to upright RGB, like `open_upload`. Raises `NotFoundError`."""
    return _decode(photo, _read(photo), min_side).image


def check_unchanged(photo: PhotoRecord) -> None:
    """Raise `NotFoundError` unless the photo's file is readable and the same as when it was indexed."""
    with _open(photo):
        pass


def original_file(photo: PhotoRecord) -> PhotoFile:
    """The photo's file, byte for byte. Raises `NotFoundError`."""
    data = _read(photo)
    format_ = photo.info.format or _decode(photo, data, None).info.format
    assert format_ is not None  # decoding determines it
    return PhotoFile(data, _MEDIA_TYPES[format_], _name(photo))


def stripped_jpeg(photo: PhotoRecord) -> PhotoFile:
    """The photo as a JPEG without metadata. Raises `NotFoundError`.

    The pixels of a JPEG are unchanged; other formats, and damaged JPEGs, are encoded again.
    """
    data = _read(photo)
    jpeg = strip_metadata(data)
    if jpeg is None:
        out = io.BytesIO()
        _decode(photo, data, None).image.save(out, "JPEG", quality=_QUALITY, subsampling=0)
        jpeg = out.getvalue()
    return PhotoFile(jpeg, "image/jpeg", f"{Path(_name(photo)).stem}.jpg")


def shrink(image: Image.Image, size: int) -> bytes:
    """Encode the upright RGB `image` as JPEG, at most `size` pixels a side; shrinks `image` in place."""
    image.thumbnail((size, size), Image.Resampling.BICUBIC, reducing_gap=2.0)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=_THUMBNAIL_QUALITY, optimize=True)
    return out.getvalue()


def _name(photo: PhotoRecord) -> str:
    return os.path.basename(photo.path).decode(errors="replace")


def _decode(photo: PhotoRecord, data: bytes, min_side: int | None) -> DecodedPhoto:
    try:
        return decode(data, mtime_ns=photo.mtime_ns, min_side=min_side)
    except PhotoError as error:
        raise NotFoundError(f"photo {photo.id} can't be shown ({error}): index its folder again") from error


def _read(photo: PhotoRecord) -> bytes:
    with _open(photo) as file:
        return file.read(photo.size)


@contextmanager
def _open(photo: PhotoRecord) -> Iterator[BinaryIO]:
    """Open the photo's file. Raises `NotFoundError` unless size and mtime are those that were indexed.

    Without this check, a file or link put in its place would be sent.
    """
    try:
        with open_regular(photo.path) as file:
            stat = os.fstat(file.fileno())
            if (stat.st_size, mtime_ns(stat)) != (photo.size, photo.mtime_ns):
                raise NotFoundError(
                    f"photo {photo.id} has changed since it was indexed: index its folder again"
                )
            yield file
    except OSError as error:
        raise NotFoundError(
            f"photo {photo.id} can't be read ({error.strerror}): it was moved or deleted after "
            "it was indexed, or its disk is not connected: index its folder again"
        ) from error
