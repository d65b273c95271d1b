"""Which thread computes next: as many at once as there are cores, searches before what can wait.

A photo being decoded may take a gigabyte of memory, and threads that compute would keep from the cores those
that have next to nothing to do, such as to send a thumbnail. Used by `service` and, through it, `encoder`.
"""

import threading
from collections import deque

PATIENCE = 4
"""Of so many turns given while both kinds wait, one goes to what can wait, lest it wait for ever."""


class Turns:
    """At most `count` threads are inside `with turns.first:` and `with turns.later:` together.

    Those that wait for `first` come before those that wait for `later`, but for one turn in `PATIENCE`; among
    themselves they come in order. Whoever is inside must not enter again.
    """

    def __init__(self, count: int) -> None:
        self._free = count
        self._passed = 0
        self._lock = threading.Lock()
        self.first = Line(self)
        self.later = Line(self)

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
            line = self._next_line()
            if line is None:
                self._free += 1
            else:
                line.waiting.popleft().set()

    def _next_line(self) -> "Line | None":
        if not self.later.waiting:
            return self.first if self.first.waiting else None
        if self.first.waiting and self._passed < PATIENCE - 1:
            self._passed += 1
            return self.first
        self._passed = 0
        return self.later


class Line:
    """Those who wait for their turn; any number of threads may be inside `with line:` one after another."""

    def __init__(self, turns: Turns) -> None:
        self.waiting: deque[threading.Event] = deque()
        self._turns = turns

    def __enter__(self) -> None:
        self._turns.take(self)

    def __exit__(self, *_: object) -> None:
        self._turns.give()
