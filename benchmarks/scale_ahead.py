"""Ten million photos: the search index alone, without a catalog, at fewer dimensions.

    python -m benchmarks.scale_ahead WORK [--counts 1000000 10000000] [--dim 64]

WORK is that of `benchmarks.scale`, whose embedded photos (`WORK/seeds`) are taken, cut to their first
principal components, and perturbed as there. What is measured: building, the share of the lists that the
library's own rule reads, its time a query, and recall@10 among 144 candidates, against brute force. From
this and the bytes a code takes, docs/scale.md reckons what a library of ten and of a hundred million needs.
"""

import argparse
import time
from pathlib import Path

import numpy as np

from benchmarks import measure, synthetic
from clipsight import Library
from clipsight.store.vectors.approximate import SAMPLE_PER_LIST, list_count, search_parameters, train

_QUERIES = 200
_CANDIDATES = 144


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.scale_ahead", description=__doc__.splitlines()[0]
    )
    parser.add_argument("work", type=Path)
    parser.add_argument("--counts", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--dim", type=int, default=64)
    arguments = parser.parse_args()
    measure.print_machine("faiss-cpu", "numpy")
    with Library.open(arguments.work / "seeds") as library:
        real = np.concatenate([chunk.vectors for chunk in library.embeddings()])
    _, _, axes = np.linalg.svd(real - real.mean(axis=0), full_matrices=False)
    cut = real @ axes[: arguments.dim].T
    cut = (cut / np.linalg.norm(cut, axis=1, keepdims=True)).astype(np.float32)
    cut = np.random.default_rng(0).permutation(cut)
    rows = [_measure(cut[_QUERIES:], cut[:_QUERIES], count) for count in arguments.counts]
    heading = (
        "photos",
        "lists",
        "read",
        "train CPU s",
        "add CPU s",
        "bytes a photo",
        "query CPU ms",
        "recall@10",
    )
    measure.print_table(heading, rows)


def _measure(real: np.ndarray, queries: np.ndarray, count: int) -> tuple[str, ...]:
    """Build an index of `count` vectors and search it; one row of the table."""
    lists = list_count(count)
    started = time.process_time()
    index = train(np.concatenate(list(synthetic.structured(real, SAMPLE_PER_LIST * lists, seed=1))), lists)
    trained, adding = time.process_time() - started, 0.0
    best = np.empty((len(queries), 0), np.float32)
    ids = np.empty((len(queries), 0), np.int64)
    for number, chunk in enumerate(synthetic.structured(real, count)):
        first = number * len(chunk)
        started = time.process_time()
        index.add(chunk)
        adding += time.process_time() - started
        best = np.hstack([best, queries @ chunk.T])
        ids = np.hstack(
            [ids, np.broadcast_to(np.arange(first, first + len(chunk)), (len(queries), len(chunk)))]
        )
        keep = np.argpartition(-best, 10, axis=1)[:, :10]
        best, ids = np.take_along_axis(best, keep, 1), np.take_along_axis(ids, keep, 1)
    how = search_parameters(index, count, 1, None)
    found, times = [], []
    for query in queries:
        started = time.process_time()
        found.append(index.search(query[None], _CANDIDATES, params=how)[1][0])
        times.append(time.process_time() - started)
    recall = np.mean([len(np.intersect1d(*pair)) / 10 for pair in zip(found, ids, strict=True)])
    figures = (f"{trained:.0f}", f"{adding:.0f}", f"{index.code_size + 8}", f"{np.median(times) * 1e3:.1f}")
    return f"{count:,}", f"{lists:,}", f"{how.nprobe / lists:.3f}", *figures, f"{recall:.4f}"


if __name__ == "__main__":
    main()
