"""Does indexing hold on to memory? 100,000 small photos from the first to the last, and then once more.

    python -m benchmarks.leak WORK [--photos 100000]

JPEGs of 64 x 48 pixels, all different in bytes and so each embedded, by a model of a few kilobytes: what is
left is all that clipsight does itself, a photo at a time. The resident memory of the process is sampled twice
a second with the number of photos committed by then: its own (anonymous) and all (mapped files too, such as
SQLite's and the search index's). SQLite's page cache fills with what is written until it is full (32 MB: some
85,000 photos); a leak would go on beyond. At the end the search index is made. `again` are runs that find
nothing new. Linux only, for its /proc.
"""

import argparse
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks import measure, photos

_WIDTH = 64
_SHOWN = 12
_AGAIN = 3


@dataclass(frozen=True, slots=True)
class Sample:
    """The process after so many photos; bytes."""

    photos: int
    seconds: float
    own: int
    all: int


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.leak", description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path, help="a folder for photos and the library; about 9 KB a photo")
    parser.add_argument("--photos", type=int, default=100_000)
    arguments = parser.parse_args()
    work = arguments.work.resolve()
    folder, library = work / f"leak-{arguments.photos}", work / "leak-library"
    measure.print_machine("onnxruntime", "faiss-cpu", "pillow", "numpy")
    if not folder.exists():
        photos.small(folder, arguments.photos, _WIDTH)
    shutil.rmtree(library, ignore_errors=True)
    command = measure.clipsight("index", folder, "--library", library, "--model", tiny_model(work / "tiny"))
    env = measure.environment(work / "home")
    samples = sampled([str(part) for part in command], env, library)
    again = measure.median([measure.run(command, cwd=work, env=env) for _ in range(_AGAIN)])
    if f"{arguments.photos:,} unchanged" not in again.output:
        raise SystemExit(f"not all photos were embedded: {again.output}")
    show(samples)
    print(f"again: {again.seconds:.2f} s, {again.cpu_seconds:.2f} s of CPU, {again.peak_bytes / 1e6:.0f} MB")
    shutil.rmtree(library)


def tiny_model(folder: Path) -> Path:
    """The model that the tests use."""
    sys.path.insert(0, str(measure.ROOT / "tests"))
    from tests.support.tiny_models import make_model_folder

    return make_model_folder(folder) if not folder.exists() else folder


def sampled(command: list[str], env: dict[str, str], library: Path) -> list[Sample]:
    """Run the command to its end, looking at it twice a second."""
    samples = []
    started = time.perf_counter()
    with subprocess.Popen(command, env={**os.environ, **env}) as process:
        while process.poll() is None:
            memory = resident(process.pid)
            if memory is not None:
                samples.append(Sample(committed(library), time.perf_counter() - started, *memory))
            time.sleep(0.5)
    if process.returncode:
        raise SystemExit(f"clipsight index failed with {process.returncode}")
    return [sample for sample in samples if sample.photos]


def resident(process: int) -> tuple[int, int] | None:
    """Bytes in memory, its own and all; None once it has ended."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return None
    figures = {
        name: int(kilobytes.split()[0]) << 10 for name, _, kilobytes in map(_parted, lines) if kilobytes
    }
    return (figures["RssAnon"], figures["VmRSS"]) if "RssAnon" in figures else None


def _parted(line: str) -> tuple[str, str, str]:
    name, colon, rest = line.partition(":")
    return name, colon, rest if rest.endswith("kB") else ""


def committed(library: Path) -> int:
    """How many vectors there are, by their highest id; 0 while there is no catalog."""
    try:
        address = f"file:{library / 'catalog.sqlite3'}?mode=ro"
        with closing(sqlite3.connect(address, uri=True)) as catalog:
            return int(catalog.execute("SELECT coalesce(max(id), 0) FROM vectors").fetchone()[0])
    except sqlite3.OperationalError:
        return 0


def show(samples: list[Sample]) -> None:
    """Print the first sample of each tenth of the photos, and the slopes of all and of the last tenth."""
    total = samples[-1].photos
    before_index = [sample for sample in samples if sample.photos < total]
    tenths = [next(each for each in samples if each.photos >= total * tenth / 10) for tenth in range(10)]
    rows = [
        (f"{each.photos:,}", f"{each.seconds:.0f}", f"{each.own / 1e6:.1f}", f"{each.all / 1e6:.1f}")
        for each in [*tenths, before_index[-1], samples[-1]]
    ]
    measure.print_table(("photos", "seconds", "own MB", "all MB"), rows)
    last = [sample for sample in before_index if sample.photos >= 0.9 * total]
    print(f"{slope(before_index):+.2f} MB of its own for 10,000 photos, {slope(last):+.2f} in the last tenth")


def slope(samples: list[Sample]) -> float:
    """Megabytes of the process's own for 10,000 photos, by least squares."""
    return float(
        np.polyfit([each.photos / 1e4 for each in samples], [each.own / 1e6 for each in samples], 1)[0]
    )


if __name__ == "__main__":
    main()
