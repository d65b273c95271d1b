"""Indexing 12-megapixel JPEGs: how near to what the model and libjpeg need at the least, and rclip beside it.

    python -m benchmarks.vit_b32 MODEL
    python -m benchmarks.photos PHOTOS --large 480
    python -m benchmarks.indexing MODEL PHOTOS WORK [--rclip VENV]

Two floors are CPU seconds that no program on ONNX Runtime and libjpeg can spare: the visual tower on
tensors that are in memory already (batches of 8, one thread a core, as many at once as there are cores),
and the decode of a JPEG in memory at the DCT scale that indexing uses. The limit is
`cores / (session + decode)` photos a second. Floors and both programs are measured in every round, because
the speed of a shared machine changes from minute to minute; `cores` are those that other processes left
over during the run (all of them, on an idle machine). Each program indexes into a new library or database.
`clipsight /s` is the rate of the indexing itself, as the command reports it; `process /s` is that of the
whole process with its start, and what is compared with rclip's.
"""

import argparse
import io
import re
import shutil
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
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


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.indexing", description=__doc__.splitlines()[0]
    )
    parser.add_argument(
        "model", type=Path, help="a model folder, as `python -m benchmarks.vit_b32` writes it"
    )
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
        cores = measure.cores() - our.other_cpu_seconds / our.seconds
        limit = cores / (floor.session + floor.decode)
        rate = count / _reported_seconds(our.output)
        rows.append(
            {
                "session ms": floor.session * 1e3,
                "decode ms": floor.decode * 1e3,
                "cores": cores,
                "limit /s": limit,
                "clipsight /s": rate,
                "of limit": rate / limit,
                "process /s": count / our.seconds,
                "CPU ms a photo": our.cpu_seconds / count * 1e3,
                "rclip /s": count / their.seconds,
                "rclip CPU ms": their.cpu_seconds / count * 1e3,
                "rclip cores": measure.cores() - their.other_cpu_seconds / their.seconds,
                "clipsight / rclip": their.seconds / our.seconds,
            }
        )
    medians = {name: statistics.median(row[name] for row in rows) for name in rows[0]}
    named = [*((str(number + 1), row) for number, row in enumerate(rows)), ("median", medians)]
    cells = [(name, *(f"{value:.3g}" for value in row.values())) for name, row in named]
    measure.print_table(("round", *rows[0]), cells)


def _reported_seconds(output: str) -> float:
    found = re.search(r"\(([0-9.,]+) s\)", output)
    if found is None:
        raise SystemExit(f"clipsight index reported no time: {output}")
    return float(found[1].replace(",", ""))


def _floors(model: Path, files: Sequence[Path]) -> _Floors:
    import onnxruntime

    from clipsight.indexing.media.photo import DCT_MARGIN
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

    def infer() -> None:
        session.run(None, {name: tensors})

    def decode(picture: bytes) -> None:
        photo = Image.open(io.BytesIO(picture), formats=("JPEG",))
        photo.draft(None, (short, short))
        photo.load()

    batches = [infer] * (len(files) // _BATCH)
    return _Floors(
        _cpu_seconds(batches) / (len(batches) * _BATCH),
        _cpu_seconds([partial(decode, picture) for picture in data]) / len(data),
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
