"""What it costs to import clipsight and to start its command line, and which imports that goes to.

    python -m benchmarks.startup

`python` is an interpreter that does nothing, and part of every other row. The imports are those that
`python -X importtime` finds slowest by themselves on the way to `clipsight --help`.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks import measure

_SLOWEST = 8


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.startup", description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=15, help="rounds run in turn (default 15)")
    arguments = parser.parse_args()
    measure.print_machine("typer", "rich")
    commands: dict[str, list[str | Path]] = {
        "python": [sys.executable, "-c", "pass"],
        "import clipsight": [sys.executable, "-c", "import clipsight"],
        "clipsight --help": measure.clipsight("--help"),
    }
    with tempfile.TemporaryDirectory() as folder:
        env = measure.environment(Path(folder))
        runs: dict[str, list[measure.Run]] = {name: [] for name in commands}
        for _ in range(arguments.times):
            for name, command in commands.items():
                runs[name].append(measure.run(command, cwd=Path(folder), env=env))
        rows = [
            (name, f"{median.seconds:.3f}", f"{median.cpu_seconds:.3f}", f"{median.peak_bytes / 1e6:.0f}")
            for name, median in ((name, measure.median(some)) for name, some in runs.items())
        ]
        measure.print_table(("", "s", "CPU s", "peak MB"), rows)
        print()
        measure.print_table(("module", "ms by itself"), _slowest(env))


def _slowest(env: dict[str, str]) -> list[tuple[str, str]]:
    command = [sys.executable, "-X", "importtime", "-m", "clipsight", "--help"]
    told = subprocess.run(command, env=env, capture_output=True, text=True, check=True).stderr
    found: list[tuple[int, str]] = []
    for line in told.splitlines():
        own, _, rest = line.removeprefix("import time:").partition("|")
        if own.strip().isdigit():
            found.append((int(own), rest.partition("|")[2].strip()))
    return [(name, f"{own / 1000:.0f}") for own, name in sorted(found, reverse=True)[:_SLOWEST]]


if __name__ == "__main__":
    main()
