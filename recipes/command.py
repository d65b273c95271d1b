"""Commands of the recipes: progress on stderr, and a user's errors in one line."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from clipsight.core.errors import ClipsightError

RESUMES = "interrupted; the same command resumes after the last finished stage"
"""What an interruption means to a command with stages."""

_STARTED = time.monotonic()


def log(line: str) -> None:
    """Print a line of progress to stderr, with the seconds since the start."""
    print(f"[{time.monotonic() - _STARTED:6.0f} s] {line}", file=sys.stderr, flush=True)


def exit_code(work: Callable[[], object], *, interrupted: str | None = None) -> int:
    """Do the work; return 0, or 2 with one line on stderr for a user's error.

    With `interrupted`, an interruption is such an error, too, with this text.
    """
    try:
        work()
    except ClipsightError as error:
        return _failed(str(error))
    except KeyboardInterrupt:
        if interrupted is None:
            raise
        return _failed(interrupted)
    return 0


def _failed(reason: str) -> int:
    print(f"error: {reason}", file=sys.stderr)
    return 2
