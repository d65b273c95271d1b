"""What the encoder's choices of ONNX Runtime sessions cost and gain, in CPU seconds.

    python -m benchmarks.vit_b32 MODEL
    python -m benchmarks.sessions MODEL

CPU seconds (user and system, all threads) rather than wall-clock ones, so that what else the machine does
hardly counts. Each line is a process of its own: one session, loaded once, run several times.
"""

import argparse
import resource
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import measure

_LEVELS = {"none": 0, "basic": 1, "extended": 2, "all": 99}
_PHOTOS = 32


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.sessions", description=__doc__.splitlines()[0]
    )
    parser.add_argument(
        "model", type=Path, help="a model folder, as `python -m benchmarks.vit_b32` writes it"
    )
    parser.add_argument("--line", nargs=5, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.line:
        tower, weights, level, threads, batch = arguments.line
        print_line(arguments.model, tower, weights, level, int(threads), int(batch))
        return
    measure.print_machine("onnxruntime", "numpy")
    print("\nThe text tower: milliseconds to load it, to embed the first text and each one after.")
    for weights in ("copied", "mapped", "mapped, as they are"):
        start_line(arguments.model, "textual", weights, "all", 2, 1)
    for level in ("extended", "basic", "none"):
        start_line(arguments.model, "textual", "mapped, as they are", level, 2, 1)
    print(f"\nThe visual tower: milliseconds to load it, then a photo, {_PHOTOS} of them on all cores.")
    cores = measure.cores()
    for threads, batch in ((1, 1), (1, 4), (1, 8), (1, 16), (cores, 8), (cores, 16)):
        start_line(arguments.model, "visual", "mapped", "all", threads, batch)


def start_line(model: Path, *choices: str | int) -> None:
    command = [sys.executable, "-m", "benchmarks.sessions", str(model), "--line", *map(str, choices)]
    subprocess.run(command, check=True, env=measure.environment(Path("/nonexistent")))


def print_line(model: Path, tower: str, weights: str, level: str, threads: int, batch: int) -> None:
    import onnxruntime

    from clipsight.models.weight_mapping import EXTERNAL_DATA_FOLDER, externalize_weights

    file = model / tower / "model.onnx"
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.enable_mem_pattern = False
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel(_LEVELS[level])
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry(EXTERNAL_DATA_FOLDER, str(file.parent))
    if weights == "mapped, as they are":
        options.add_session_config_entry("session.disable_prepacking", "1")
    loading = CpuTime()
    graph = file if weights == "copied" else externalize_weights(file)
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    loaded = loading.milliseconds()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if tower == "textual":
        feed: dict[str, np.ndarray[Any, Any]] = {"text": np.full((1, 77), 400, np.int32)}
        first = timed(lambda: session.run(None, feed))
        later = min(timed(lambda: session.run(None, feed)) for _ in range(9))
        figures = f"first {first:6.1f}  later {later:6.1f}"
    else:
        figures = f"{' ':3}batch {batch:2}  a photo {a_photo(session, threads, batch):6.1f}"
    print(
        f"weights {weights:19}  optimised {level:8}  threads of the session {threads}  "
        f"load {loaded:6.1f}  {figures}  peak at load {peak:.0f} MB"
    )


def a_photo(session: Any, threads: int, batch: int) -> float:
    """CPU milliseconds a photo, with as many calls at once as leave no core idle."""
    images = np.random.default_rng(0).standard_normal((batch, 3, 224, 224), np.float32)
    calls = max(1, measure.cores() // threads)
    runs = max(1, _PHOTOS // (calls * batch))

    def work() -> None:
        for _ in range(runs):
            session.run(None, {"image": images})

    def round_() -> None:
        workers = [threading.Thread(target=work) for _ in range(calls)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()

    round_()
    return min(timed(round_) for _ in range(3)) / (calls * runs * batch)


class CpuTime:
    """CPU time of this process since its making."""

    def __init__(self) -> None:
        self._start = self._now()

    def milliseconds(self) -> float:
        return (self._now() - self._start) * 1e3

    @staticmethod
    def _now() -> float:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return usage.ru_utime + usage.ru_stime


def timed(work: Callable[[], Any]) -> float:
    """CPU milliseconds of one call."""
    clock = CpuTime()
    work()
    return clock.milliseconds()


if __name__ == "__main__":
    main()
