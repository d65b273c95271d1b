"""The process that indexes for the server: `python -m clipsight.web.service.index_process`.

It is a process, because a thread would share the interpreter lock with all requests, and of the lowest
priority, because searches take precedence. It reads one line of JSON (`IndexTask`) from standard input and
writes JSON lines with its progress to standard output. At the end of its input, when the server has ended or
crashed, it stops as on SIGTERM, and keeps what it has embedded.
"""

import json
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from clipsight.core.errors import ClipsightError
from clipsight.indexing.report import IndexProgress
from clipsight.library import Library

_SCAN_INTERVAL_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class IndexTask:
    """The arguments of `Library.open` and `Library.index`; `exclude` None keeps what each folder has."""

    library: str
    folders: tuple[str, ...]
    model: str
    retry: bool
    device: str
    threads: int | None
    exclude: tuple[str, ...] | None = None

    def to_json(self) -> str:
        """The line that the process reads."""
        return json.dumps(asdict(self))


class _Stopped(BaseException):
    """SIGTERM, SIGINT, or the end of the server."""


class _ProgressSender:
    """Sends progress to the server; an `indexing.report.TextObserver`."""

    def __init__(self) -> None:
        self._last_scanned = 0.0

    def scanned(self, files: int) -> None:
        """Send the number of scanned files, at intervals."""
        if time.monotonic() - self._last_scanned >= _SCAN_INTERVAL_SECONDS:
            self._last_scanned = time.monotonic()
            send(scanned=files)

    def progressed(self, progress: IndexProgress) -> None:
        """Send the progress of embedding."""
        send(**asdict(progress))

    def reading(self, done: int, total: int) -> None:
        """Send the number of photos whose text was read."""
        send(read=done, to_read=total)


def send(**message: Any) -> None:
    """Write a JSON line for the server; nothing if it has ended."""
    with suppress(OSError):
        os.write(sys.stdout.fileno(), json.dumps(message).encode() + b"\n")


def main() -> None:
    """Read a task from standard input and run it."""
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)
    os.nice(19)
    try:
        task = IndexTask(**json.loads(sys.stdin.readline()))
        threading.Thread(target=_stop_at_end_of_input, daemon=True).start()
        _index(task)
    except _Stopped:
        send(state="stopped")
    except ClipsightError as error:
        send(state="failed", error=str(error))
    # Not sys.exit: it would wait for threads that are decoding a photo.
    os._exit(0)


def _index(task: IndexTask) -> None:
    with Library.open(
        task.library,
        task.model,
        device=task.device,
        threads=task.threads,
        note=lambda line: send(note=line),
    ) as library:
        folders = map(Path, task.folders)
        reports = library.index(*folders, retry=task.retry, exclude=task.exclude, progress=_ProgressSender())
        for report in reports:
            send(note=str(report))
            for problem in report.problems:
                send(note=f"can't read {problem}; its photos are kept")
        send(state="done", model=library.model)


def _stop(number: int, frame: FrameType | None) -> None:
    for each in (signal.SIGTERM, signal.SIGINT):  # a second signal would interrupt the clean-up of the first
        signal.signal(each, signal.SIG_IGN)
    raise _Stopped


def _stop_at_end_of_input() -> None:
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
