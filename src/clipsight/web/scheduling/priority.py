"""Which thread computes next: as many at once as there are cores, what is short or urgent before the rest.

A photo being decoded may take a gigabyte of memory, and threads that compute would keep from the cores those
that have next to nothing to do, such as to send a thumbnail. Used by `service` and `encoder`.
"""

import threading
from collections import deque

PATIENCE = 32
"""A line that waits gets one turn in so many, or in one more if two lines are due, lest it wait for ever."""


class Turns:
    """At most `count` threads are inside `with turns.first:`, `turns.second` and `turns.last` together.

    Those that wait in the first line come before the second, and these before the last, but for `patience`;
    in a line they come in order. Whoever is inside must not enter again.
    """

    def __init__(self, count: int, *, patience: int = PATIENCE) -> None:
        self._free = count
        self._patience = patience
        self._lock = threading.Lock()
        self.first = Line(self)
        """For what takes milliseconds: texts to embed, vectors to compare."""
        self.second = Line(self)
        """For pictures that are asked with, explained or classified."""
        self.last = Line(self)
        """For thumbnails that must be made."""
        self._lines = (self.first, self.second, self.last)

    def take(self, line: "Line") -> None:
        """Wait in `line` for a turn."""
        with self._lock:
            if self._free:  # then nobody waits
                self._free -= 1
                return
            called = threading.Event()
            line.waiting.append(called)
        called.wait()

    def give(self) -> None:
        """End a turn: it is handed to whoever is next, past those that only now come."""
        with self._lock:
            lines = [line for line in self._lines if line.waiting]
            if not lines:
                self._free += 1
                return
            chosen = next((line for line in lines if line.passed >= self._patience - 1), lines[0])
            for line in lines:
                line.passed += 1
            chosen.passed = 0
            chosen.waiting.popleft().set()


class Line:
    """Those who wait for their turn; any number of threads may be inside `with line:` one after another."""

    def __init__(self, turns: Turns) -> None:
        self.waiting: deque[threading.Event] = deque()
        self.passed = 0
        """How many turns others got while somebody waited here."""
        self._turns = turns

    def __enter__(self) -> None:
        self._turns.take(self)

    def __exit__(self, *_: object) -> None:
        self._turns.give()
