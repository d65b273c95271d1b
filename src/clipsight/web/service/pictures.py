"""From files to pixels, and to what is sent: uploads within limits, photos of the library without metadata.

Called by `service` only.
"""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from PIL import Image

from clipsight.core.errors import PhotoError
from clipsight.indexing.media.photo import Decoded, decode, open_picture
from clipsight.web.service.errors import NotFoundError, UploadError
from clipsight.web.service.jpeg import without_metadata
from clipsight.web.service.payloads import PhotoFile
from clipsight.web.service.query_parts import UploadPart
from clipsight.web.service.snapshots import Kept

MAX_UPLOAD_BYTES = 32 << 20
"""Of one uploaded picture."""

MAX_UPLOAD_PIXELS = 64_000_000
"""Width x height of an uploaded picture, by its header: 200 MB as RGB."""

_QUALITY = 92
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
}


def open_upload(picture: UploadPart, *, min_side: int) -> Image.Image:
    """The upright RGB pixels of an uploaded picture, at a reduced size if `min_side` allows it.

    Raises `UploadError`.
    """
    megabytes = len(picture.data) / 1e6
    if len(picture.data) > MAX_UPLOAD_BYTES:
        limit = MAX_UPLOAD_BYTES / 1e6
        raise UploadError(f"{picture.name} has {megabytes:.0f} MB, the limit is {limit:.0f}: send it smaller")
    try:
        return open_picture(picture.data, min_side=min_side, max_pixels=MAX_UPLOAD_PIXELS)
    except PhotoError as error:
        raise UploadError(f"can't use the picture {picture.name}: {error}") from error


def open_photo(photo: Kept, *, min_side: int) -> Image.Image:
    """The upright RGB pixels of a photo of the library, perhaps reduced; raises `NotFoundError`."""
    return _decode(photo, _read(photo), min_side).image


def check(photo: Kept) -> None:
    """Raises `NotFoundError` unless the photo's file can be read and is what was indexed."""
    with _open(photo):
        pass


def original(photo: Kept) -> PhotoFile:
    """The photo's file as it is, with all it tells; raises `NotFoundError`."""
    data = _read(photo)
    format_ = photo.description.format or _decode(photo, data, None).info.format
    return PhotoFile(data, _MEDIA_TYPES[format_], _name(photo))


def cleaned(photo: Kept) -> PhotoFile:
    """The photo as a JPEG that tells nothing but its picture; raises `NotFoundError`.

    One that is a JPEG keeps its pixels as they are; others, and JPEGs that are damaged, are written anew.
    """
    data = _read(photo)
    jpeg = without_metadata(data)
    if jpeg is None:
        out = io.BytesIO()
        _decode(photo, data, None).image.save(out, "JPEG", quality=_QUALITY, subsampling=0)
        jpeg = out.getvalue()
    return PhotoFile(jpeg, "image/jpeg", f"{Path(_name(photo)).stem}.jpg")


def _name(photo: Kept) -> str:
    return os.path.basename(photo.path).decode(errors="replace")


def _decode(photo: Kept, data: bytes, min_side: int | None) -> Decoded:
    try:
        return decode(data, mtime_ns=photo.mtime_ns, min_side=min_side)
    except PhotoError as error:
        raise NotFoundError(f"photo {photo.id} can't be shown ({error}): index its folder again") from error


def _read(photo: Kept) -> bytes:
    with _open(photo) as file:
        return file.read(photo.size)


@contextmanager
def _open(photo: Kept) -> Iterator[BinaryIO]:
    """The photo's file, which must be what was indexed, by its size and time.

    Else whatever was put in its place, or a link to it, would be sent. Raises `NotFoundError`.
    """
    try:
        with os.fdopen(_open_without_waiting(photo.path, os.O_RDONLY), "rb") as file:
            stat = os.fstat(file.fileno())
            if (stat.st_size, stat.st_mtime_ns) != (photo.size, photo.mtime_ns):
                raise NotFoundError(
                    f"photo {photo.id} has changed since it was indexed: index its folder again"
                )
            yield file
    except OSError as error:
        raise NotFoundError(
            f"photo {photo.id} can't be read ({error.strerror}): it was moved or deleted after "
            "it was indexed, or its disk is away: index its folder again"
        ) from error


def _open_without_waiting(path: bytes, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # opening a FIFO would wait for ever
