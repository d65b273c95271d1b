"""Does the memory that indexing takes grow with the number of photos? Peak resident set, few and many.

    python -m benchmarks.memory WORK [--counts 1000 20000] [--model MODEL]

The photos are JPEGs of 640 x 480, all different in bytes and so each embedded, into a new library. The
builtin model is enough: what a model takes does not depend on the number of photos either. `again` is a
second run that finds all photos unchanged, and `search` one that opens the index of them all.
"""

import argparse
import shutil
from pathlib import Path

from benchmarks import measure, photos

_WIDTH = 640


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path, help="a folder for photos and libraries; about 60 KB a photo")
    parser.add_argument("--counts", type=int, nargs="+", default=[1000, 20_000])
    parser.add_argument("--model", default="builtin", help="a model's name or folder (default: builtin)")
    arguments = parser.parse_args()
    work = arguments.work.resolve()
    env = measure.environment(work / "home")
    measure.print_machine("onnxruntime", "faiss-cpu", "pillow", "numpy")

    rows = []
    for count in arguments.counts:
        folder, library = work / f"small-{count}", work / f"memory-{count}"
        if not folder.exists():
            photos.small(folder, count, _WIDTH)
        shutil.rmtree(library, ignore_errors=True)
        index = measure.clipsight("index", folder, "--library", library, "--model", arguments.model)
        search = measure.clipsight("search", "-n", "two dogs on a beach", "--library", library)
        first, again, searched = (
            measure.run(command, cwd=folder, env=env) for command in (index, index, search)
        )
        if f"{count:,} new" not in first.output or f"{count:,} unchanged" not in again.output:
            raise SystemExit(f"not all photos were embedded: {first.output}{again.output}")
        peaks = [f"{run.peak_bytes / 1e6:.0f}" for run in (first, again, searched)]
        rows.append((f"{count:,}", *peaks, f"{first.seconds:.0f}"))
        shutil.rmtree(library)
    heading = ("photos", "index peak MB", "again peak MB", "search peak MB", "index s")
    measure.print_table(heading, rows)


if __name__ == "__main__":
    main()
