"""Indexing as a process of its own, which the server starts: `python -m clipsight.web.service.index_process`.

A process, because a thread would share Python's interpreter lock with every request; of the lowest
priority, because search goes before. Its standard input is one line of JSON (`Order`), then nothing until the
server ends, however it does: at the end of the input the process stops as it does on SIGTERM, keeping what it
has embedded. On standard output it tells how far it is, a line of JSON each time. Called by `jobs` only.
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
from clipsight.indexing.pipeline import Progress
from clipsight.library import Library

_TELL_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Order:
    """What to index, and how: arguments of `Library.open` and `Library.index`."""

    library: str
    folders: tuple[str, ...]
    model: str
    retry: bool
    device: str
    threads: int | None

    def to_json(self) -> str:
        return json.dumps(asdict(self))


class _Stopped(BaseException):
    """SIGTERM, SIGINT, or the server is gone."""


class _Teller:
    """Tells the server how far indexing is; an `indexing.indexer.Observer`."""

    def __init__(self) -> None:
        self._told = 0.0

    def scanned(self, files: int) -> None:
        self._seldom(scanned=files)

    def progressed(self, progress: Progress) -> None:
        tell(**asdict(progress))

    def _seldom(self, **what: Any) -> None:
        if time.monotonic() - self._told >= _TELL_SECONDS:
            self._told = time.monotonic()
            tell(**what)


def tell(**what: Any) -> None:
    """Write a line for the server, which may be gone."""
    with suppress(OSError):
        os.write(sys.stdout.fileno(), json.dumps(what).encode() + b"\n")


def main() -> None:
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)
    os.nice(19)
    try:
        order = Order(**json.loads(sys.stdin.readline()))
        threading.Thread(target=_stop_at_end_of_input, daemon=True).start()
        _index(order)
    except _Stopped:
        tell(state="stopped")
    except ClipsightError as error:
        tell(state="failed", error=str(error))
    # Not sys.exit: it would wait for threads that are in the middle of decoding a photo.
    os._exit(0)


def _index(order: Order) -> None:
    with Library.open(
        order.library,
        order.model,
        device=order.device,
        threads=order.threads,
        note=lambda line: tell(note=line),
    ) as library:
        reports = library.index(*map(Path, order.folders), retry=order.retry, observer=_Teller())
        for report in reports:
            tell(note=str(report))
            for problem in report.problems:
                tell(note=f"can't read {problem}; its photos are kept")
        tell(state="done", model=library.model)


def _stop(number: int, frame: FrameType | None) -> None:
    for each in (signal.SIGTERM, signal.SIGINT):  # once is enough: the second would end what the first began
        signal.signal(each, signal.SIG_IGN)
    raise _Stopped


def _stop_at_end_of_input() -> None:
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
