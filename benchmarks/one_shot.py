"""One search from a cold start: how long does the process take, from its start to the printed result?

    python -m benchmarks.vit_b32 MODEL
    python -m benchmarks.one_shot MODEL WORK [--photos 100000 1000000] [--rclip VENV]

Both programs hold the same synthetic vectors (`synthetic.py`) in a library that is already built, have the
same text tower, and answer the same words from the same folder without looking for new photos
(`search -n`). They run in turn. `floor` is what it costs to import onnxruntime, load the same text tower
from its file as one usually does, and run it once.
"""

import argparse
import sys
from pathlib import Path

from benchmarks import measure, synthetic
from benchmarks.peers import Rclip, rclip

_DIM = 512
_QUERY = "two dogs on a beach"
_FLOOR = """
import sys, numpy, onnxruntime
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = int(sys.argv[2])
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
session.run(None, {"text": numpy.ones((1, 77), numpy.int32)})
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.one_shot", description=__doc__.splitlines()[0]
    )
    parser.add_argument(
        "model", type=Path, help="a model folder, as `python -m benchmarks.vit_b32` writes it"
    )
    parser.add_argument("work", type=Path, help="a folder for the libraries; about 4.5 KB a photo")
    parser.add_argument("--photos", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--rclip", type=Path, help="its virtual environment (default: WORK/rclip-venv)")
    parser.add_argument("--times", type=int, default=7, help="pairs run in turn (default 7)")
    arguments = parser.parse_args()
    work, model = arguments.work.resolve(), arguments.model.resolve()
    work.mkdir(parents=True, exist_ok=True)
    peer = rclip(arguments.rclip or work / "rclip-venv", work / "rclip", model)
    measure.print_machine("onnxruntime", "faiss-cpu", "numpy")

    rows = [_measure(count, model, work, peer, arguments.times) for count in arguments.photos]
    heading = (
        "photos",
        "clipsight s",
        "rclip s",
        "clipsight / rclip",
        "clipsight CPU s",
        "rclip CPU s",
        "floor CPU s",
        "clipsight peak MB",
        "rclip peak MB",
    )
    measure.print_table(heading, rows)


def _measure(count: int, model: Path, work: Path, peer: Rclip, times: int) -> tuple[str, ...]:
    """Fill both libraries with `count` photos and search them in turn; one row of the table."""
    folder, library = work / f"photos-{count}", work / f"library-{count}"
    folder.mkdir(exist_ok=True)
    paths = [str(folder / f"{number // 1000:04}" / f"IMG_{number % 1000:04}.jpg") for number in range(count)]
    if not library.exists():
        synthetic.fill_clipsight(library, work / "home", model, paths, _DIM)
    synthetic.fill_rclip(peer, paths, _DIM)
    commands: dict[str, list[str | Path]] = {
        "clipsight": measure.clipsight("search", "-n", _QUERY, folder, "--library", library),
        "rclip": peer.search_command(_QUERY, "-n"),
        "floor": [sys.executable, "-c", _FLOOR, model / "textual" / "model.onnx", str(measure.cores())],
    }
    env = {"clipsight": measure.environment(work / "home"), "rclip": peer.env, "floor": {}}
    runs: dict[str, list[measure.Run]] = {name: [] for name in commands}
    for round_ in range(times + 1):
        for name, command in commands.items():
            done = measure.run(command, cwd=folder, env=env[name])
            if round_:  # the first brings files into the page cache and builds the index
                runs[name].append(done)
    ours, theirs, floor = (measure.median(runs[name]) for name in commands)
    _check(ours.output, theirs.output)
    return _row(f"{count:,}", ours, theirs, floor)


def _row(photos: str, ours: measure.Run, theirs: measure.Run, floor: measure.Run) -> tuple[str, ...]:
    return (
        photos,
        f"{ours.seconds:.2f}",
        f"{theirs.seconds:.2f}",
        f"{ours.seconds / theirs.seconds:.3f}",
        f"{ours.cpu_seconds:.2f}",
        f"{theirs.cpu_seconds:.2f}",
        f"{floor.cpu_seconds:.2f}",
        f"{ours.peak_bytes / 1e6:.0f}",
        f"{theirs.peak_bytes / 1e6:.0f}",
    )


def _check(ours: str, theirs: str) -> None:
    """Both must have answered with the same photo, or something else was measured."""
    best = theirs.splitlines()[1].split("\t")[1].strip('"')
    if best not in ours:
        raise SystemExit(f"the answers differ:\n{ours}\n{theirs}")


if __name__ == "__main__":
    main()
