"""The documentation site: generated pages, links, public names, and nothing loaded from another host."""

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

import clipsight
from clipsight.cli.app import app
from scripts.cli_reference import cli_reference

ROOT = Path(__file__).parents[2]
DOCUMENTED = re.findall(
    r"^::: (clipsight[\w.]*)$", (ROOT / "docs/reference/python.md").read_text(), re.MULTILINE
)


def _commands(name: str, command: Any) -> dict[str, Any]:
    children = getattr(command, "commands", {})
    found = {} if children and not command.invoke_without_command else {name: command}
    for child, definition in children.items():
        found |= _commands(f"{name} {child}", definition)
    return found


def test_cli_reference_has_every_command_with_every_option() -> None:
    sections = dict(re.findall(r"^## ([^\n]*)\n(.*?)(?=^## |\Z)", cli_reference(), re.MULTILINE | re.DOTALL))
    commands = _commands("clipsight", get_command(app))
    assert sections.keys() == commands.keys()
    for name, command in commands.items():
        for parameter in command.params:
            for option in (*parameter.opts, *parameter.secondary_opts):
                written = f"`{option}`" if option.startswith("-") else f"`{option.upper().rstrip('_')}`"
                assert written in sections[name] or parameter.metavar in sections[name], f"{name}: {option}"
            assert parameter.help, f"{name}: {parameter.name} has no help"


def test_readme_names_every_command() -> None:
    readme = (ROOT / "README.md").read_text()
    for name in get_command(app).commands:  # type: ignore[attr-defined]
        assert f"clipsight {name}" in readme, f"the README does not name {name}"


def _marks(name: str) -> list[pytest.MarkDecorator]:
    """The names of these rooms import PyTorch."""
    return [pytest.mark.torch] if name.split(".")[1] in ("clip", "training", "export") else []


@pytest.mark.parametrize("name", [pytest.param(name, marks=_marks(name)) for name in DOCUMENTED])
def test_documented_python_names_exist(name: str) -> None:
    module, _, attribute = name.rpartition(".")
    assert hasattr(importlib.import_module(module), attribute)


def test_every_public_name_is_documented() -> None:
    public = {f"clipsight.{name}" for name in clipsight.__all__ if name != "__version__"}
    assert public <= set(DOCUMENTED)


@pytest.mark.process
def test_site_builds_without_a_warning_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    built = subprocess.run(
        [
            sys.executable,
            "-m",
            "mkdocs",
            "build",
            "--strict",
            "--quiet",
            "--site-dir",
            str(tmp_path / "site"),
        ],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},  # without the repository, as for `just docs`
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stderr
    pages = list((tmp_path / "site").rglob("*.html"))
    assert len(pages) > 20
    for page in pages:
        text = page.read_text()
        loaded = re.findall(r'<(?:script|img|iframe|link)[^>]*\s(?:src|href)="?(?:https?:)?//[^>]*>', text)
        assert loaded == [], page
        assert "../docs/" not in text, f"{page}: a link of the repository was not rewritten"
    index = (tmp_path / "site" / "index.html").read_text()
    assert 'href="architecture/"' in index
    assert 'href="search/"' in index
