"""Thumbnails: small JPEGs, made on demand and cached in an SQLite file that may be deleted."""

import io
import sqlite3
import threading
from contextlib import suppress
from pathlib import Path

from PIL import Image

from clipsight.store.database import SQLITE_ERRORS

SIZES = (160, 320, 640, 1280)
"""Pixels of the longer side."""

MAX_BYTES = 1 << 30
"""Size of the cache, some 60,000 thumbnails of 320 pixels; the oldest are evicted first."""

_QUALITY = 80
_EVICTED = 0.1  # fraction of the thumbnails that are evicted at once
_TIMEOUT_SECONDS = 5.0


def round_size(size: int) -> int:
    """Round up to one of `SIZES`; down to the largest if there is none."""
    return next((each for each in SIZES if each >= size), SIZES[-1])


def encode(image: Image.Image, size: int) -> bytes:
    """Encode the upright RGB `image` as JPEG, at most `size` pixels a side; shrinks `image` in place."""
    image.thumbnail((size, size), Image.Resampling.BICUBIC, reducing_gap=2.0)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=_QUALITY, optimize=True)
    return out.getvalue()


class ThumbnailCache:
    """JPEGs by key in `file`. SQLite errors never surface: a thumbnail is then simply made again."""

    def __init__(self, file: Path, max_bytes: int = MAX_BYTES) -> None:
        self._file = file
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._connection = self._open()

    def get(self, key: str) -> bytes | None:
        """The JPEG of `key`; None if it is not cached."""
        with self._lock, suppress(*SQLITE_ERRORS):
            row = self._connection.execute("SELECT jpeg FROM thumbnails WHERE key = ?", (key,)).fetchone()
            return None if row is None else bytes(row[0])
        return None

    def put(self, key: str, jpeg: bytes) -> None:
        """Add a JPEG, and evict the oldest if there is no room for it."""
        with self._lock, suppress(*SQLITE_ERRORS), self._connection:
            if self._used_bytes() + len(jpeg) > self._max_bytes:
                self._connection.execute(
                    "DELETE FROM thumbnails WHERE number <= (SELECT min(number) + ? * (max(number) - "
                    "min(number) + 1) FROM thumbnails)",
                    (_EVICTED,),
                )
            self._connection.execute(
                "INSERT OR REPLACE INTO thumbnails (key, jpeg) VALUES (?, ?)", (key, jpeg)
            )

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def _used_bytes(self) -> int:
        """Size of the used pages of the file."""
        (size,), (pages,), (free,) = (
            self._connection.execute(f"PRAGMA {what}").fetchone()
            for what in ("page_size", "page_count", "freelist_count")
        )
        return int(size * (pages - free))

    def _open(self) -> sqlite3.Connection:
        try:
            return _connect(str(self._file))
        except SQLITE_ERRORS:
            # Damaged or not writable. Start again with an empty file; if that fails too, in memory.
            with suppress(OSError):
                self._file.unlink()
            with suppress(*SQLITE_ERRORS):
                return _connect(str(self._file))
            return _connect(":memory:")


def _connect(name: str) -> sqlite3.Connection:
    connection = sqlite3.connect(name, timeout=_TIMEOUT_SECONDS, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = OFF")  # a file damaged by a power cut is made again
    connection.execute(
        "CREATE TABLE IF NOT EXISTS thumbnails "
        "(number INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, jpeg BLOB NOT NULL)"
    )
    return connection
