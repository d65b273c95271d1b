"""Dynamic batching: requests of many threads, computed together by a few.

Requests never wait for more to arrive: those submitted while a batch runs, or waits for a permit, form the
next batch. A single request is computed at once; 32 simultaneous ones cost a few encoder runs.
"""

import queue
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from clipsight.models.encoder import Cancelled, Stop

Item = TypeVar("Item")
Result = TypeVar("Result")

_POLL_SECONDS = 0.2
"""Interval at which a waiting caller checks its `stop`."""


@dataclass
class _Request(Generic[Item, Result]):
    items: Sequence[Item]
    stop: Stop | None
    results: "Future[Sequence[Result]]" = field(default_factory=Future)

    @property
    def is_cancelled(self) -> bool:
        return self.stop is not None and self.stop.is_set()


class Batcher(Generic[Item, Result]):
    """Calls `compute` with the items of waiting callers, about `max_items` at once, on `threads` threads.

    `compute` returns one result per item, in order. An exception that it raises is raised in every caller of
    that batch. A batch is collected and computed while `permit` is held.
    """

    def __init__(
        self,
        name: str,
        compute: Callable[[list[Item]], Iterable[Result]],
        max_items: int,
        threads: int = 1,
        *,
        permit: AbstractContextManager[object],
    ) -> None:
        self._compute = compute
        self._permit = permit
        self._max_items = max_items
        self._waiting: queue.SimpleQueue[_Request[Item, Result] | None] = queue.SimpleQueue()
        self._closed = False
        self._threads = [
            threading.Thread(target=self._run, name=f"clipsight-{name}", daemon=True) for _ in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def __call__(self, items: Sequence[Item], *, stop: Stop | None = None) -> Sequence[Result]:
        """Return the results of `items`. Raises `Cancelled` once `stop` is set or the batcher is closed."""
        request: _Request[Item, Result] = _Request(items, stop)
        self._waiting.put(request)
        while True:
            try:
                return request.results.result(timeout=_POLL_SECONDS)
            except TimeoutError:
                if request.results.done():  # a TimeoutError of `compute`
                    raise
                if self._closed or request.is_cancelled:
                    raise Cancelled from None

    def close(self) -> None:
        """End the threads after their current batches; callers that still wait get `Cancelled`."""
        self._closed = True
        for _ in self._threads:
            self._waiting.put(None)
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while (first := self._waiting.get()) is not None and not self._closed:
            with self._permit:
                batch = self._collect(first)
                if batch:
                    self._compute_batch(batch)

    def _collect(self, first: "_Request[Item, Result]") -> "list[_Request[Item, Result]]":
        """`first` and the requests queued behind it, without cancelled ones."""
        batch = [] if first.is_cancelled else [first]
        count = sum(len(request.items) for request in batch)
        while count < self._max_items:
            try:
                request = self._waiting.get_nowait()
            except queue.Empty:
                break
            if request is None:  # closing: `_run` must see it too
                self._waiting.put(None)
                break
            if not request.is_cancelled:
                batch.append(request)
                count += len(request.items)
        return batch

    def _compute_batch(self, batch: "list[_Request[Item, Result]]") -> None:
        try:
            results = list(self._compute([item for request in batch for item in request.items]))
        except BaseException as error:
            for request in batch:
                request.results.set_exception(error)
            return
        start = 0
        for request in batch:
            request.results.set_result(results[start : start + len(request.items)])
            start += len(request.items)
