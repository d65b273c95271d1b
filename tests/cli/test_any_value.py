"""Every option and argument of every command with values of other kinds, or too large."""

import re
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cli.test_python_calls import IN_TORCH, commands
from tests.support.shell import Completed, Shell

VALUES = (
    "9" * 30,
    "-" + "9" * 30,
    "9" * 5000,
    str(2**63 - 1),
    "-1",
    "0",
    "nan",
    "inf",
    "-1e400",
    "1e-400",
    "１２",
    "0x10",
    "1_000",
    "5k",
    " ",
    "2024-02-30",
    "\udcff",
    "\x1b[31m\n",
)

PATHS = (
    "9" * 5000,
    "9" * 255 + "/a",
    "~no-such-user/a",
    "\udcff",
    "\x1b[31m\n",
    "photos/cat.png/a",
    "/dev/null",
    ".",
    "-",
)

ARGUMENTS: dict[str, tuple[str, ...]] = {
    "search": ("cat", "-n"),
    "explain": ("cat", "photos/cat.png", "--no-region"),
    "classify": ("photos/cat.png", "cat", "dog"),
    "match": ("photos/cat.png", "--texts", "texts.txt"),
    "organize": ("photos", "out", "--by", "date", "--dry-run"),
    "probe fit": ("nowhere", "-o", "probe.safetensors"),
    "probe apply": ("nowhere", "photos"),
    "serve": ("--port", "0", "--no-page"),
    "train": ("nowhere.csv", "-o", "run", "--arch", "ViT-B-32"),
    "evaluate": ("--retrieval", "nowhere.csv"),
    "export-model": ("nowhere.pt", "-o", "model"),
    "index": ("photos",),
    "watch": ("photos", "--unit"),
    "duplicates": ("photos",),
    "compare-models": ("nowhere",),
    "check": (),
    "status": (),
    "where": (),
    "optimize": (),
    "backup": ("catalog.backup",),
    "restore": ("nowhere",),
    "models": (),
    "models download": ("nowhere",),
    "models import": ("nowhere",),
    "forget": ("nowhere",),
    "export": ("vectors.npz",),
    "import": ("nowhere.npz",),
    "demo": ("--model", "nowhere"),
}
"""Arguments with which a command is quickly done, or refused after its options have been read."""

IS_PATH = {"TyperPath", "Tuple"}


def parameters(*, paths: bool) -> Iterator[Any]:
    """Each option and argument that takes a path, or another text or number, not one of a few words."""
    for command, found in commands():
        marks = [pytest.mark.torch] if command in IN_TORCH else [pytest.mark.slow]
        place = 0
        for parameter in found.params:
            if parameter.param_type_name == "argument":
                name, place = str(place), place + 1
            elif parameter.is_flag or parameter.type.name == "choice":
                continue
            else:
                name = max(parameter.opts, key=len)
            if (type(parameter.type).__name__ in IS_PATH) == paths:
                yield pytest.param(command, name, id=f"{command} {name}", marks=marks)


def command_lines(command: str, name: str, values: tuple[str, ...]) -> Iterator[list[str]]:
    """The command with each of the values for the option `name`, or the argument of this number."""
    for value in values:
        arguments = list(ARGUMENTS[command])
        if name.isdigit():
            arguments[int(name) : int(name) + 1] = [value]
        else:
            arguments += [name, value, *(["nowhere"] if name == "--shift" else [])]
        yield [*command.split(), *arguments]


@pytest.mark.parametrize(("command", "name"), list(parameters(paths=False)))
def test_any_value_is_taken_or_refused(
    command: str, name: str, indexed: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    check(command, name, VALUES, indexed, monkeypatch)


@pytest.mark.parametrize(("command", "name"), list(parameters(paths=True)))
def test_any_path_is_taken_or_refused(
    command: str, name: str, indexed: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    check(command, name, PATHS, indexed, monkeypatch)


def check(
    command: str, name: str, values: tuple[str, ...], shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run the command with each value: it is done, or ends with code 2 and a line for people."""
    (shell.folder / "texts.txt").write_text("cat\ndog\n")
    if command == "serve":
        monkeypatch.setattr("clipsight.web.server.run._Server.serve", stopped)
    for line in command_lines(command, name, values):
        done = shell.run_any(*line)
        assert is_fine(done), f"{[each[:40] for each in line]}: {done}"


def is_fine(done: Completed) -> bool:
    is_printable = all(each.isprintable() or each in "\n\t" for each in done.stdout + done.stderr)
    if done.returncode == 0 or not is_printable:
        return is_printable
    error = re.fullmatch(r"(clipsight: .+\n)+|Usage: .+\nTry .+\n\nError: .+\n", done.stderr)
    return done.returncode == 2 and error is not None


async def stopped(server: object, sockets: object) -> None:
    """A server that is stopped at once."""


def test_every_command_is_tried() -> None:
    assert {name for name, _ in commands()} == set(ARGUMENTS), "of a command that is new, or gone"
    assert sys.get_int_max_str_digits() < 5000, "the longest number is none that Python reads"
