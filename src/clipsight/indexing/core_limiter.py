"""A limit on the CPU cores that threads use at once, and the number of threads that keeps the cores busy."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition

_MAX_IO_THREADS = 16
"""Extra threads for slow disks, beside those that keep the cores busy; each holds a file in memory."""


class CoreLimiter:
    """A counting semaphore of CPU cores that also measures how long threads wait for files."""

    def __init__(self, cores: int) -> None:
        self.cores = cores
        self._free = cores
        self._compute_seconds = 0.0
        self._io_seconds = 0.0
        self._condition = Condition()

    @property
    def max_threads(self) -> int:
        """Upper bound of `target_threads`."""
        return self.cores + 2 + _MAX_IO_THREADS

    @property
    def target_threads(self) -> int:
        """Number of threads that keeps the cores busy: it grows with the time spent waiting for files."""
        with self._condition:
            io_ratio = self._io_seconds / self._compute_seconds if self._compute_seconds else 0.0
        return min(self.max_threads, self.cores + 2 + int(self.cores * io_ratio))

    @contextmanager
    def compute(self, cores: int = 1) -> Iterator[None]:
        """Acquire `cores` cores, waiting until they are free, and release them after the block."""
        with self._condition:
            self._condition.wait_for(lambda: self._free >= cores)
            self._free -= cores
        started = time.perf_counter()
        try:
            yield
        finally:
            with self._condition:
                self._free += cores
                self._compute_seconds += (time.perf_counter() - started) * cores
                self._condition.notify_all()

    @contextmanager
    def read(self) -> Iterator[None]:
        """Count the time spent reading a file; holds no core."""
        started = time.perf_counter()
        try:
            yield
        finally:
            with self._condition:
                self._io_seconds += time.perf_counter() - started
