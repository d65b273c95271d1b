"""The examples, as somebody would run them."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("gradio", reason="the demo needs gradio, which clipsight does not")
pytest.importorskip("playwright", reason="driving the demo needs playwright")

from playwright.sync_api import expect

from clipsight import Library
from tests.support.browser import chromium, needs_browser
from tests.support.samples import copy_samples
from tests.support.waiting import wait_until

DEMO = Path(__file__).parents[1] / "examples" / "gradio_demo.py"


def _answers(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.browser
@needs_browser
def test_the_gradio_demo_finds_photos(tmp_path: Path) -> None:
    assert len(DEMO.read_text(encoding="utf-8").splitlines()) <= 25
    with Library.open(tmp_path / "library", model="builtin") as library:
        library.index(copy_samples(tmp_path / "photos"))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {**os.environ, "CLIPSIGHT_HOME": str(tmp_path), "GRADIO_ANALYTICS_ENABLED": "False"}
    demo = subprocess.Popen([sys.executable, DEMO, str(port)], env=environment, stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: _answers(port) or demo.poll() is not None)
        assert demo.poll() is None
        with chromium() as browser:
            page = browser.new_page()
            page.goto(f"http://127.0.0.1:{port}")
            page.get_by_label("Words").fill("a cat")
            page.get_by_role("button", name="Submit").click()
            expect(page.get_by_text("0.5").first).to_be_visible()
            expect(page.locator("img[src*='cat.png']").first).to_be_visible()
    finally:
        demo.terminate()
        demo.wait(30)
