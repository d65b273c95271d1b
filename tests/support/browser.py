"""A real server and a real browser for tests of the page; screenshots of them stay in build/screenshots/."""

import contextlib
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

SCREENSHOTS = Path(__file__).parents[2] / "build" / "screenshots"
CHROMIUM = next((found for name in ("chromium", "chromium-browser") if (found := shutil.which(name))), None)

PATIENCE = 600_000
"""Milliseconds to wait for what must come: a machine may be busy, and what passes never waits it out."""

needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no chromium: apt-get install chromium")

SWITCHES = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


@contextlib.contextmanager
def serving(library: Path, *roots: Path, root_path: str = "") -> Iterator[str]:
    """The whole application on a free port of 127.0.0.1: its address."""
    import uvicorn

    from clipsight.web.server.app import create_app
    from clipsight.web.server.auth import AccessPolicy
    from clipsight.web.server.cancellation import RequestThreads
    from clipsight.web.service.service import Service

    with socket.create_server(("127.0.0.1", 0)) as listening, Service(library, roots=roots) as service:
        port = listening.getsockname()[1]
        app = create_app(service, AccessPolicy(port), RequestThreads(), root_path=root_path)
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            while not server.started:
                assert thread.is_alive(), "the server did not start"
                time.sleep(0.02)
            yield f"http://127.0.0.1:{port}{root_path}"
        finally:
            server.should_exit = True
            thread.join(30)


@contextlib.contextmanager
def chromium() -> Iterator[Any]:
    """A headless browser that can do nothing in the background."""
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=SWITCHES)
        yield browser
        browser.close()


@contextlib.contextmanager
def page_of(
    browser: Any, address: str, path: str = "", *, failing: bool = False, **context: Any
) -> Iterator[Any]:
    """A page below `address`; fails if it asks elsewhere for anything, or its scripts complain.

    `failing`: requests may fail, of which Chromium complains, too.
    """
    settings: dict[str, Any] = {"viewport": {"width": 1280, "height": 800}, "locale": "en-US"} | context
    visitor = browser.new_context(**settings, permissions=["clipboard-read", "clipboard-write"])
    page = visitor.new_page()
    page.set_default_timeout(PATIENCE)
    complaints: list[str] = []
    outside: list[str] = []

    def look(request: Any) -> None:
        if not f"{request.url}/".startswith((f"{address}/", "data:", "blob:")):
            outside.append(request.url)

    page.on("request", look)
    page.on("websocket", lambda socket: outside.append(socket.url))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("dialog", lambda dialog: complaints.append(f"dialog {dialog.message}"))
    page.on("console", lambda line: complaints.append(line.text) if line.type == "error" else None)
    page.goto(f"{address}/{path}")
    yield page
    assert not outside, outside
    if failing:
        complaints = [line for line in complaints if not line.startswith("Failed to load resource")]
    assert not complaints, complaints
    visitor.close()


def problems_of(page: Any) -> list[str]:
    """What axe-core finds wrong with the page for people with disabilities: a line for each rule."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    return [f"{each['id']}: {each['nodes'][0]['html'][:200]} ({len(each['nodes'])})" for each in found]


def keep(page: Any, name: str, **how: Any) -> None:
    """Keep a screenshot, to be looked at."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name}.png", **how)
