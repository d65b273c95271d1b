"""Looking for changes where there are none: what does it cost to be told that nothing is new?

    python -m benchmarks.vit_b32 MODEL
    python -m benchmarks.rescan MODEL WORK [--files 100000] [--rclip VENV]

The files exist: JPEGs of 32 pixels, 1,000 a folder. Both programs hold a row for each, with its own size
and time, filled in with synthetic vectors (`synthetic.py`) instead of by embedding them. `index` is the
process that only looks for changes, `search` the one that looks for changes and then searches, as both
programs do unless told otherwise. `floor` is a bare `os.scandir` and `stat` of every file.
"""

import argparse
import sys
from pathlib import Path

from benchmarks import measure, photos, synthetic
from benchmarks.peers import rclip

_DIM = 512
_WIDTH = 32
_QUERY = "two dogs on a beach"
_FLOOR = """
import os, sys
pending = [sys.argv[1]]
while pending:
    for entry in os.scandir(pending.pop()):
        if entry.is_dir():
            pending.append(entry.path)
        else:
            entry.stat()
"""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rescan", description=__doc__.splitlines()[0])
    parser.add_argument(
        "model", type=Path, help="a model folder, as `python -m benchmarks.vit_b32` writes it"
    )
    parser.add_argument("work", type=Path, help="a folder for files and libraries; about 8 KB a file")
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--rclip", type=Path, help="its virtual environment (default: WORK/rclip-venv)")
    parser.add_argument("--times", type=int, default=5, help="rounds run in turn (default 5)")
    arguments = parser.parse_args()
    work, model = arguments.work.resolve(), arguments.model.resolve()
    folder, library = work / f"tiny-{arguments.files}", work / f"rescan-{arguments.files}"
    work.mkdir(parents=True, exist_ok=True)
    measure.print_machine("onnxruntime", "faiss-cpu", "numpy")

    if not folder.exists():
        photos.small(folder, arguments.files, _WIDTH)
    paths = sorted(str(file) for file in folder.glob("*/*.jpg"))
    if not library.exists():
        synthetic.fill_clipsight(library, work / "home", model, paths, _DIM)
    peer = rclip(arguments.rclip or work / "rclip-venv", work / "rclip", model)
    synthetic.fill_rclip(peer, paths, _DIM)

    own = measure.environment(work / "home")
    tasks = {
        "clipsight index": (measure.clipsight("index", folder, "--library", library), own),
        "rclip index": (peer.index_command(), peer.env),
        "clipsight search": (measure.clipsight("search", _QUERY, folder, "--library", library), own),
        "rclip search": (peer.search_command(_QUERY), peer.env),
        "floor": ([sys.executable, "-c", _FLOOR, folder], {}),
    }
    runs: dict[str, list[measure.Run]] = {name: [] for name in tasks}
    for round_ in range(arguments.times + 1):
        for name, (command, env) in tasks.items():
            done = measure.run(command, cwd=folder, env=env)
            if round_:  # the first brings files into the page cache
                runs[name].append(done)
    of = {name: measure.median(some) for name, some in runs.items()}
    if f"{len(paths):,} unchanged" not in of["clipsight index"].output:
        raise SystemExit(f"not all files were taken for unchanged: {of['clipsight index'].output}")
    rows = [
        _row(task, of[f"clipsight {task}"], of[f"rclip {task}"], of["floor"]) for task in ("index", "search")
    ]
    print(f"{len(paths):,} unchanged files")
    heading = ("", "clipsight s", "rclip s", "rclip / clipsight", "floor s", "clipsight CPU s", "rclip CPU s")
    measure.print_table(heading, rows)


def _row(task: str, ours: measure.Run, theirs: measure.Run, floor: measure.Run) -> tuple[str, ...]:
    return (
        task,
        f"{ours.seconds:.2f}",
        f"{theirs.seconds:.2f}",
        f"{theirs.seconds / ours.seconds:.1f}",
        f"{floor.seconds:.2f}",
        f"{ours.cpu_seconds:.2f}",
        f"{theirs.cpu_seconds:.2f}",
    )


if __name__ == "__main__":
    main()
