"""The configuration file: overridden by options and the environment; errors are one line."""

import json
import os
from pathlib import Path

import pytest

from tests.support.shell import Shell


@pytest.fixture
def config(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration file, not written yet."""
    monkeypatch.delenv("CLIPSIGHT_CONFIG")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(shell.folder / "config"))
    file = shell.folder / "config" / "clipsight" / "config.toml"
    file.parent.mkdir(parents=True)
    return file


def library(shell: Shell, *arguments: str, environment: str = "") -> str:
    done = shell.run("status", "--json", *arguments, CLIPSIGHT_LIBRARY=environment)
    return str(json.loads(done.stdout)["library"])


def test_options_and_the_environment_override_the_file(shell: Shell, config: Path) -> None:
    assert library(shell) == str(shell.home / "library")
    config.write_text(f'library = "{shell.folder}/from-file"\n')
    assert library(shell) == f"{shell.folder}/from-file"
    assert library(shell, environment="from-environment") == "from-environment"
    assert library(shell, "--library", "from-option", environment="from-environment") == "from-option"


@pytest.mark.slow
def test_the_file_chooses_the_model_of_every_command(shell: Shell, config: Path) -> None:
    config.write_text(f'model = "{shell.model}"\nquiet = true\nthreads = 1\n')
    done = shell.run("search", "a red flower", "photos", "--json")
    assert json.loads(done.stdout)["model"] == "tiny" and done.stderr == ""
    done = shell.run("classify", "photos/cat.png", "a cat", "a dog", "--json")
    assert json.loads(done.stdout)["model"] == "tiny"


@pytest.mark.slow
def test_the_environment_overrides_quiet_of_the_file(shell: Shell, config: Path) -> None:
    shell.index()
    assert "answered by tiny" in shell.run("search", "cat", "-n").stderr
    config.write_text("quiet = true")
    assert shell.run("search", "cat", "-n").stderr == ""
    assert "answered by tiny" in shell.run("search", "cat", "-n", CLIPSIGHT_QUIET="0").stderr


def test_subcommands_of_groups_read_the_file(shell: Shell, config: Path) -> None:
    config.write_text('model = "no-such-model"')
    done = shell.run("probe", "fit", "photos", "-o", "x.probe", code=2)
    assert "no model is called 'no-such-model'" in done.stderr


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("librry = 1", "line 1: there is no key 'librry'; did you mean library?"),
        ("\nthreads = 'x'", "line 2: threads is 'x'; it has to be a whole number from 1 to"),
        ("library = ~/x", "line 1, library = ~/x: invalid value"),
    ],
)
def test_a_faulty_file_is_one_line(shell: Shell, config: Path, text: str, told: str) -> None:
    config.write_text(text)
    for command in (("status",), ("search", "cat", "-n"), ("probe", "apply", "x.probe")):
        assert f"{config}, {told}" in shell.run(*command, code=2).stderr
    assert shell.run("--version").stdout.startswith("clipsight ")
    assert "Usage" in shell.run("--help").stdout


def test_colours_can_be_switched_off(shell: Shell, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    seen: list[str | None] = []
    monkeypatch.setattr(
        "clipsight.render.tables.print_status",
        lambda status: seen.append(os.environ.get("NO_COLOR")),
    )
    shell.run("status")
    config.write_text("color = false")
    shell.run("status")
    config.write_text("color = true")
    shell.run("status", NO_COLOR="1")
    assert seen == [None, "1", "1"]
