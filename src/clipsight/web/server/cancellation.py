"""A service call on a thread, for an endpoint: ended when the client goes away. Called by `api` only."""

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

import anyio
import anyio.to_thread
from starlette.requests import Request

from clipsight.models.encoder import Cancelled

Answer = TypeVar("Answer")

MOST_THREADS = 64
"""Calls at once; others wait. Most of them wait for the encoder anyway, which makes its batches."""


class Calls:
    """Runs blocking functions on threads, so that the event loop stays free."""

    def __init__(self) -> None:
        self._limit = anyio.CapacityLimiter(MOST_THREADS)
        self._running: set[threading.Event] = set()
        self.ending = False
        """Whether the server is about to end: streams that would go on for long should not."""

    async def __call__(self, function: Callable[[], Answer]) -> Answer:
        """What `function` returns or raises."""
        return await anyio.to_thread.run_sync(function, limiter=self._limit)

    async def until_gone(self, request: Request, function: Callable[[threading.Event], Answer]) -> Answer:
        """The same with an event that is set when the client has gone, or the server shuts down.

        `function` then raises `encoder.Cancelled`, which nobody waits for; it is not begun any more.
        """
        gone = threading.Event()

        def unless_gone() -> Answer:
            if gone.is_set():
                raise Cancelled
            return function(gone)

        watcher = asyncio.create_task(_watch(request, gone))
        self._running.add(gone)
        try:
            return await anyio.to_thread.run_sync(unless_gone, limiter=self._limit)
        finally:
            self._running.discard(gone)
            watcher.cancel()

    def end(self) -> None:
        """End all calls, as if their clients had gone."""
        for gone in list(self._running):
            gone.set()


async def _watch(request: Request, gone: threading.Event) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
    gone.set()
