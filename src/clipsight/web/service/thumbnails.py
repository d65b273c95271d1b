"""Small JPEGs of photos, made when they are first asked for and kept in one file that may be deleted.

Called by `service` only.
"""

import io
import sqlite3
import threading
from contextlib import suppress
from pathlib import Path

from PIL import Image

from clipsight.store.database import SQLITE_ERRORS

SIZES = (160, 320, 640, 1280)
"""Pixels of the longer side; what is asked for is rounded up to one of these."""

MOST_BYTES = 1 << 30
"""Of the file; the oldest thumbnails go first. Some 60,000 of 320 pixels."""

_QUALITY = 80
_DROPPED = 0.1  # of the thumbnails, when there is no room
_WAIT_SECONDS = 5.0


def shown_size(size: int) -> int:
    """The smallest of `SIZES` that is no less than `size`, or the largest."""
    return next((each for each in SIZES if each >= size), SIZES[-1])


def make(image: Image.Image, size: int) -> bytes:
    """A JPEG of the upright RGB `image`, at most `size` pixels a side, with no metadata; shrinks `image`."""
    image.thumbnail((size, size), Image.Resampling.BICUBIC, reducing_gap=2.0)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=_QUALITY, optimize=True)
    return out.getvalue()


class Thumbnails:
    """Thumbnails kept in `file` by key; a convenience: where it can't be written they are made again."""

    def __init__(self, file: Path, most_bytes: int = MOST_BYTES) -> None:
        self._file = file
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._connection = self._open()

    def get(self, key: str) -> bytes | None:
        """The thumbnail with this key, if it is kept."""
        with self._lock, suppress(*SQLITE_ERRORS):
            row = self._connection.execute("SELECT jpeg FROM thumbnails WHERE key = ?", (key,)).fetchone()
            return None if row is None else bytes(row[0])
        return None

    def put(self, key: str, jpeg: bytes) -> None:
        """Keep a thumbnail; the oldest make room for it."""
        with self._lock, suppress(*SQLITE_ERRORS), self._connection:
            if self._bytes() + len(jpeg) > self._most_bytes:
                self._connection.execute(
                    "DELETE FROM thumbnails WHERE number <= (SELECT min(number) + ? * (max(number) - "
                    "min(number) + 1) FROM thumbnails)",
                    (_DROPPED,),
                )
            self._connection.execute(
                "INSERT OR REPLACE INTO thumbnails (key, jpeg) VALUES (?, ?)", (key, jpeg)
            )

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def _bytes(self) -> int:
        """What is in use of the file."""
        (size,), (pages,), (free,) = (
            self._connection.execute(f"PRAGMA {what}").fetchone()
            for what in ("page_size", "page_count", "freelist_count")
        )
        return int(size * (pages - free))

    def _open(self) -> sqlite3.Connection:
        try:
            return _prepared(str(self._file))
        except SQLITE_ERRORS:
            # Damaged, or not to be written. Once more from nothing; if that fails too, in memory.
            with suppress(OSError):
                self._file.unlink()
            with suppress(*SQLITE_ERRORS):
                return _prepared(str(self._file))
            return _prepared(":memory:")


def _prepared(name: str) -> sqlite3.Connection:
    connection = sqlite3.connect(name, timeout=_WAIT_SECONDS, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = OFF")  # a file that a power cut damages is begun anew
    connection.execute(
        "CREATE TABLE IF NOT EXISTS thumbnails "
        "(number INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, jpeg BLOB NOT NULL)"
    )
    return connection
