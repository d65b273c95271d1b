"""The process that watches folders for the server: `python -m clipsight.web.service.watch_process`.

As that of `index_process`, it is of the lowest priority, reads one line of JSON, and ends with the server.
"""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from clipsight.core.errors import ClipsightError
from clipsight.core.text import visible

_STOP_SECONDS = 20.0
"""Time that the process has to commit what it has embedded; then it is killed."""


@dataclass(frozen=True, slots=True)
class WatchTask:
    """The arguments of `Library.open`; the folders are those of the library."""

    library: str
    device: str
    threads: int | None


@contextmanager
def watching(library: Path, device: str, threads: int | None) -> Iterator[None]:
    """Watch all folders of the library in another process, within the context."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "clipsight.web.service.watch_process"], stdin=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    with suppress(BrokenPipeError):
        process.stdin.write(json.dumps(asdict(WatchTask(str(library), device, threads))) + "\n")
        process.stdin.flush()
    try:
        yield
    finally:
        with suppress(BrokenPipeError):
            process.stdin.close()  # at the end of its input it stops
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def main() -> None:
    """Read a task from standard input and watch until the input ends."""
    from clipsight.library import Library

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server, which ends the input
    os.nice(19)
    task = WatchTask(**json.loads(sys.stdin.readline()))
    stop = threading.Event()
    threading.Thread(target=_set_at_end_of_input, args=(stop,), daemon=True).start()
    try:
        with Library.open(task.library, device=task.device, threads=task.threads, note=_note) as library:
            for _ in library.watch(stop=stop):
                pass
    except ClipsightError as error:
        _note(f"no folder is watched: {error}")


def _set_at_end_of_input(stop: threading.Event) -> None:
    sys.stdin.read()
    stop.set()


def _note(line: str) -> None:
    print(f"clipsight: {visible(line)}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
