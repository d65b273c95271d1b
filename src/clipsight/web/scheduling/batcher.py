"""Many threads ask for one thing each; few threads do what has come in at once. Used by `web.encoder`.

Nothing waits for company: what has come in while one batch ran, or waited for its turn, is the next batch. A
lone caller is served at once, and thirty-two at a time cost a few runs of the encoder instead of thirty-two.
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

_LOOK_SECONDS = 0.2
"""How often a waiting caller looks whether it has been stopped."""


@dataclass
class _Request(Generic[Item, Result]):
    items: Sequence[Item]
    stop: Stop | None
    answer: "Future[Sequence[Result]]" = field(default_factory=Future)

    @property
    def is_wanted(self) -> bool:
        return self.stop is None or not self.stop.is_set()


class Batcher(Generic[Item, Result]):
    """Calls `work` with the items of waiting callers, about `most` items at once, on `threads` threads.

    `work` takes items and gives as many results, in their order. What it raises is raised in every caller
    of that batch. A batch is put together, and worked at, inside `turn`.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[list[Item]], Iterable[Result]],
        most: int,
        threads: int = 1,
        *,
        turn: AbstractContextManager[object],
    ) -> None:
        self._work = work
        self._turn = turn
        self._most = most
        self._waiting: queue.SimpleQueue[_Request[Item, Result] | None] = queue.SimpleQueue()
        self._closed = False
        self._threads = [
            threading.Thread(target=self._run, name=f"clipsight-{name}", daemon=True) for _ in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def __call__(self, items: Sequence[Item], *, stop: Stop | None = None) -> Sequence[Result]:
        """Results of `items`. Raises Cancelled once `stop` is set, or if the batcher is closed."""
        request: _Request[Item, Result] = _Request(items, stop)
        self._waiting.put(request)
        while True:
            try:
                return request.answer.result(timeout=_LOOK_SECONDS)
            except TimeoutError:
                if request.answer.done():  # the work's own TimeoutError
                    raise
                if self._closed or not request.is_wanted:
                    raise Cancelled from None

    def close(self) -> None:
        """End the threads, after the batches that they are at; whoever still waits gets Cancelled."""
        self._closed = True
        for _ in self._threads:
            self._waiting.put(None)
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while (first := self._waiting.get()) is not None and not self._closed:
            with self._turn:
                batch = self._take(first)
                if batch:
                    self._serve(batch)

    def _take(self, first: "_Request[Item, Result]") -> "list[_Request[Item, Result]]":
        """`first` and those that wait behind it, without callers that have gone."""
        batch = [first] if first.is_wanted else []
        count = sum(len(request.items) for request in batch)
        while count < self._most:
            try:
                request = self._waiting.get_nowait()
            except queue.Empty:
                break
            if request is None:  # closing: `_run` must see it too
                self._waiting.put(None)
                break
            if request.is_wanted:
                batch.append(request)
                count += len(request.items)
        return batch

    def _serve(self, batch: "list[_Request[Item, Result]]") -> None:
        try:
            results = list(self._work([item for request in batch for item in request.items]))
        except BaseException as error:
            for request in batch:
                request.answer.set_exception(error)
            return
        start = 0
        for request in batch:
            request.answer.set_result(results[start : start + len(request.items)])
            start += len(request.items)
