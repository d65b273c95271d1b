"""Search over the size of a collection: time, memory, recall; beside NumPy, clip-retrieval, the memory bus.

    python -m benchmarks.latency PHOTOS WORK [--counts 1000 10000 100000 1000000] [--autofaiss VENV]

The collections are those of `benchmarks.scale`: vectors that lie as those of the real photos in PHOTOS do, of
256 numbers, queries that are photos held out, and their true answers. Each program answers one query after
the other, in a process of its own:

    clipsight        its library, indexed as it asks for (`clipsight optimize` where it offers that)
    NumPy            float32 in memory, matrix times query, argpartition
    clip-retrieval   its back end: the index that `clip-retrieval index` makes by default (autofaiss, 4 GB at
                     most), read back, and `search_and_reconstruct`; installed apart, with its old NumPy
    memory bus       no search but the time to read every float16 number once: the limit of comparing all

`ready` is the time to open an index that is on disk, `build` to make it of the vectors.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks import measure
from benchmarks.scale import _Place as Place

AUTOFAISS = ("autofaiss==2.18.0", "pyarrow<20", "setuptools<81")  # what it needs and does not ask for
_DIM, _K, _QUERIES = 256, 10, 200
_READ = 512 << 20
_FILES = (("autofaiss", ".npy"), ("queries", ".npy"), ("autofaiss", ".index"))
_PEER = """
import json, logging, os, sys, time, faiss, numpy as np
vectors, queries, index, k = sys.argv[1:]
if not os.path.exists(index):
    from autofaiss import build_index
    build_index(embeddings=np.load(vectors).astype(np.float32), index_path=index,
        index_infos_path=index + ".json", max_index_memory_usage="4G", current_memory_available="16G",
        verbose=logging.ERROR)
    sys.exit()
started = time.perf_counter()
opened = faiss.read_index(index)
ready = time.perf_counter() - started
seconds, found = [], []
for query in np.load(queries):
    started = time.perf_counter()
    _, ids, _ = opened.search_and_reconstruct(query[None], int(k))
    seconds.append(time.perf_counter() - started)
    found.append(ids[0].tolist())
memory = int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
print(json.dumps([ready, seconds, found, memory]))
"""
Floats = NDArray[np.float32]
Ids = NDArray[np.int64]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.latency", description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path, help="real photos, as for benchmarks.scale")
    parser.add_argument("work", type=Path, help="a folder for libraries, that of benchmarks.scale")
    parser.add_argument("--counts", type=int, nargs="+", default=[1000, 10_000, 100_000, 1_000_000])
    parser.add_argument(
        "--autofaiss", type=Path, help="its virtual environment (default: WORK/autofaiss-venv)"
    )
    parser.add_argument("--part", choices=_PARTS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    work = arguments.work.resolve()
    places = [Place(work, _DIM, count) for count in arguments.counts]
    if arguments.part:
        print(json.dumps(list(astuple(_PARTS[arguments.part](places[0])))))
        return
    work.mkdir(parents=True, exist_ok=True)
    measure.print_machine("faiss-cpu", "numpy")
    peer = autofaiss(arguments.autofaiss or work / "autofaiss-venv")
    bytes_a_second = bandwidth()
    print(f"memory is read at {bytes_a_second / 1e9:.1f} GB/s\n")
    heading = ("photos", "program", "p50 ms", "p95 ms", "recall@10", "RSS MB", "ready s", "build s")
    rows = [row for place in places for row in measured(place, arguments.photos, peer, bytes_a_second)]
    measure.print_table(heading, rows)


def measured(place: Place, photos: Path, peer: Path, bytes_a_second: float) -> list[tuple[str, ...]]:
    """The rows of one size of collection."""
    if not place.library.exists():
        place.make(photos)
    rows = [
        ("clipsight", in_process("clipsight", place, photos), optimize(place)),
        ("NumPy", in_process("numpy", place, photos), 0.0),
        ("clip-retrieval", *of_autofaiss(place, peer)),
    ]
    _, best = queries(place)
    cells = [
        (
            f"{place.count:,}",
            name,
            *(f"{np.percentile(answered.seconds, share) * 1e3:.3g}" for share in (50, 95)),
            f"{recall(answered.found, best):.3f}",
            f"{answered.memory / 1e6:.0f}",
            f"{answered.ready:.2f}",
            f"{built:.1f}",
        )
        for name, answered, built in rows
    ]
    limit = place.count * _DIM * 2 / bytes_a_second
    return [*cells, (f"{place.count:,}", "memory bus", f"{limit * 1e3:.3g}", *[""] * 5)]


@dataclass(frozen=True)
class Answered:
    """What a process did: seconds until it was ready, seconds and row numbers of each query, bytes."""

    ready: float
    seconds: list[float]
    found: list[list[int]]
    memory: int


def queries(place: Place) -> tuple[Floats, Ids]:
    """Photos that are not in the collection, float32[n, dim], and the row numbers of their best."""
    vectors, best = place.queries()["photos"]
    return vectors[:_QUERIES], best[:_QUERIES] - 1  # vector ids begin with 1


def recall(found: list[list[int]], best: Ids) -> float:
    return float(
        np.mean([len({*each} & {*true.tolist()}) / _K for each, true in zip(found, best, strict=True)])
    )


def stored_embeddings(place: Place) -> Floats:
    """All vectors, float32[n, dim], by row number."""
    with closing(place.catalog()) as catalog:
        return np.concatenate([chunk for _, chunk in catalog.vectors_after(0, place.model(catalog))]).astype(
            "f4"
        )


def optimize(place: Place) -> float:
    """Make the index that clipsight asks for, anew; seconds."""
    for file in (place.library / "vectors").glob("*"):
        file.unlink()
    with closing(place.catalog()) as catalog:
        started = time.perf_counter()
        index = place.index(catalog)
        if index.should_optimize:
            index.build_approximate(lambda done, count: None)
        return time.perf_counter() - started


def in_process(part: str, place: Place, photos: Path) -> Answered:
    """A part's answers, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.latency", str(photos), str(place.work), "--part", part]
    command += ["--counts", str(place.count)]
    env = os.environ | measure.environment(place.work / "home")
    done = subprocess.run(command, cwd=measure.ROOT, env=env, check=True, stdout=subprocess.PIPE, text=True)
    return Answered(*json.loads(done.stdout.splitlines()[-1]))


