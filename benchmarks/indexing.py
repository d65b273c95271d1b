"""Indexing 12-megapixel JPEGs: how near to what the model and libjpeg need at the least, and rclip beside it.

    python -m benchmarks.vit_b32 MODEL
    python -m benchmarks.photos PHOTOS --large 200
    python -m benchmarks.indexing MODEL PHOTOS WORK [--rclip VENV]

Two floors are CPU seconds that no program on ONNX Runtime and libjpeg can spare: the visual tower on
tensors that are in memory already (batches of 8, one thread a core, as many at once as there are cores),
and the decode of a JPEG in memory at the DCT scale that indexing uses. The limit is
`cores / (session + decode)` photos a second. It is measured in every round, beside both programs, because
the speed of a shared machine changes from minute to minute. Each program indexes into a new library or
database; the rate is photos / wall-clock seconds of its whole process, start-up included. The CPU columns
tell how much of the machine was to be had: a program that keeps all cores busy uses `cores` of them.
"""

import argparse
import io
import shutil
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks import measure
from benchmarks.peers import rclip

_BATCH = 8
_SAMPLE = 48
"""Photos that the floors are measured on."""


@dataclass(frozen=True)
class _Floors:
    """CPU seconds a photo."""

    session: float
    decode: float

    @property
    def limit(self) -> float:
        """Photos a second that all cores can do at the most."""
        return measure.cores() / (self.session + self.decode)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.indexing", description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, help="a model folder, as `python -m benchmarks.vit_b32` writes it")
    parser.add_argument("photos", type=Path, help="a folder of 12-megapixel JPEGs")
    parser.add_argument("work", type=Path, help="a folder for libraries")
    parser.add_argument("--rclip", type=Path, help="its virtual environment (default: WORK/rclip-venv)")
    parser.add_argument("--times", type=int, default=3, help="rounds (default 3)")
    arguments = parser.parse_args()
    photos, work, model = (folder.resolve() for folder in (arguments.photos, arguments.work, arguments.model))
    library = work / "indexing"
    work.mkdir(parents=True, exist_ok=True)
    peer = rclip(arguments.rclip or work / "rclip-venv", work / "rclip", model)
    files = sorted(photos.glob("*.jpg"))
    for file in files:
        file.read_bytes()  # into the page cache, for both
    measure.print_machine("onnxruntime", "pillow", "numpy")
    print(f"{len(files)} photos, {sum(file.stat().st_size for file in files) / len(files) / 1e6:.1f} MB each")

    floors: list[_Floors] = []
    ours: list[measure.Run] = []
    theirs: list[measure.Run] = []
    for _ in range(arguments.times):
        floors.append(_floors(model, files[:_SAMPLE]))
        shutil.rmtree(library, ignore_errors=True)
        command = measure.clipsight("index", photos, "--library", library, "--model", model)
        ours.append(measure.run(command, cwd=photos, env=measure.environment(work / "home")))
        peer.empty_database()
        theirs.append(measure.run(peer.index_command(), cwd=photos, env=peer.env))
        if f"{len(files):,} new" not in ours[-1].output:
            raise SystemExit(f"not all photos were embedded: {ours[-1].output}")
    shutil.rmtree(library)
    _print(len(files), floors, ours, theirs)


def _print(count: int, floors: list[_Floors], ours: list[measure.Run], theirs: list[measure.Run]) -> None:
    rows = []
    for floor, our, their in zip(floors, ours, theirs, strict=True):
        rate, peer_rate = count / our.seconds, count / their.seconds
        rows.append(
            (
                floor.session * 1e3,
                floor.decode * 1e3,
                floor.limit,
                rate,
                rate / floor.limit,
                our.cpu_seconds / count * 1e3,
                our.cpu_seconds / our.seconds,
                peer_rate,
                rate / peer_rate,
                their.cpu_seconds / their.seconds,
            )
        )
    heading = (
        "",
        "session ms",
        "decode ms",
        "limit /s",
        "clipsight /s",
        "of limit",
        "CPU ms a photo",
        "cores used",
        "rclip /s",
        "clipsight / rclip",
        "cores used",
    )
    medians = [statistics.median(column) for column in zip(*rows, strict=True)]
    named = [(str(number + 1), row) for number, row in enumerate(rows)] + [("median", tuple(medians))]
    measure.print_table(heading, [(name, *(f"{value:.3g}" for value in row)) for name, row in named])


def _floors(model: Path, files: Sequence[Path]) -> _Floors:
    import onnxruntime

    from clipsight.indexing.decode import DCT_MARGIN
    from clipsight.models.folder import ModelFolder

    height, width = ModelFolder.read(model).preprocess.size
    tensors = np.random.default_rng(0).standard_normal((_BATCH, 3, height, width), np.float32)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    visual = str(model / "visual" / "model.onnx")
    session = onnxruntime.InferenceSession(visual, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    data = [file.read_bytes() for file in files]
    short = int(np.ceil(DCT_MARGIN * max(height, width)))

    def decode(picture: bytes) -> None:
        photo = Image.open(io.BytesIO(picture), formats=("JPEG",))
        photo.draft(None, (short, short))
        photo.load()

    batches = [lambda: session.run(None, {name: tensors})] * (len(files) // _BATCH)
    return _Floors(
        _cpu_seconds(batches) / (len(batches) * _BATCH),
        _cpu_seconds([lambda picture=picture: decode(picture) for picture in data]) / len(data),
    )


def _cpu_seconds(tasks: Sequence[Callable[[], object]]) -> float:
    """CPU seconds of all tasks, run on every core at once, after one that warms up."""
    tasks[0]()
    with ThreadPoolExecutor(measure.cores()) as pool:
        started = time.process_time()
        for task in [pool.submit(task) for task in tasks]:
            task.result()
        return time.process_time() - started


if __name__ == "__main__":
    main()
