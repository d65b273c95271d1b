"""A budget for the memory of decoded pictures, over all threads of the process."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition, Lock

BYTES_PER_PIXEL = 12
"""Memory of a picture at most: as decoded, as converted to RGB, and as turned upright, 4 bytes each."""


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
"""The budget of `media.photo.decode`: a picture of more than 178 megapixels is decoded alone."""
