"""A million photos: how fast, right and small is search, with filters, in batches, while photos come and go?

    python -m benchmarks.scale PHOTOS WORK [--count 1000000] [--dims 256 512]

PHOTOS is a folder of some ten thousand real photos, with a captions.csv (column `caption`) anywhere in it.
They are embedded with the builtin model, and a library is filled with vectors that lie as theirs do
(`synthetic.structured`). Queries are photos that were held out and captions. 512 numbers are the builtin
model's 256 beside a function of them (`synthetic.doubled`). Photos get dates, cameras, formats, sizes and
folders at random, so that a filter keeps a known share. Recall is against brute force in NumPy. Takes some
1.5 KB of disk a photo and dimension pair of 256, and is kept for the next run.
"""

import argparse
import csv
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import measure, synthetic

if TYPE_CHECKING:
    from clipsight.store.catalog import Catalog
    from clipsight.store.records import Ids, Model
    from clipsight.store.vectors.faiss import FaissIndex

_HELD_OUT = 500
_K = 10
_BATCH = 1000
_NEW = 100
Floats = NDArray[np.float32]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--dims", type=int, nargs="+", default=[256, 512], choices=(256, 512))
    parser.add_argument("--part", choices=_PARTS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    work = arguments.work.resolve()
    if arguments.part:
        (dim,) = arguments.dims
        print(json.dumps(_PARTS[arguments.part](_Place(work, dim, arguments.count))))
        return
    work.mkdir(parents=True, exist_ok=True)
    measure.print_machine("faiss-cpu", "numpy", "onnxruntime")
    for dim in arguments.dims:
        place = _Place(work, dim, arguments.count)
        if not place.library.exists():
            place.make(arguments.photos)
        for part in _PARTS:
            if part != "commands" or dim == 256:
                _print_part(part, arguments, dim)


def _print_part(part: str, arguments: argparse.Namespace, dim: int) -> None:
    """Run a part in a process of its own, whose memory is then that part's alone, and print its table."""
    where = (str(arguments.photos), str(arguments.work), "--count", str(arguments.count))
    command = [sys.executable, "-m", "benchmarks.scale", *where, "--dims", str(dim), "--part", part]
    done = measure.run(command, cwd=measure.ROOT, env=measure.environment(arguments.work / "home"))
    heading, *rows = json.loads(done.output.splitlines()[-1])
    print(
        f"\n{part}, {arguments.count:,} x {dim}: {done.seconds:.0f} s, {done.cpu_seconds:.0f} s of CPU, "
        f"peak {done.peak_bytes / 1e6:.0f} MB"
    )
    measure.print_table(heading, rows)


class _Place:
    """Where the library of so many photos and dimensions lies, with the queries and their true answers."""

    def __init__(self, work: Path, dim: int, count: int) -> None:
        self.work, self.dim, self.count = work, dim, count
        self.library = work / f"library-{count}-{dim}"
        self.truth = work / f"truth-{count}-{dim}.npz"

    def make(self, photos: Path) -> None:
        """Fill the library, and find the best of each query by brute force."""
        real, queries = _seeds(photos, self.work)
        if self.dim == 2 * real.shape[1]:
            real, queries = synthetic.doubled(real), {k: synthetic.doubled(v) for k, v in queries.items()}
        _fill(self.library, synthetic.structured(real, self.count), self.dim)
        with closing(self.catalog()) as catalog:
            answers = {f"best of {kind}": self.best(catalog, each, None) for kind, each in queries.items()}
        np.savez(self.truth, **queries, **answers)

    def catalog(self) -> "Catalog":
        from clipsight.store.catalog import Catalog

        return Catalog(self.library)

    def model(self, catalog: "Catalog") -> "Model":
        model = catalog.current_model()
        assert model is not None
        return model

    def index(self, catalog: "Catalog") -> "FaissIndex":
        from clipsight.store.vectors.faiss import FaissIndex

        return FaissIndex(self.library / "vectors", catalog, self.model(catalog))

    def queries(self) -> dict[str, tuple[Floats, "Ids"]]:
        """Vectors of each kind of query, and the vector ids of their best."""
        with np.load(self.truth) as kept:
            return {kind: (kept[kind], kept[f"best of {kind}"]) for kind in ("photos", "captions")}

    def best(self, catalog: "Catalog", queries: Floats, allowed: "Ids | None") -> "Ids":
        """Vector ids int64[n, k] of the best of each query, by brute force."""
        model = self.model(catalog)
        ids = np.empty((len(queries), 0), np.int64)
        scores = np.empty((len(queries), 0), np.float32)
        chunks = catalog.vectors_after(0, model) if allowed is None else catalog.vectors_with(allowed, model)
        for more, vectors in chunks:
            scores = np.hstack([scores, queries @ vectors.astype(np.float32).T])
            ids = np.hstack([ids, np.broadcast_to(more, (len(queries), len(more)))])
            best = np.argsort(-scores, axis=1)[:, :_K]
            ids, scores = np.take_along_axis(ids, best, 1), np.take_along_axis(scores, best, 1)
        return ids


def _seeds(photos: Path, work: Path) -> tuple[Floats, dict[str, Floats]]:
    """Vectors of real photos, and of queries: photos that are not among them, and captions."""
    from clipsight import Library

    with Library.open(work / "seeds", model="builtin") as library:
        library.index(photos)
        real = np.concatenate([chunk.vectors for chunk in library.embeddings()])
        texts = library.encoder.encode_texts(_captions(photos))
    order = np.random.default_rng(0).permutation(len(real))
    return real[order[_HELD_OUT:]], {"photos": real[order[:_HELD_OUT]], "captions": texts}


def _captions(photos: Path) -> list[str]:
    with next(photos.rglob("captions.csv")).open(newline="") as file:
        captions = [row["caption"] for row in csv.DictReader(file)]
    return [captions[row] for row in np.random.default_rng(0).permutation(len(captions))[:_HELD_OUT]]


def _fill(library: Path, vectors: Iterator[Floats], dim: int) -> None:
    """Make a library of these vectors."""
    from clipsight.models import registry
    from clipsight.models.folder import ModelFolder
    from clipsight.store.catalog import Catalog

    builtin = ModelFolder.read(registry.locate("builtin"))
    is_builtin = builtin.embed_dim == dim
    random = np.random.default_rng(1)
    with closing(Catalog(library)) as catalog:
        fingerprint = builtin.fingerprint() if is_builtin else "d" * 64
        model = catalog.add_model(fingerprint, "builtin" if is_builtin else "doubled", "builtin", dim)
        catalog.set_current_model(model)
        catalog.set_root(b"/photos", '{"exclude": []}', reachable=True, indexed=None)
        row = 0
        for chunk in vectors:
            stored = chunk.astype("<f2")
            ids = range(row + 1, row + len(stored) + 1)
            row += len(stored)
            with catalog.transaction():
                catalog.database.run_many(
                    "INSERT INTO photos (id, folder, name, size, mtime_ns, device, hash, width, height, "
                    "format, taken, taken_source, camera) "
                    "VALUES (?, ?, ?, ?, 1, 1, ?, ?, ?, ?, ?, 'exif', ?)",
                    [_photo(id_, random) for id_ in ids],
                )
                catalog.database.run_many(
                    "INSERT INTO vectors (id, photo_id, model_id, vector) VALUES (?, ?, ?, ?)",
                    [(id_, id_, model.id, vector.tobytes()) for id_, vector in zip(ids, stored, strict=True)],
                )


def _photo(id_: int, random: np.random.Generator) -> tuple[Any, ...]:
    """A row of attributes: 1 in 1,000 photos each is a HEIF, by a "Rare" camera, wider than 9,000 pixels."""
    draw = random.integers(0, 1000, 4)
    day = int(random.integers(0, 7300))
    date = np.datetime64("2005-01-01T12:00:00") + np.timedelta64(day, "D")
    return (
        id_,
        b"/photos/%04d" % (id_ % 1000),
        b"IMG_%08d.jpg" % id_,
        int(random.integers(500_000, 9_000_000)),
        id_.to_bytes(16, "big"),
        9500 if draw[0] == 0 else 4000,
        3000,
        "HEIF" if draw[1] == 0 else "JPEG",
        str(date),
        "Rare 1" if draw[2] == 0 else f"Canon EOS {draw[3] % 40}",
    )


def _exact(place: _Place) -> list[list[str]]:
    """The exact index, made from scratch."""
    for file in (place.library / "vectors").glob("*"):
        file.unlink()
    with closing(place.catalog()) as catalog:
        seconds, _ = _timed(partial(place.index, catalog))
    return _files(place, seconds)


def _build(place: _Place) -> list[list[str]]:
    """The approximate index, in the place of the exact one."""
    with closing(place.catalog()) as catalog:
        index = place.index(catalog)
        seconds, _ = _timed(partial(index.build_approximate, lambda done, count: None))
    return _files(place, seconds)


def _files(place: _Place, seconds: float) -> list[list[str]]:
    size = sum(file.stat().st_size for file in (place.library / "vectors").glob("*"))
    row = [f"{figure:.0f}" for figure in (seconds, size / 1e6, size / place.count)]
    return [["s", "MB", "bytes a photo"], row]


def _search(place: _Place) -> list[list[str]]:
    """Warm searches, one query at a time; a process that searches and does nothing else."""
    from clipsight.store.vectors.rerank import rank

    rows = [["queries", "recall@10", "first of 15 = top", "p50 ms", "p95 ms", "CPU p50", "CPU p95", "RSS MB"]]
    with closing(place.catalog()) as catalog:
        index = place.index(catalog)
        for kind, (queries, best) in place.queries().items():
            found = rank(catalog, index, queries, _K)  # and every page is in memory
            recall = np.mean([_share(each, true) for each, true in zip(found, best, strict=True)])
            fifteen = rank(catalog, index, queries, 15)
            pairs = list(zip(map(_ids, found), map(_ids, fifteen), strict=True))
            same = all(ten[:n] == more[:n] for ten, more in pairs for n in range(1, _K + 1))
            timed = [_timed(partial(rank, catalog, index, query[None], _K)) for query in queries]
            wall, cpu = (np.percentile(np.array(each) * 1e3, [50, 95]) for each in zip(*timed, strict=True))
            figures = [f"{each:.1f}" for each in (*wall, *cpu)]
            rows.append([kind, f"{recall:.4f}", str(same), *figures, f"{_resident() / 1e6:.0f}"])
    return rows


def _filters(place: _Place) -> list[list[str]]:
    """Filters of known shares: what finding the ids adds, what the search then costs, and how right it is."""
    from clipsight.search.session import allowed_ids
    from clipsight.store.filters import EVERYTHING, Filters
    from clipsight.store.labels import PhotoLabel, store_labels
    from clipsight.store.vectors.rerank import rank

    with closing(place.catalog()) as catalog:
        model, index = place.model(catalog), place.index(catalog)
        rare = range(1, place.count, 1000)
        store_labels(catalog.database, model, ["rare"], [PhotoLabel(photo, "rare", 1.0) for photo in rare])
        chosen: dict[str, Filters] = {
            "none": EVERYTHING,
            "folder": Filters(folders=("/photos/0007",)),
            "label": Filters(labels=("rare",)),
            "camera": Filters(cameras=("rare",)),
            "format": Filters(formats=("heic",)),
            "pixels": Filters(min_width=9000),
            "bytes": Filters(min_bytes=8_991_500),
            "a week": Filters(after="2010-01-01", before="2010-01-08"),
            "73 days": Filters(after="2010-01-01", before="2010-03-15"),
            "two years": Filters(after="2010", before="2012"),
            "ten years": Filters(after="2010", before="2020"),
            "two years, a camera": Filters(after="2010", before="2012", cameras=("EOS 7",)),
        }
        heading = "filter|photos|full|recall@10|ids CPU ms|search CPU ms|/ none|with ids / none"
        rows = [heading.split("|")]
        every = np.concatenate([queries[:50] for queries, _ in place.queries().values()])
        plain = 0.0
        for name, filters in chosen.items():
            folders = [str(folder).encode() for folder in filters.folders]
            allowed, choosing = _filter(partial(allowed_ids, filters, folders, catalog, model))
            search = partial(rank, catalog, index, count=_K, allowed=allowed)
            best = place.best(catalog, every, allowed)
            found = search(queries=every)
            full = all(len(each) == len(true) for each, true in zip(found, best, strict=True))
            recall = np.mean([_share(each, true) for each, true in zip(found, best, strict=True)])
            searching = float(np.median([_timed(partial(search, queries=query[None]))[1] for query in every]))
            plain = plain or searching
            kept = place.count if allowed is None else len(allowed)
            times = [f"{seconds * 1e3:.1f}" for seconds in (choosing, searching)]
            ratios = [f"{searching / plain:.2f}", f"{(searching + choosing) / plain:.2f}"]
            rows.append([name, f"{kept:,}", str(full), f"{recall:.4f}", *times, *ratios])
    return rows


def _changes(place: _Place) -> list[list[str]]:
    """Photos that come and go: all that happens in the library beyond reading and embedding them."""
    from clipsight.store.records import FileStat, PhotoInfo
    from clipsight.store.vectors.rerank import rank

    rows = [["change", "catalog s", "next opening and search s", "file rewritten"]]
    vectors = np.concatenate(list(synthetic.unit_vectors(_NEW, place.dim, seed=9)))
    with closing(place.catalog()) as catalog:
        model = place.model(catalog)
        file = next((place.library / "vectors").glob("*.faiss"))

        def add() -> None:
            with catalog.transaction():
                for number, vector in enumerate(vectors):
                    stat = FileStat(b"/photos/new", b"%d.jpg" % number, 1, 1, 1)
                    catalog.put_vector(catalog.put_photo(stat, None, PhotoInfo()), model, vector)

        def look() -> None:
            index = place.index(catalog)
            index.compact()
            rank(catalog, index, vectors[:1], _K)

        look()
        changes = {f"{_NEW} added": add, f"{_NEW} deleted": partial(catalog.forget, b"/photos/new")}
        for name, change in changes.items():
            before = file.stat().st_ino
            changed, looked = _timed(change)[0], _timed(look)[0]
            rows.append([name, f"{changed:.2f}", f"{looked:.2f}", str(before != file.stat().st_ino)])
    return rows


def _commands(place: _Place) -> list[list[str]]:
    """Whole processes: one query, then a thousand in a file."""
    command = ("search", "-n", "--library", str(place.library), "--csv")
    texts = place.work / "queries.txt"
    texts.write_text("".join(f"two dogs on a beach {number}\n" for number in range(_BATCH)))
    env = measure.environment(place.work / "home")
    runs: dict[str, list[measure.Run]] = {"one query": [], f"{_BATCH:,} queries": []}
    for round_ in range(4):
        for name, more in zip(runs, (("two dogs on a beach",), ("--queries", str(texts))), strict=True):
            done = measure.run(measure.clipsight(*command, *more), cwd=place.work, env=env)
            if round_:
                runs[name].append(done)
    rows = [["process", "s", "CPU s", "peak MB", "queries a second"]]
    for (name, each), count in zip(runs.items(), (1, _BATCH), strict=True):
        done = measure.median(each)
        figures = [f"{done.seconds:.2f}", f"{done.cpu_seconds:.2f}", f"{done.peak_bytes / 1e6:.0f}"]
        rows.append([name, *figures, f"{count / done.seconds:.1f}"])
    return rows


_PARTS = {
    "exact": _exact,
    "build": _build,
    "search": _search,
    "filters": _filters,
    "changes": _changes,
    "commands": _commands,
}


def _filter(choose: Callable[[], "Ids | None"]) -> tuple["Ids | None", float]:
    """What a filter keeps, and the CPU seconds of finding that, as the median of five."""
    return choose(), float(np.median([_timed(choose)[1] for _ in range(5)]))


def _timed(work: Callable[[], object]) -> tuple[float, float]:
    """Wall-clock and CPU seconds of a call."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def _ids(ranked: list[Any]) -> list[int]:
    return [each.photo.vector_id for each in ranked]


def _share(found: list[Any], best: "Ids") -> float:
    """Share of the true best that was found; 1 where there are none."""
    return len({*_ids(found)} & {*best.tolist()}) / len(best) if len(best) else 1.0


def _resident() -> int:
    """Bytes of this process in memory, mapped files included (Linux)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


if __name__ == "__main__":
    main()
