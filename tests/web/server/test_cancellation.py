import asyncio
import threading
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="the server needs clipsight[web]")

from clipsight.models.encoder import Cancelled
from clipsight.web.server import cancellation
from clipsight.web.server.cancellation import RequestThreads


class Visitor:
    """Stands for a request: `receive` waits until the client has gone."""

    def __init__(self) -> None:
        self.gone = asyncio.Event()

    async def receive(self) -> dict[str, str]:
        await self.gone.wait()
        return {"type": "http.disconnect"}


def run(visits: Any) -> Any:
    return asyncio.run(asyncio.wait_for(visits, 30))


def test_a_call_is_told_when_its_client_has_gone() -> None:
    async def visit() -> bool:
        visitor = Visitor()
        begun = threading.Event()

        def work(gone: threading.Event) -> bool:
            begun.set()
            return gone.wait(20)

        answer: Any = asyncio.create_task(RequestThreads().run_until_disconnect(visitor, work))  # type: ignore[arg-type]
        await asyncio.to_thread(begun.wait, 20)
        visitor.gone.set()
        return bool(await answer)

    assert run(visit()) is True


def test_a_call_whose_client_has_gone_before_is_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cancellation, "MAX_THREADS", 1)
    begun: list[str] = []

    async def visit() -> None:
        shared, first, second, finish = RequestThreads(), Visitor(), Visitor(), threading.Event()

        def work(name: str) -> Any:
            def function(gone: threading.Event) -> None:
                begun.append(name)
                finish.wait(20)

            return function

        waiting = [
            asyncio.create_task(shared.run_until_disconnect(each, work(name)))  # type: ignore[arg-type]
            for name, each in (("first", first), ("second", second))
        ]
        while not begun:
            await asyncio.sleep(0.01)
        second.gone.set()
        await asyncio.sleep(0.05)
        finish.set()
        await waiting[0]
        with pytest.raises(Cancelled):
            await waiting[1]

    run(visit())
    assert begun == ["first"]


def test_all_calls_end_with_the_server() -> None:
    async def visit() -> bool:
        shared, begun = RequestThreads(), threading.Event()

        def work(gone: threading.Event) -> bool:
            begun.set()
            return gone.wait(20)

        answer: Any = asyncio.create_task(shared.run_until_disconnect(Visitor(), work))  # type: ignore[arg-type]
        await asyncio.to_thread(begun.wait, 20)
        shared.cancel_all()
        return bool(await answer)

    assert run(visit()) is True
