"""Service calls on worker threads that are cancelled when their client disconnects."""

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

import anyio
import anyio.to_thread
from starlette.requests import Request

from clipsight.models.encoder import Cancelled

Result = TypeVar("Result")

MAX_THREADS = 64
"""Maximum number of simultaneous calls. Most of them wait for the encoder, which batches them."""


class RequestThreads:
    """Runs blocking functions on threads, so that the event loop stays free."""

    def __init__(self) -> None:
        self._limiter = anyio.CapacityLimiter(MAX_THREADS)
        self._running: set[threading.Event] = set()
        self.shutting_down = False
        """True once the server shuts down: long-lived streams should end."""

    async def run(self, function: Callable[[], Result]) -> Result:
        """Return what `function` returns, or raise what it raises."""
        return await anyio.to_thread.run_sync(function, limiter=self._limiter)

    async def run_until_disconnect(
        self, request: Request, function: Callable[[threading.Event], Result]
    ) -> Result:
        """Run `function` with an event that is set once the client disconnects or the server ends.

        `function` should then raise `Cancelled`. If the event is set before a thread is free, `function` is
        not called and `Cancelled` is raised.
        """
        stop = threading.Event()

        def call() -> Result:
            if stop.is_set():
                raise Cancelled
            return function(stop)

        watcher = asyncio.create_task(_set_on_disconnect(request, stop))
        self._running.add(stop)
        try:
            return await anyio.to_thread.run_sync(call, limiter=self._limiter)
        finally:
            self._running.discard(stop)
            watcher.cancel()

    def cancel_all(self) -> None:
        """Cancel all running calls, as if their clients had disconnected."""
        for stop in list(self._running):
            stop.set()


async def _set_on_disconnect(request: Request, stop: threading.Event) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
    stop.set()
