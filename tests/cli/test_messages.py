"""Messages of the library with the flags of the command line."""

import ast
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import typer

import clipsight
from clipsight.cli.app import app
from clipsight.cli.messages import note, note_model, print_os_error, with_flags
from clipsight.models.registry import MULTILINGUAL
from tests.support.shell import Shell


@pytest.mark.parametrize(
    ("message", "printed"),
    [
        ("`word` 'dog' is not in the query", "--word 'dog' is not in the query"),
        ("exists: replace it with `replace=True`", "exists: replace it with --replace"),
        ('use `device="cpu"`', "use --device cpu"),
        ("more than `max_bad` 0.01; lower `batch`", "more than --max-bad 0.01; lower --batch-size"),
        ("to undo: `clipsight organize --undo /sorted`", "to undo: `clipsight organize --undo /sorted`"),
        ("no such file: a`b", "no such file: a`b"),
    ],
)
def test_parameters_become_flags(message: str, printed: str) -> None:
    assert with_flags(message) == printed


@pytest.mark.slow
def test_every_parameter_in_an_error_has_a_flag() -> None:
    known = set(_flags(typer.main.get_command(app)))  # type: ignore[arg-type]
    messages = [(file, text) for file, text in _raised() if re.search("`[a-z]", text)]
    named = [(file, flag) for file, text in messages for flag in re.findall(r"--[a-z-]+", with_flags(text))]
    assert len(named) > 20
    in_python_only = {
        ("progress.py", "--progress"),
        ("picture.py", "--x"),
    }  # no command has them
    assert [each for each in named if each[1] not in known and each not in in_python_only] == []


@pytest.mark.slow
def test_the_library_names_no_flags() -> None:
    """Only in whole commands, such as `clipsight organize --undo`."""
    known = set(_flags(typer.main.get_command(app)))  # type: ignore[arg-type]
    texts = [(file, re.sub(r"clipsight [a-z-]+ [^`;]*", "", text)) for file, text in _raised()]
    assert [each for each in texts if known.intersection(re.findall(r"(?<![\w-])--?[a-z-]+", each[1]))] == []


def _flags(command: click.Command) -> Iterator[str]:
    for parameter in command.params:
        yield from (*parameter.opts, *parameter.secondary_opts)
    for each in getattr(command, "commands", {}).values():
        yield from _flags(each)


def _raised() -> Iterator[tuple[str, str]]:
    """File and text of every error raised outside `cli`; what is filled in is `x`."""
    root = Path(clipsight.__file__).parent
    for file in sorted(root.rglob("*.py")):
        if file.is_relative_to(root / "cli"):
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            match node:
                case ast.Call(func=ast.Name(id=name), args=arguments) if name.endswith("Error"):
                    for argument in arguments:
                        yield file.name, _text(argument)


def _text(node: ast.expr) -> str:
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=values):
            return "".join(_text(value) for value in values)
    return "x"


def test_notes_escape_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    note("can't read bad\x1b[31mdir: \x07")
    assert capsys.readouterr().err == "clipsight: can't read bad\\x1b[31mdir: \\x07\n"


@pytest.mark.parametrize(("model", "lines"), [("builtin", 1), ("tiny", 2)])
def test_the_note_on_the_builtin_model_is_printed_once_per_library(
    model: str,
    lines: int,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    note_model(model, tmp_path, chosen=False)
    note_model(model, tmp_path, chosen=False)
    said = capsys.readouterr().err.splitlines()
    assert len(said) == lines and said[0].startswith(f"clipsight: answered by {model}")
    assert ("for a stronger one" in said[0]) == (model == "builtin")


def test_no_note_on_the_builtin_model_if_it_was_chosen_or_stderr_is_no_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    note_model("builtin", tmp_path, chosen=False)  # stderr is no terminal
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    note_model("builtin", tmp_path, chosen=True)
    assert capsys.readouterr().err == "" and not list(tmp_path.iterdir())


def test_the_stronger_model_follows_the_locale(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("LANG", "de_DE.UTF-8")
    note_model("builtin", tmp_path, chosen=False)
    assert capsys.readouterr().err.endswith(f"clipsight index --model {MULTILINGUAL}\n")


def test_quiet_hides_notes_only(indexed: Shell) -> None:
    done = indexed.run("search", "cat", "-n", "--quiet", "-f")
    assert done.stdout and done.stderr == ""
    assert "no such folder" in indexed.run("search", "cat", "./nowhere", "--quiet", code=2).stderr
    assert "answered by tiny" in indexed.run("search", "cat", "-n", "-f").stderr


def test_the_library_can_be_named_by_the_environment(shell: Shell) -> None:
    done = shell.run("status", "--json", CLIPSIGHT_LIBRARY=str(shell.folder / "elsewhere"))
    assert "elsewhere" in done.stdout


def _gone() -> str:
    raise FileNotFoundError(2, "No such file or directory")


def test_errors_of_the_system_are_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert print_os_error(BrokenPipeError(32, "Broken pipe")) == 1
    assert capsys.readouterr().err == ""
    assert print_os_error(PermissionError(13, "Permission denied", b"a\x1b.jpg")) == 2
    assert capsys.readouterr().err == "clipsight: can't use a\\x1b.jpg: Permission denied\n"
    assert print_os_error(OSError(28, "No space left on device")) == 2
    assert capsys.readouterr().err == "clipsight: can't write the output: No space left on device\n"
    monkeypatch.setattr(os, "getcwd", _gone)
    assert print_os_error(FileNotFoundError(2, "No such file or directory")) == 2
    assert "the current folder has been deleted" in capsys.readouterr().err
