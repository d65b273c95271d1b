"""Uploaded pictures by the hash of their bytes, so that a query with one has an address."""

from hashlib import blake2b
from pathlib import Path

from clipsight.core.errors import NotFoundError
from clipsight.models.encoder import Stop
from clipsight.store.cache import BlobCache
from clipsight.web.scheduling.priority import PrioritySemaphore
from clipsight.web.service import pictures
from clipsight.web.service.query_parts import UploadPart

_FILE = "uploads.sqlite3"
_MAX_BYTES = 256 << 20
"""Size of all kept uploads: room for eight of the largest; the oldest are dropped."""


class Uploads:
    """Uploads kept in the folder `folder`. Ids are 32 hex digits, the same for the same bytes."""

    def __init__(self, folder: Path, semaphore: PrioritySemaphore) -> None:
        self._cache = BlobCache(folder / _FILE, max_bytes=_MAX_BYTES)
        self._semaphore = semaphore

    def keep(self, picture: UploadPart, *, stop: Stop | None = None) -> str:
        """Keep a picture and return its id. Raises `UploadError` if it can't be decoded."""
        with self._semaphore.normal.permit(stop):
            pictures.open_upload(picture, min_side=1)
        id_ = blake2b(picture.data, digest_size=16).hexdigest()
        self._cache.put({id_.encode(): picture.data})
        return id_

    def get(self, id_: str) -> bytes:
        """The bytes of a kept picture. Raises `NotFoundError`."""
        key = id_.encode()
        found = self._cache.get([key]).get(key)
        if found is None:
            raise NotFoundError(f"the picture {id_[:40]!r} is not kept here (any more): upload it again")
        return found

    def thumbnail(self, id_: str, size: int, *, stop: Stop | None = None) -> bytes:
        """An upright JPEG of at most `size` pixels a side. Raises `NotFoundError`."""
        picture = UploadPart(self.get(id_))
        with self._semaphore.low.permit(stop):
            return pictures.shrink(pictures.open_upload(picture, min_side=size), size)
