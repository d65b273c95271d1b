"""Single photos of the library, by id: metadata, thumbnails, files."""

import io
import os
from pathlib import Path

from PIL import Image

from clipsight.core import paths
from clipsight.models.encoder import Stop
from clipsight.store.cache import BlobCache
from clipsight.store.records import State
from clipsight.web.scheduling.priority import PrioritySemaphore
from clipsight.web.service import pictures
from clipsight.web.service.payloads import PhotoDetails, PhotoFile, Thumbnail
from clipsight.web.service.snapshots import CurrentLibrary

THUMBNAIL_SIZES = (160, 320, 640, 1280)
"""Pixels of the longer side; other sizes are rounded up."""

_CACHE_BYTES = 1 << 30
"""Size of the cache, some 60,000 thumbnails of 320 pixels; the oldest are evicted first."""

_QUALITY = 80


class Photos:
    """The photos of the current library; thumbnails are cached in the folder `cache`.

    All methods raise `NotFoundError` for an unknown id, and those that read the photo's file also if it was
    deleted or changed. At most as many threads as `semaphore` permits decode photos.
    """

    def __init__(self, current: CurrentLibrary, semaphore: PrioritySemaphore, cache: Path) -> None:
        self._current = current
        self._semaphore = semaphore
        self._thumbnails = BlobCache(cache / paths.THUMBNAILS, max_bytes=_CACHE_BYTES)

    def details(self, photo_id: int, *, location: bool = False) -> PhotoDetails:
        """Metadata of a photo; `location` adds the coordinates."""
        with self._current.use() as library:
            photo, labels = library.photo(photo_id), library.labels_of(photo_id)
        info = photo.info
        return PhotoDetails(
            id=photo_id,
            path=Path(os.fsdecode(photo.path)),
            size=photo.size,
            width=info.width,
            height=info.height,
            format=info.format,
            taken=info.taken,
            taken_source=info.taken_source,
            camera=info.camera,
            reachable=photo.state is State.PRESENT,
            labels=labels,
            latitude=info.latitude if location else None,
            longitude=info.longitude if location else None,
            partial=info.partial,
        )

    def thumbnail(self, photo_id: int, size: int = 320, *, stop: Stop | None = None) -> Thumbnail:
        """An upright JPEG of at most `size` pixels a side (see `THUMBNAIL_SIZES`), without metadata."""
        shown = next((each for each in THUMBNAIL_SIZES if each >= size), THUMBNAIL_SIZES[-1])
        with self._current.use() as library:
            photo = library.photo(photo_id)
        tag = f"{photo_id}-{photo.mtime_ns:x}-{photo.size:x}-{shown}"
        key = tag.encode()
        jpeg = self._thumbnails.get([key]).get(key)
        if jpeg is None:
            with self._semaphore.low.permit(stop):
                jpeg = _shrink(pictures.open_photo(photo, min_side=shown), shown)
            self._thumbnails.put({key: jpeg})
        return Thumbnail(jpeg, tag)

    def file(self, photo_id: int, *, original: bool = False, stop: Stop | None = None) -> PhotoFile:
        """The photo at full size as a JPEG without metadata; `original`: the file, byte for byte.

        The pixels of a JPEG are unchanged; other formats are encoded again.
        """
        with self._current.use() as library:
            photo = library.photo(photo_id)
        with self._semaphore.normal.permit(stop):
            return pictures.original_file(photo) if original else pictures.stripped_jpeg(photo)


def _shrink(image: Image.Image, size: int) -> bytes:
    """Encode the upright RGB `image` as JPEG, at most `size` pixels a side; shrinks `image` in place."""
    image.thumbnail((size, size), Image.Resampling.BICUBIC, reducing_gap=2.0)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=_QUALITY, optimize=True)
    return out.getvalue()
