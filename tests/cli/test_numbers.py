"""Every option of every command with values that are no number, or too large."""

import re
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cli.test_python_calls import IN_TORCH, commands
from tests.support.shell import Shell

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
    "compare-models": ("nowhere",),
    "check": (),
    "models import": ("nowhere",),
    "import": ("nowhere.npz",),
    "demo": ("--out", "photos/cat.png"),
}
"""Arguments with which a command is quickly done, or refused after its options have been read."""


def options() -> Iterator[Any]:
    """Each option that takes a text or number, not a path or one of a few words."""
    for command, found in commands():
        marks = [pytest.mark.torch] if command in IN_TORCH else [pytest.mark.slow]
        for option in found.params:
            kind = type(option.type).__name__
            is_number = kind not in ("TyperPath", "Choice", "Tuple", "BoolParamType")
            if option.param_type_name == "option" and is_number and not option.is_flag:
                name = max(option.opts, key=len)
                yield pytest.param(command, name, id=f"{command} {name}", marks=marks)


@pytest.mark.parametrize(("command", "option"), list(options()))
def test_any_value_is_taken_or_refused(
    command: str, option: str, indexed: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    (indexed.folder / "texts.txt").write_text("cat\ndog\n")
    if command == "serve":
        monkeypatch.setattr("clipsight.web.server.run._Server.serve", stopped)
    for value in VALUES:
        done = indexed.run_any(*command.split(), *ARGUMENTS[command], f"{option}={value}")
        shown = f"{command} {option}={value!r}: {done}"
        assert done.returncode in (0, 2), shown
        assert "Traceback" not in done.stderr, shown
        text = done.stdout + done.stderr
        assert all(each.isprintable() or each in "\n\t" for each in text), shown
        if done.returncode == 2:
            assert done.stdout == "", shown
            assert re.fullmatch(r"clipsight: .+\n|Usage: .+\nTry .+\n\nError: .+\n", done.stderr), shown


async def stopped(server: object, sockets: object) -> None:
    """A server that is stopped at once."""


def test_every_command_with_options_has_arguments() -> None:
    assert {each.values[0] for each in options()} == set(ARGUMENTS), "of a command that is new, or gone"
    assert sys.get_int_max_str_digits() < 5000, "the longest number is none that Python reads"
