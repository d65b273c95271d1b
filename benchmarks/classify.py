"""What zero-shot classification costs over the bare matrix product, and a whole command from start to output.

    python -m benchmarks.classify WORK [--photos 10000] [--large 100000]

Scoring is labels x photos to probabilities, beside `vectors @ labels.T` of the same shapes in NumPy, run in
turn; the ratio is the median of the pairs' (1: as fast as the product alone). The commands classify a library
of synthetic vectors (`synthetic.py`) of the builtin model's size, its text tower included: `first` embeds
the labels, later runs find them in the library's cache. The last rows stream 100,000 photos x 1,000 labels.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks import measure, synthetic
from clipsight.classification.zero_shot import Classifier
from clipsight.models import registry
from clipsight.models.folder import ModelFolder

_TEN = "t-shirt,trousers,dress,hat,shirt,shoes,shorts,skirt,jacket,sweater"


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.classify", description=__doc__.splitlines()[0]
    )
    parser.add_argument("work", type=Path, help="a folder for the libraries; about 1.5 KB a photo")
    parser.add_argument("--photos", type=int, default=10_000, help="photos of the small library")
    parser.add_argument("--large", type=int, default=100_000, help="photos of the large one; 0 leaves it out")
    parser.add_argument("--times", type=int, default=9, help="rounds (default 9)")
    arguments = parser.parse_args()
    work = arguments.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    measure.print_machine("numpy", "onnxruntime")

    rows = [
        _scoring(photos, labels, dim, arguments.times)
        for dim in (256, 512)
        for labels in (10, 100, 1000)
        for photos in (1024, 10_240)
    ]
    measure.print_table(("photos x labels x numbers", "product ms", "ours ms", "product / ours"), rows)
    print()
    small = _library(work, arguments.photos)
    ten = ("--labels", _TEN, "--library", small)
    rows = [
        _command(f"{arguments.photos:,} x 10, first", work, 3, *ten, fresh=small),
        _command(f"{arguments.photos:,} x 10, table", work, arguments.times, *ten),
        _command(f"{arguments.photos:,} x 10, --csv", work, arguments.times, *ten, "--csv"),
        _command(f"{arguments.photos:,} x 10, --json", work, arguments.times, *ten, "--json"),
    ]
    if arguments.large:
        large, file = _library(work, arguments.large), work / "labels.txt"
        file.write_text("".join(f"thing number {number}\n" for number in range(1000)))
        many = ("--labels", file, "--templates", "plain", "--library", large)
        for name, options in (
            ("table", ()),
            ("--csv --top 5", ("--csv", "--top", "5")),
            ("--csv", ("--csv",)),
        ):
            rows.append(_command(f"{arguments.large:,} x 1,000, {name}", work, 1, *many, *options))
    measure.print_table(("clipsight classify", "s", "CPU s", "peak MB"), rows)


def _scoring(photos: int, labels: int, dim: int, times: int) -> tuple[str, ...]:
    """Time both on the same random unit vectors; one row of the table."""
    vectors = np.concatenate(list(synthetic.unit_vectors(photos, dim)))
    weights = np.concatenate(list(synthetic.unit_vectors(labels, dim, seed=1)))
    classifier = Classifier(tuple(map(str, range(labels))), weights, 100.0)
    turns = max(1, 10_240 // photos)
    ours, product = [], []
    for round_ in range(times + 1):
        bare = _seconds(lambda: vectors @ weights.T, turns)
        scored = _seconds(lambda: classifier.probabilities(vectors), turns)
        if round_:
            product.append(bare)
            ours.append(scored)
    ratio = statistics.median(bare / scored for bare, scored in zip(product, ours, strict=True))
    shape = f"{photos:,} x {labels:,} x {dim}"
    milliseconds = (f"{statistics.median(some) * 1e3:.2f}" for some in (product, ours))
    return (shape, *milliseconds, f"{ratio:.2f}")


def _seconds(work: Callable[[], object], turns: int) -> float:
    started = time.perf_counter()
    for _ in range(turns):
        work()
    return (time.perf_counter() - started) / turns


def _library(work: Path, photos: int) -> Path:
    library = work / f"classify-{photos}"
    if not library.exists():
        paths = [str(work / "photos" / f"{number // 1000:04}" / f"{number}.jpg") for number in range(photos)]
        dim = ModelFolder.read(registry.locate("builtin")).embed_dim
        synthetic.fill_clipsight(library, work / "home", Path("builtin"), paths, dim)
    return library


def _command(
    name: str, work: Path, times: int, *options: str | Path, fresh: Path | None = None
) -> tuple[str, ...]:
    """Run the command `times` times after a first; one row. Labels of the library `fresh` are forgotten."""
    command = ["sh", "-c", 'exec "$@" > /dev/null', "sh", *measure.clipsight("classify", "-n", *options)]
    runs = []
    for _ in range(times + (times > 1)):
        if fresh is not None:
            (fresh / "labels.sqlite3").unlink(missing_ok=True)
        runs.append(measure.run(command, cwd=work, env=measure.environment(work / "home")))
    middle = measure.median(runs[1:] or runs)
    return (name, f"{middle.seconds:.2f}", f"{middle.cpu_seconds:.2f}", f"{middle.peak_bytes / 1e6:.0f}")


if __name__ == "__main__":
    main()
