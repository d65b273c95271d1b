"""Lines on stderr: notes, and errors with the flags of the command line."""

import os
import re
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from clipsight.core.text import visible

_PARAMETER = re.compile(r"`([a-z][a-z0-9_]*)(?:=([^`]*))?`")

_OTHER_NAMES = {"batch": "batch-size", "learning_rate": "lr", "overwrite": "force", "zero_shot": "zeroshot"}
"""Parameters of the library whose flag has another name."""

QUIET = "CLIPSIGHT_QUIET"
"""Environment variable that `--quiet` sets: no notes."""

_MAX_SKIPPED = 10
"""Maximum number of skipped photos named in notes; the others are counted."""


def note(line: str) -> None:
    """Print a line on stderr, with control characters escaped; nothing with `--quiet`."""
    if not _is_quiet():
        print_error(line)


def print_error(line: str) -> None:
    """Print a line on stderr, also with `--quiet`."""
    with suppress(OSError):  # a full disk, or a reader that has gone
        print(f"clipsight: {visible(line)}", file=sys.stderr)


def print_os_error(error: OSError) -> int:
    """Print an error of the operating system that no command expects, and return the exit code.

    Nothing is printed for a pipe whose reader has gone.
    """
    if isinstance(error, BrokenPipeError):
        return 1
    if not _is_in_a_folder():
        print_error("the current folder has been deleted: change to another one")
    elif error.filename is not None:
        print_error(f"can't use {os.fsdecode(error.filename)}: {error.strerror}")
    else:
        print_error(f"can't write the output: {error.strerror or error}")
    return 2


def _is_in_a_folder() -> bool:
    """False if the current folder has been deleted, so that no relative path means anything."""
    try:
        os.getcwd()
    except FileNotFoundError:
        return False
    return True


def note_model(model: str, library: Path, *, chosen: bool) -> None:
    """Print a note that names the model.

    For the builtin model, the note recommends a stronger one. It is printed on a terminal only, once per
    library, and not if the user named the model (`chosen`).
    """
    from clipsight.models.registry import BUILTIN, recommended_model

    if model != BUILTIN:
        note(f"answered by {model}")
        return
    mark = library / "model-note"
    if chosen or not sys.stderr.isatty() or os.path.exists(mark):
        return
    note(
        "answered by builtin, the small model that comes with clipsight; "
        f"for a stronger one: clipsight index --model {recommended_model()}"
    )
    with suppress(OSError):
        mark.touch()


def _is_quiet() -> bool:
    return os.environ.get(QUIET) == "1"


def note_skipped(
    failures: Sequence[tuple[Path, str]], what: str = "left out", all_of_them: str = "--json"
) -> None:
    """Print a note with the reason for each skipped photo, up to `_MAX_SKIPPED`, and where all are listed."""
    for path, reason in failures[:_MAX_SKIPPED]:
        note(f"{what} {visible(str(path))}: {reason}")
    if len(failures) > _MAX_SKIPPED:
        note(f"{what} {len(failures) - _MAX_SKIPPED:,} more: {all_of_them} lists them all")


def with_flags(message: str) -> str:
    """Replace Python parameters in a message of the library by the flags of the command line.

    A parameter stands in backticks, with or without a value: `` `top` `` becomes ``--top``,
    `` `replace=True` `` becomes ``--replace``, `` `text=False` `` becomes ``--no-text``, and
    `` `device="cpu"` `` becomes ``--device cpu``.
    """
    return _PARAMETER.sub(_flag, message)


def _flag(match: re.Match[str]) -> str:
    name, value = match.groups()
    flag = _OTHER_NAMES.get(name, name).replace("_", "-")
    if value == "False":
        return f"--no-{flag}"
    flag = f"--{flag}"
    return flag if value in (None, "True") else f"{flag} " + value.strip('"')
