"""Processes that are killed, or whose disk fails, at a moment of one's choice.

`Faults.start` runs a function in a process forked from a warm server (`multiprocessing`'s), which has
imported all that indexing needs, so that a kill costs some hundredths of a second. Where there is a
C compiler, `faults.c` counts the calls that change files and makes the n-th of them fail or fatal;
without one, processes can still be killed by the clock.
"""

import ctypes
import errno
import faulthandler
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

from clipsight.core.errors import ClipsightError
from tests.durability.work import scaled

HERE = Path(__file__).resolve()
ROOT = HERE.parents[2]
_PRELOAD = (
    "clipsight.library",
    "clipsight.maintenance.check",
    "clipsight.maintenance.check_photos",
    "onnxruntime",
    "faiss",
    "xxhash",
)
_PATIENCE_SECONDS = 120


class Action(IntEnum):
    """What happens at the n-th call, as in faults.c."""

    NOTHING = 0
    KILL_BEFORE = 1
    KILL_WITHIN = 2
    KILL_AFTER = 3
    FAIL_ONCE = 4
    FAIL_ALWAYS = 5


@dataclass(frozen=True)
class Fault:
    """`action` at the `at`-th call that changes files below `folder` (with `reads`: or reads them)."""

    folder: Path
    action: Action = Action.NOTHING
    at: int = 0
    error: int = errno.ENOSPC
    reads: bool = False
    clock: int = 0
    """seconds by which the process's clock is wrong"""


@dataclass(frozen=True)
class Outcome:
    """How a process ended; `calls` and `error` are of one that was not killed."""

    killed: bool
    calls: int = 0
    error: str | None = None
    """the text of a `ClipsightError`"""
    result: Any = None
    reported: tuple[Any, ...] = ()
    """what the function passed to `report` on its way"""


@dataclass
class Running:
    """A process under way."""

    process: Any
    reports: Path

    def wait(self) -> Outcome:
        """How it ends; AssertionError with the traceback where that is neither well nor by a kill."""
        self.process.join(_PATIENCE_SECONDS)
        assert self.process.exitcode is not None, "the process does not end"
        lines = [json.loads(line) for line in self.reports.read_text().splitlines() if line.endswith("}")]
        reported = tuple(line["report"] for line in lines if "report" in line)
        if self.process.exitcode == -signal.SIGKILL:
            return Outcome(True, reported=reported)
        assert self.process.exitcode == 0, (self.process.exitcode, lines)
        assert "traceback" not in lines[-1], lines[-1]["traceback"]
        return Outcome(False, **lines[-1], reported=reported)

    def wait_or_kill(self, seconds: float) -> Outcome:
        """How it ends by itself, or by a kill after so many seconds."""
        self.process.join(seconds)
        if self.process.exitcode is None:
            self.process.kill()
        return self.wait()


class Faults:
    """A server of processes; one for a whole test run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.library = _compiled(folder)
        self._number = 0
        environment = {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")]), "OMP_NUM_THREADS": "1"}
        if self.library is not None:
            environment["LD_PRELOAD"] = str(self.library)
        before = {name: os.environ.get(name) for name in environment}
        os.environ.update(environment)
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload([*_PRELOAD, "tests.durability.faults"])
        process = self._context.Process(target=time.sleep, args=(0,))
        process.start()  # starts the server
        process.join()
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value

    @property
    def counts_calls(self) -> bool:
        """Whether calls can be counted, that is, whether there is a C compiler."""
        return self.library is not None

    def start(self, work: Callable[..., Any], *arguments: Any, fault: Fault | None = None) -> Running:
        """Run `work(report, *arguments)`; what it returns and reports must be JSON."""
        self._number += 1
        reports = self.folder / f"reports-{self._number}"
        reports.touch()
        library = None if self.library is None else str(self.library)
        process = self._context.Process(target=_run, args=(work, arguments, reports, fault, library))
        process.start()
        return Running(process, reports)

    def run(self, work: Callable[..., Any], *arguments: Any, fault: Fault | None = None) -> Outcome:
        """`start` and `wait`."""
        return self.start(work, *arguments, fault=fault).wait()


def _compiled(folder: Path) -> Path | None:
    compiler = shutil.which("cc")
    if compiler is None or os.uname().sysname != "Linux":
        return None
    library = folder / "faults.so"
    command = [compiler, "-shared", "-fPIC", "-O1", "-o", library, HERE.with_name("faults.c"), "-ldl"]
    subprocess.run(command, check=True)  # type: ignore[arg-type]
    return library


def _run(
    work: Callable[..., Any],
    arguments: tuple[Any, ...],
    reports: Path,
    fault: Fault | None,
    library: str | None,
) -> None:
    """In the process: do the work and write down how it went."""
    out = os.open(reports, os.O_WRONLY | os.O_APPEND)

    def write(**content: Any) -> None:
        os.write(out, json.dumps(content).encode() + b"\n")

    faulthandler.enable()
    calls = ctypes.CDLL(library) if library else None
    try:
        if calls is not None and fault is not None:
            below = os.fsencode(fault.folder) + b"/"
            calls.fault_clock(ctypes.c_longlong(fault.clock))
            calls.fault_arm(fault.action, ctypes.c_long(fault.at), fault.error, fault.reads, below)
        with scaled():
            result = work(lambda content: write(report=content), *arguments)
        error = None
    except ClipsightError as problem:
        result, error = None, str(problem)
    except BaseException:
        import traceback

        write(traceback=traceback.format_exc())
        os._exit(0)
    write(calls=0 if calls is None else calls.fault_count(), error=error, result=result)
    os._exit(0)  # without what a normal end does, such as closing connections, it has to be right too