def of_clipsight(place: Place) -> Answered:
    from clipsight.store.vectors.rerank import rank

    started = time.perf_counter()
    with closing(place.catalog()) as catalog:
        index = place.index(catalog)

        def search(query: Floats) -> list[int]:
            (ranked,) = rank(catalog, index, query[None], _K)
            return [each.photo.vector_id - 1 for each in ranked]

        return answered(search, place, time.perf_counter() - started)


def of_numpy(place: Place) -> Answered:
    started = time.perf_counter()
    vectors = stored_embeddings(place)

    def search(query: Floats) -> list[int]:
        scores = vectors @ query
        best = np.argpartition(-scores, _K)[:_K]
        return [int(row) for row in best[np.argsort(-scores[best])]]

    return answered(search, place, time.perf_counter() - started)


def answered(search: Callable[[Floats], list[int]], place: Place, ready: float) -> Answered:
    asked, _ = queries(place)
    for query in asked[:20]:
        search(query)  # brings what is on disk into memory
    seconds, found = [], []
    for query in asked:
        started = time.perf_counter()
        found.append(search(query))
        seconds.append(time.perf_counter() - started)
    return Answered(ready, seconds, found, resident())


def of_autofaiss(place: Place, peer: Path) -> tuple[Answered, float]:
    """What clip-retrieval's back end answers, and the seconds of making its index."""
    files = [place.work / f"{name}-{place.count}-{_DIM}{end}" for name, end in _FILES]
    vectors, asked, index = files
    np.save(asked, queries(place)[0])
    command = [str(part) for part in (peer, "-c", _PEER, *files, _K)]
    seconds = index.with_name(f"{index.name}.seconds")
    if not seconds.exists():
        np.save(vectors, stored_embeddings(place).astype(np.float16))
        started = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        seconds.write_text(json.dumps(time.perf_counter() - started))
        vectors.unlink()
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return Answered(*json.loads(done.stdout.splitlines()[-1])), float(seconds.read_text())


def autofaiss(venv: Path) -> Path:
    """The Python of an environment with autofaiss, made unless it is there."""
    python = venv / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *AUTOFAISS], check=True)
    return python


def bandwidth() -> float:
    """Bytes a second at which one core reads memory: the best of some sums over 512 MB."""
    numbers = np.ones(_READ // 8)  # zeros would all be one page
    best = min(timed(numbers.sum) for _ in range(8))
    return _READ / best


def timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def resident() -> int:
    """Bytes of this process in memory, mapped files included (Linux)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


_PARTS: dict[str, Callable[[Place], Answered]] = {"clipsight": of_clipsight, "numpy": of_numpy}


if __name__ == "__main__":
    main()
