"""Metrics: what they count, and that their number does not depend on clients."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.types import ASGIApp, Message

from clipsight.web.server.metrics import Metrics
from clipsight.web.service.service import Service
from tests.support.serving import application


@pytest.fixture
def app(tmp_path: Path) -> Iterator[ASGIApp]:
    with Service(tmp_path / "library") as service:
        yield application(service)


async def _request(app: ASGIApp, method: str, path: str, host: str = "localhost") -> bytes:
    body = b""

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        nonlocal body
        body += message.get("body", b"")

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", host.encode())],
    }
    await app(scope, receive, send)
    return body


@pytest.mark.slow
def test_unknown_methods_and_paths_do_not_add_series(app: ASGIApp) -> None:
    async def sizes() -> list[int]:
        found = []
        for batch in range(2):
            for number in range(1250):
                made_up = f"{batch}-{number}"
                await _request(
                    app, f"M{made_up}", f"/api/v1/photos/{made_up}" if number % 2 else f"/{made_up}"
                )
                await _request(app, "GET", f"/x/{made_up}", host=f"{made_up}.example")
            found.append(len(await _request(app, "GET", "/metrics")))
        return found

    first, second = asyncio.run(sizes())
    assert second < 10_000 and second - first < 2000  # the routes of /metrics itself, and longer numbers


def test_requests_are_labelled_by_route_template_and_known_method(app: ASGIApp) -> None:
    async def text() -> str:
        await _request(app, "GET", "/api/v1/photos/17")
        await _request(app, "BREW", "/api/v1/photos/17")
        await _request(app, "GET", "/nowhere")
        await _request(app, "GET", "/api/v1/status", host="evil.example")
        return (await _request(app, "GET", "/metrics")).decode()

    lines = asyncio.run(text()).splitlines()
    requests = {line for line in lines if line.startswith("clipsight_requests_total{")}
    assert requests == {
        'clipsight_requests_total{method="GET",route="/api/v1/photos/{id}",status="404"} 1.0',
        'clipsight_requests_total{method="other",route="/api/v1/photos/{id}",status="405"} 1.0',
        'clipsight_requests_total{method="GET",route="other",status="404"} 1.0',
        'clipsight_requests_total{method="GET",route="other",status="421"} 1.0',
    }
    assert 'clipsight_request_seconds_bucket{le="+Inf",route="/api/v1/photos/{id}"} 2.0' in lines
    assert "clipsight_requests_in_progress 1.0" in lines
    assert not [line for line in lines if "_created" in line]


def test_servers_have_metrics_of_their_own() -> None:
    one, other = Metrics(), Metrics()
    one.observe("/", "GET", 200, 0.1)
    assert b"clipsight_requests_total{" in one.exposition()
    assert b"clipsight_requests_total{" not in other.exposition()
