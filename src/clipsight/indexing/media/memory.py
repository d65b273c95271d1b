"""A budget for the memory of decoded pictures, over all threads of the process."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition, Lock

from PIL import Image

BYTES_PER_PIXEL = {
    "JPEG": 13,
    "PNG": 13,
    "WEBP": 22,
    "GIF": 13,
    "BMP": 13,
    "TIFF": 13,
    "JPEG2000": 25,
    "PPM": 13,
    "AVIF": 20,
    "HEIF": 13,
    "JXL": 16,
    "RAW": 13,
}
"""Memory of decoding at most, by format: the decoder's buffers, and the picture as decoded, as converted to
RGB and as turned upright, 4 bytes a pixel each. `python -m benchmarks.decoding_memory` measures modes and
codings of each: 12 of most; WebP 21, JPEG 2000 24.4, AVIF 14, JPEG XL 9, and HEIC 12 (by pillow-heif)."""

_BYTES_PER_PIXEL_OF_OTHERS = 13
"""Of pictures that a Python caller has opened."""

COPIES_OF_FILE = 2
"""A file's content as the caller holds it, and as the decoder does."""


class MemoryBudget:
    """A counting semaphore of bytes, first come, first served."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._used = 0
        self._turn = Lock()
        self._released = Condition()

    @contextmanager
    def reserve(self, size: int) -> Iterator[None]:
        """Hold `size` bytes, waiting until they are free; more than the limit is held alone."""
        size = min(size, self.limit)
        with self._turn, self._released:  # whoever waits for much is not overtaken by who needs little
            self._released.wait_for(lambda: self._used + size <= self.limit)
            self._used += size
        try:
            yield
        finally:
            with self._released:
                self._used -= size
                self._released.notify()


DECODING = MemoryBudget(2 << 30)
"""The budget of `media.photo.decode`."""


def decoding_bytes(picture: Image.Image, file_size: int = 0) -> int:
    """Memory that decoding takes at most of a picture whose header is read, with a file of `file_size` bytes.

    Readers say what does not follow from the size that they decode to: `working_bytes` of buffers, and
    `stored_size` of a picture that is a crop of a larger one.
    """
    per_pixel = BYTES_PER_PIXEL.get(picture.format or "", _BYTES_PER_PIXEL_OF_OTHERS)
    working: int = getattr(picture, "working_bytes", 0)
    width, height = getattr(picture, "stored_size", picture.size)
    return int(width * height * per_pixel) + working + COPIES_OF_FILE * file_size
