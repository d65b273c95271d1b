"""How many threads may compute at once, and how many there should be: more, where they wait for files.

Used by `pipeline` only.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition

_MOST_WAITING = 16
"""Threads there may be for slow disks, beside those that keep the cores busy; each holds a file in memory."""


class Cores:
    """So many CPU cores, which threads hold for as long as they compute."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._free = count
        self._computed = 0.0
        self._read = 0.0
        self._changed = Condition()

    @property
    def most_threads(self) -> int:
        """The most that `threads` will ever be."""
        return self.count + 2 + _MOST_WAITING

    @property
    def threads(self) -> int:
        """How many threads keep the cores busy: the more, the longer they have waited for files so far."""
        with self._changed:
            waiting = self._read / self._computed if self._computed else 0.0
        return min(self.most_threads, self.count + 2 + int(self.count * waiting))

    @contextmanager
    def computing(self, cores: int = 1) -> Iterator[None]:
        """Hold `cores` of them, no more than there are, once they are free."""
        with self._changed:
            self._changed.wait_for(lambda: self._free >= cores)
            self._free -= cores
        started = time.perf_counter()
        try:
            yield
        finally:
            with self._changed:
                self._free += cores
                self._computed += (time.perf_counter() - started) * cores
                self._changed.notify_all()

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Wait for a file; holds none."""
        started = time.perf_counter()
        try:
            yield
        finally:
            with self._changed:
                self._read += time.perf_counter() - started
