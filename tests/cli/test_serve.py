"""`clipsight serve`: its options, what it prints and opens, and its errors."""

import contextlib
import io
import sys
import threading
import webbrowser
from pathlib import Path
from typing import Any

import pytest
import segno
import typer
from typer.testing import CliRunner

from clipsight.cli.serve import print_qr_code, serve
from clipsight.core.errors import ServerError
from clipsight.web.server import run as server
from tests.support.waiting import wait_until

TOKEN = "a-token-of-some-length"


@pytest.fixture
def options(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the server would have been started with."""
    found: dict[str, Any] = {}

    def run(*, on_ready: Any, **options: Any) -> None:
        found.update(options)
        on_ready("http://127.0.0.1:7860")

    monkeypatch.setattr(server, "serve", run)
    return found


def _run(*arguments: str) -> Any:
    app = typer.Typer()
    app.command()(serve)
    return CliRunner().invoke(app, arguments)


def test_it_listens_on_loopback_and_prints_its_address(options: dict[str, Any]) -> None:
    result = _run()
    assert result.exit_code == 0 and result.stdout == "clipsight is at http://127.0.0.1:7860\n"
    assert (options["host"], options["port"], options["token"]) == ("127.0.0.1", 7860, None)
    assert options["roots"] == [Path.home()] and options["page"]


def test_a_warning_that_other_machines_can_connect(options: dict[str, Any]) -> None:
    result = _run("--host", "0.0.0.0", "--token", TOKEN, "--roots", "/a", "--roots", "/b", "--no-page")
    assert "nothing is encrypted" in result.stderr and TOKEN not in result.stdout
    assert options["roots"] == [Path("/a"), Path("/b")] and not options["page"]


def test_the_link_to_the_page_opens_it(options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLIPSIGHT_TOKEN", TOKEN)
    assert f"/?token={TOKEN}" in _run().stdout
    assert options["token"] == TOKEN


class _Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def _on_terminal(**arguments: Any) -> str:
    """What the command prints on a terminal."""
    with contextlib.redirect_stdout(_Terminal()) as out:
        serve(**arguments)
    return out.getvalue()


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A desktop, and the URLs that its browser has opened."""
    found: list[str] = []
    monkeypatch.setattr(webbrowser, "open", found.append)
    monkeypatch.setenv("DISPLAY", ":0")
    for name in ("SSH_CONNECTION", "NO_COLOR", "CLIPSIGHT_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    return found


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with the address 192.168.1.5."""
    monkeypatch.setattr(server, "url_for_devices", lambda url: url.replace("127.0.0.1", "192.168.1.5"))


def test_a_desktop_opens_the_page_without_the_token(options: dict[str, Any], opened: list[str]) -> None:
    _on_terminal()
    _on_terminal(token=TOKEN)
    wait_until(lambda: len(opened) == 2)
    assert opened == ["http://127.0.0.1:7860/"] * 2


@pytest.mark.parametrize(
    ("changed", "arguments"),
    [
        ({}, {"browser": False}),
        ({}, {"page": False}),
        ({"SSH_CONNECTION": "10.0.0.1 1 10.0.0.2 22"}, {}),
        ({"DISPLAY": "", "WAYLAND_DISPLAY": ""}, {}),
    ],
)
def test_otherwise_no_browser_opens(
    options: dict[str, Any],
    opened: list[str],
    monkeypatch: pytest.MonkeyPatch,
    changed: dict[str, str],
    arguments: dict[str, Any],
) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    for name, value in changed.items():
        monkeypatch.setenv(name, value)
    threads = threading.active_count()
    _on_terminal(**arguments)
    assert not opened and threading.active_count() == threads
    _run()
    assert not opened and threading.active_count() == threads


def test_the_address_for_other_devices_and_its_qr_code(
    options: dict[str, Any], opened: list[str], network: None
) -> None:
    out = _on_terminal(host="0.0.0.0", token=TOKEN, browser=False).splitlines()
    link = f"http://192.168.1.5:7860/?token={TOKEN}"
    assert out[:2] == [f"clipsight is at http://127.0.0.1:7860/?token={TOKEN}", f"on other devices: {link}"]
    expected = io.StringIO()
    segno.make_qr(link).terminal(expected, compact=True)
    printed = [line.removeprefix("\33[97;40m").removesuffix("\33[0m") for line in out[2:]]
    assert printed == expected.getvalue().splitlines()
    assert _on_terminal(browser=False) == "clipsight is at http://127.0.0.1:7860\n"


def test_no_qr_code_without_a_terminal(options: dict[str, Any], network: None) -> None:
    result = _run("--host", "0.0.0.0", "--token", TOKEN)
    assert result.stdout.count("\n") == 2 and "http://192.168.1.5:7860" in result.stdout


def test_a_terminal_without_block_characters_gets_no_qr_code(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="latin-1"))
    print_qr_code("http://192.168.1.5:7860")
    sys.stdout.flush()
    assert raw.getvalue() == b""


def test_a_missing_extra_is_named_before_anything_starts(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("uvicorn", "segno"):
        monkeypatch.setitem(sys.modules, name, None)
    assert isinstance(error := _run().exception, ServerError)
    assert str(error) == "the server needs segno and uvicorn: pip install '.[web]' in the clone of clipsight"
    assert not options


@pytest.mark.process
def test_importing_the_command_imports_no_server() -> None:
    import subprocess

    script = "import sys, clipsight.cli.serve; print('fastapi' in sys.modules, 'numpy' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert out.split() == ["False", "False"]
