"""What every benchmark here shares: processes timed from outside, and results printed with their machine.

Two programs are compared by running them alternately and taking the median of each, so that whatever
else the machine does falls on both. Times are wall-clock seconds of a whole process, start to exit, with
nothing kept running in between; memory is the peak resident set (`ru_maxrss`), mapped files included.
CPU seconds tell what a process worked, whatever else ran beside it.
"""

import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from clipsight.indexing.autotune import processor_name

ROOT = Path(__file__).parent.parent

# A process that is started counts the memory of the one that starts it in its own peak, so a small
# interpreter stands between this one and what is measured.
_LAUNCHER = """
import os, sys, time
report, *command = sys.argv[1:]
started = time.perf_counter()
child = os.posix_spawnp(command[0], command, os.environ)
_, status, usage = os.wait4(child, 0)
seconds = time.perf_counter() - started
with open(int(report), "w") as out:
    out.write("[%r, %r, %d]" % (seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss))
sys.exit(os.waitstatus_to_exitcode(status))
"""


@dataclass(frozen=True)
class Run:
    """One process: wall-clock and CPU seconds, peak resident bytes, and what it printed.

    `other_cpu_seconds` is what the rest of the machine worked meanwhile: cores that were not to be had.
    """

    seconds: float
    cpu_seconds: float
    other_cpu_seconds: float
    peak_bytes: int
    output: str


def run(command: Sequence[str | Path], *, cwd: Path, env: Mapping[str, str]) -> Run:
    """Run a command to its end. Raises RuntimeError, with what it printed, if it fails."""
    reader, writer = os.pipe()
    launched = [sys.executable, "-I", "-S", "-c", _LAUNCHER, str(writer), *map(str, command)]
    busy = busy_seconds()
    done = subprocess.run(
        launched, cwd=cwd, env={**os.environ, **env}, capture_output=True, text=True, pass_fds=[writer]
    )
    busy = busy_seconds() - busy
    os.close(writer)
    with open(reader) as report:
        if done.returncode:
            said = f"{done.returncode}: {done.stdout}{done.stderr}"
            raise RuntimeError(f"{' '.join(map(str, command))} failed with {said}")
        seconds, cpu_seconds, kilobytes = json.loads(report.read())
    scale = 1 if sys.platform == "darwin" else 1024
    return Run(seconds, cpu_seconds, max(0.0, busy - cpu_seconds), kilobytes * scale, done.stdout)


def clipsight(*arguments: str | Path) -> list[str | Path]:
    """The command line of this checkout."""
    return [sys.executable, "-m", "clipsight", *arguments]


def environment(home: Path) -> dict[str, str]:
    """What this checkout's command line needs: its own home, no hub."""
    return {"PYTHONPATH": str(ROOT / "src"), "CLIPSIGHT_HOME": str(home), "HF_HUB_OFFLINE": "1"}


def median(runs: Sequence[Run]) -> Run:
    """The median of each figure, and the last output."""
    return Run(
        statistics.median(run.seconds for run in runs),
        statistics.median(run.cpu_seconds for run in runs),
        statistics.median(run.other_cpu_seconds for run in runs),
        int(statistics.median(run.peak_bytes for run in runs)),
        runs[-1].output,
    )


class CoreSeconds:
    """Counts, from its making, seconds of the cores that other processes left to this one."""

    def __init__(self) -> None:
        self._others = busy_seconds() - time.process_time()
        self._started = time.perf_counter()

    def so_far(self) -> float:
        """On an idle machine, the seconds since then times the cores."""
        others = busy_seconds() - time.process_time() - self._others
        return (time.perf_counter() - self._started) * cores() - max(0.0, others)


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def print_machine(*packages: str) -> None:
    """Print where and with what a benchmark runs; the load tells how busy the machine is with other work."""
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)
    load = os.getloadavg()[0]
    print(f"{processor_name()}, {cores()} cores, load {load:.1f} at the start; {platform.system()}")
    print(f"Python {platform.python_version()}, {versions}", flush=True)


def print_table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a Markdown table, the first column to the left and the others to the right."""
    widths = [max(map(len, column)) for column in zip(heading, *rows, strict=True)]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    for row in (heading, rule, *rows):
        first, *rest = row
        cells = [first.ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(rest, widths[1:], strict=True))]
        print(f"| {' | '.join(cells)} |")
    sys.stdout.flush()


def busy_seconds() -> float:
    """CPU seconds that all processes have worked since the machine started; 0 where Linux does not tell."""
    try:
        user, nice, system, _idle, _waiting, *interrupts = (
            Path("/proc/stat").read_text().splitlines()[0].split()[1:9]
        )
    except OSError:
        return 0.0
    return sum(map(int, (user, nice, system, *interrupts))) / os.sysconf("SC_CLK_TCK")
