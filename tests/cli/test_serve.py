"""`clipsight serve`: its options, its one line on stdout, and its errors."""

import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from clipsight.cli.serve import serve
from clipsight.core.errors import ServerError
from clipsight.web.server import run as server

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


def test_it_binds_this_machine_and_says_where_it_is(options: dict[str, Any]) -> None:
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


def test_a_missing_extra_is_named_before_anything_starts(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("uvicorn", "gradio"):
        monkeypatch.setitem(sys.modules, name, None)
    assert isinstance(error := _run().exception, ServerError)
    assert str(error) == "the server needs uvicorn and gradio: pip install 'clipsight[web]'"
    assert isinstance(error := _run("--no-page").exception, ServerError)
    assert str(error) == "the server needs uvicorn: pip install 'clipsight[web]'" and not options


@pytest.mark.process
def test_importing_the_command_imports_no_server() -> None:
    import subprocess

    script = "import sys, clipsight.cli.serve; print('fastapi' in sys.modules, 'numpy' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert out.split() == ["False", "False"]
