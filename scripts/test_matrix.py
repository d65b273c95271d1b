"""Run the tests as other processors would: `python -m scripts.test_matrix [PYTEST ARGUMENTS]`.

Each environment changes which kernels OpenBLAS, NumPy, FAISS and PyTorch choose, how many threads ONNX
Runtime has and the last bits of every embedding (tests/support/processor.py), or how busy the machine is.
Prints a line for each and exits with 1 if any failed. An instruction set that this processor lacks changes
nothing.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

BUSY_LOOPS = 4


def environments() -> dict[str, dict[str, str]]:
    """Variables of each environment, by the name it is printed with."""
    return {
        "an old processor, one thread": {
            "OPENBLAS_CORETYPE": "Sandybridge",
            "NPY_DISABLE_CPU_FEATURES": numpy_features("X86_V3"),
            "FAISS_OPT_LEVEL": "generic",
            "ATEN_CPU_CAPABILITY": "default",
            "ONEDNN_MAX_CPU_ISA": "SSE41",
            "CLIPSIGHT_TEST_THREADS": "1",
            "CLIPSIGHT_TEST_NOISE": "1",
        },
        "Haswell, two threads": {
            "OPENBLAS_CORETYPE": "Haswell",
            "NPY_DISABLE_CPU_FEATURES": numpy_features("X86_V4"),
            "CLIPSIGHT_TEST_THREADS": "2",
            "CLIPSIGHT_TEST_NOISE": "2",
        },
        "Zen, eight threads": {"OPENBLAS_CORETYPE": "Zen", "CLIPSIGHT_TEST_THREADS": "8"},
        **{f"beside {BUSY_LOOPS} busy loops, run {run}": {} for run in (1, 2, 3)},
    }


def numpy_features(lowest: str) -> str:
    """The SIMD levels from `lowest` on that NumPy has found here, as NPY_DISABLE_CPU_FEATURES takes them."""
    found: list[str] = np.show_config(mode="dicts")["SIMD Extensions"].get("found", [])
    return " ".join(found[found.index(lowest) :]) if lowest in found else ""


@contextmanager
def busy(loops: int) -> Iterator[None]:
    """Keep `loops` cores busy meanwhile."""
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(loops)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()


def main(arguments: Sequence[str]) -> int:
    """Run pytest in every environment; 1 if one failed."""
    failed = 0
    for name, variables in environments().items():
        started = time.monotonic()
        with busy(BUSY_LOOPS if "busy" in name else 0):
            done = subprocess.run(
                [sys.executable, "-m", "pytest", "-n", "auto", "--dist", "worksteal", *arguments],
                env={**os.environ, **variables},
                stdout=subprocess.PIPE,
                text=True,
            )
        failed |= done.returncode != 0
        failures = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
        print(f"{'failed' if done.returncode else 'passed'}  {time.monotonic() - started:4.0f} s  {name}")
        print(*(f"    {line}" for line in failures), sep="\n", end="\n" if failures else "", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
