"""Single photos of the library, by id: metadata, thumbnails, files."""

import os
import zipfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from clipsight.core import paths
from clipsight.core.errors import NotFoundError
from clipsight.indexing.media.picture import Picture
from clipsight.models.encoder import Cancelled, Stop
from clipsight.render.contact_sheet import Item, Sheet, write_sheet
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
                jpeg = pictures.shrink(pictures.open_photo(photo, min_side=shown), shown)
            self._thumbnails.put({key: jpeg})
        return Thumbnail(jpeg, tag)

    def write_zip(self, photo_ids: Sequence[int], file: Path, *, stop: Stop | None = None) -> None:
        """Write the original files of photos to a zip file, which also names those that can't be read."""
        used: Counter[str] = Counter()
        missing = []
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:  # photos are compressed already
            for photo_id in dict.fromkeys(photo_ids):
                if stop is not None and stop.is_set():
                    raise Cancelled
                try:
                    photo = self.file(photo_id, original=True, stop=stop)
                except NotFoundError as error:
                    missing.append(str(error))
                    continue
                stem, suffix = os.path.splitext(photo.name)
                used[photo.name] += 1
                count = f" ({used[photo.name]})" if used[photo.name] > 1 else ""
                archive.writestr(f"{stem}{count}{suffix}", photo.data)
            if missing:
                archive.writestr("left out.txt", "".join(f"{line}\n" for line in missing))

    def write_sheet(
        self, photo_ids: Sequence[int], file: Path, *, title: str = "", stop: Stop | None = None
    ) -> None:
        """Write a contact sheet of photos; one whose file can't be read is a tile with the reason."""
        with self._current.use() as library:
            photos = [library.photo(photo_id) for photo_id in dict.fromkeys(photo_ids)]
        items = []
        for photo in photos:
            path = Path(os.fsdecode(photo.path))
            note = (photo.info.taken or "")[:10]
            items.append(Item(path, Picture(str(path), file=path), note))
        with self._semaphore.low.permit(stop):
            write_sheet(Sheet(title, "", items), file)

    def file(self, photo_id: int, *, original: bool = False, stop: Stop | None = None) -> PhotoFile:
        """The photo at full size as a JPEG without metadata; `original`: the file, byte for byte.

        The pixels of a JPEG are unchanged; other formats are encoded again.
        """
        with self._current.use() as library:
            photo = library.photo(photo_id)
        with self._semaphore.normal.permit(stop):
            return pictures.original_file(photo) if original else pictures.stripped_jpeg(photo)
