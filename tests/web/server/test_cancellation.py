import asyncio
import threading
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="the server needs clipsight[web]")

from clipsight.models.encoder import Cancelled
from clipsight.web.server import cancellation
from clipsight.web.server.cancellation import RequestThreads
from tests.support.waiting import PATIENCE


class FakeRequest:
    """A request whose `receive` waits until the client disconnects."""

    def __init__(self) -> None:
        self.disconnected = asyncio.Event()

    async def receive(self) -> dict[str, str]:
        await self.disconnected.wait()
        return {"type": "http.disconnect"}


def run(main: Any) -> Any:
    return asyncio.run(asyncio.wait_for(main, PATIENCE))


def test_a_call_is_cancelled_when_its_client_disconnects() -> None:
    async def main() -> bool:
        request = FakeRequest()
        begun = threading.Event()

        def work(stop: threading.Event) -> bool:
            begun.set()
            return stop.wait(PATIENCE)

        answer: Any = asyncio.create_task(RequestThreads().run_until_disconnect(request, work))  # type: ignore[arg-type]
        await asyncio.to_thread(begun.wait, PATIENCE)
        request.disconnected.set()
        return bool(await answer)

    assert run(main()) is True


def test_a_call_cancelled_while_it_waits_is_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cancellation, "MAX_THREADS", 1)
    begun: list[str] = []

    async def main() -> None:
        shared, first, second, finish = RequestThreads(), FakeRequest(), FakeRequest(), threading.Event()

        def work(name: str) -> Any:
            def function(stop: threading.Event) -> None:
                begun.append(name)
                finish.wait(PATIENCE)

            return function

        waiting = [
            asyncio.create_task(shared.run_until_disconnect(each, work(name)))  # type: ignore[arg-type]
            for name, each in (("first", first), ("second", second))
        ]
        while not begun:
            await asyncio.sleep(0.01)
        second.disconnected.set()
        await asyncio.sleep(0.05)
        finish.set()
        await waiting[0]
        with pytest.raises(Cancelled):
            await waiting[1]

    run(main())
    assert begun == ["first"]


def test_all_calls_are_cancelled_with_the_server() -> None:
    async def main() -> bool:
        shared, begun = RequestThreads(), threading.Event()

        def work(stop: threading.Event) -> bool:
            begun.set()
            return stop.wait(PATIENCE)

        answer: Any = asyncio.create_task(shared.run_until_disconnect(FakeRequest(), work))  # type: ignore[arg-type]
        await asyncio.to_thread(begun.wait, PATIENCE)
        shared.cancel_all()
        return bool(await answer)

    assert run(main()) is True
