"""A semaphore with three priorities, which limits how many threads compute at once.

Decoding a photo may take a gigabyte of memory; and too many computing threads would delay threads with little
to do, such as sending a thumbnail.
"""

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from clipsight.models.encoder import Cancelled, Stop

MAX_SKIPS = 32
"""A lane with waiting threads gets at least one of this many permits (one more if two lanes are due)."""


class PrioritySemaphore:
    """At most `permits` threads at once inside `with semaphore.high:`, `.normal` and `.low` together.

    Waiting threads of the high lane go before those of the normal lane, and these before the low lane, except
    that no lane is skipped more than `max_skips` times. Each lane is first in, first out. Not reentrant.
    """

    def __init__(self, permits: int, *, max_skips: int = MAX_SKIPS) -> None:
        self._free = permits
        self._max_skips = max_skips
        self._lock = threading.Lock()
        self.high = Lane(self)
        """Work of milliseconds: embedding texts, comparing vectors."""
        self.normal = Lane(self)
        """Pictures of queries, explanations and classification."""
        self.low = Lane(self)
        """Thumbnails that have to be made."""
        self._lanes = (self.high, self.normal, self.low)

    def acquire(self, lane: "Lane") -> None:
        """Wait in `lane` for a permit."""
        with self._lock:
            if self._free:  # then no thread is waiting
                self._free -= 1
                return
            granted = threading.Event()
            lane.waiting.append(granted)
        granted.wait()

    def release(self) -> None:
        """Return a permit: it goes straight to the next waiting thread, never to a later one."""
        with self._lock:
            lanes = [lane for lane in self._lanes if lane.waiting]
            if not lanes:
                self._free += 1
                return
            chosen = next((lane for lane in lanes if lane.skips >= self._max_skips - 1), lanes[0])
            for lane in lanes:
                lane.skips += 1
            chosen.skips = 0
            chosen.waiting.popleft().set()


class Lane:
    """The waiting threads of one priority; a context manager that holds a permit."""

    def __init__(self, semaphore: PrioritySemaphore) -> None:
        self.waiting: deque[threading.Event] = deque()
        self.skips = 0
        """Permits that went to other lanes while a thread waited in this one."""
        self._semaphore = semaphore

    def __enter__(self) -> None:
        self._semaphore.acquire(self)

    def __exit__(self, *_: object) -> None:
        self._semaphore.release()

    @contextmanager
    def permit(self, stop: Stop | None) -> Iterator[None]:
        """Hold a permit. Never call a `SharedEncoder` inside: it waits for a permit itself.

        Raises `Cancelled` if `stop` was set while waiting.
        """
        with self:
            if stop is not None and stop.is_set():
                raise Cancelled
            yield
