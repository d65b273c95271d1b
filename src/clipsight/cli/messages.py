"""Lines on stderr: notes, and errors with the flags of the command line."""

import re
import sys
from collections.abc import Sequence
from pathlib import Path

from clipsight.core.text import visible

_PARAMETER = re.compile(r"`([a-z][a-z0-9_]*)(?:=([^`]*))?`")

_OTHER_NAMES = {"batch": "batch-size", "learning_rate": "lr", "overwrite": "force", "zero_shot": "zeroshot"}
"""Parameters of the library whose flag is not their own name."""

_MAX_SKIPPED = 10
"""Skipped photos named in notes; the others are counted."""


def note(line: str) -> None:
    """Print a line for the person at the terminal on stderr; results go to stdout."""
    print(f"clipsight: {line}", file=sys.stderr)


def note_skipped(failures: Sequence[tuple[Path, str]]) -> None:
    """Print a note with the reason for each skipped photo, up to `_MAX_SKIPPED` of them."""
    for path, reason in failures[:_MAX_SKIPPED]:
        note(f"left out {visible(str(path))}: {reason}")
    if len(failures) > _MAX_SKIPPED:
        note(f"left out {len(failures) - _MAX_SKIPPED:,} more: --json names them all")


def with_flags(message: str) -> str:
    """Replace Python parameters in a message of the library by the flags of the command line.

    A parameter stands in backticks, with or without a value: `` `top` `` becomes ``--top``,
    `` `replace=True` `` becomes ``--replace``, and `` `device="cpu"` `` becomes ``--device cpu``.
    """
    return _PARAMETER.sub(_flag, message)


def _flag(match: re.Match[str]) -> str:
    name, value = match.groups()
    flag = "--" + _OTHER_NAMES.get(name, name).replace("_", "-")
    return flag if value in (None, "True") else f"{flag} " + value.strip('"')
