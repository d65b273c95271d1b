"""Catalogs made to order, for the tests of the store: photos by path, with vectors one asks for."""

import os
import subprocess
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from clipsight.core.arrays import Float32, Ids
from clipsight.store.catalog import Catalog
from clipsight.store.records import EmbeddedPhoto, FileStat, Model, PhotoInfo
from clipsight.store.vectors.base import VectorIndex
from clipsight.store.vectors.faiss import FaissIndex
from clipsight.store.vectors.rerank import rank
from tests.support.arrays import unit

Vectors = npt.NDArray[np.float16]

SRC = Path(__file__).resolve().parents[2] / "src"


def unit_vectors(count: int, dim: int, seed: int = 0) -> Vectors:
    """Random unit vectors as the catalog keeps them: float16[count, dim]."""
    wide = np.random.default_rng(seed).standard_normal((count, dim))
    return unit(wide).astype("<f2")


def stat_of(path: bytes, size: int = 1, mtime_ns: int = 1, device: int = 1) -> FileStat:
    """The file at `path`, as a walk would see it."""
    return FileStat(*os.path.split(path), size, mtime_ns, device)


def some_model(catalog: Catalog, dim: int, fingerprint: str = "a" * 64) -> Model:
    """A model with so many dimensions, entered in the catalog as the current one."""
    model = catalog.add_model(fingerprint, f"model-{fingerprint[:1]}", "builtin", dim)
    catalog.set_current_model(model)
    return model


def add_photos(catalog: Catalog, model: Model, vectors: Vectors, paths: Sequence[bytes]) -> list[int]:
    """Add a photo for each path and vector, in one transaction, and return their ids."""
    ids = []
    with catalog.transaction():
        for path, vector in zip(paths, vectors, strict=True):
            ids.append(catalog.put_photo(stat_of(path), path[-16:], PhotoInfo()))
            catalog.put_vector(ids[-1], model, vector)
    return ids


Scored = tuple[float, bytes]
"""Score and path of a photo that was found."""


@dataclass(frozen=True, eq=False)
class IndexedPhotos:
    """A catalog with vectors of a model, the FAISS index of these, and what comparing all of them finds."""

    catalog: Catalog
    model: Model
    folder: Path
    """The folder of FAISS's files."""

    @classmethod
    def create(cls, home: Path, dim: int) -> "IndexedPhotos":
        """A library at `home`, or the one that is there, whose current model has `dim` dimensions."""
        catalog = Catalog(home)
        return cls(catalog, some_model(catalog, dim), home / "vectors")

    @property
    def file(self) -> Path:
        """FAISS's file."""
        return self.folder / f"{self.model.fingerprint[:16]}.faiss"

    def add(self, vectors: Vectors, paths: Sequence[bytes]) -> list[int]:
        """Add a photo for each vector and path, and return their ids."""
        return add_photos(self.catalog, self.model, vectors, paths)

    def add_to(self, folder: str, vectors: Vectors) -> list[int]:
        """Add a photo for each vector, numbered in `folder`, and return their ids."""
        return self.add(vectors, [f"/{folder}/{number:05}".encode() for number in range(len(vectors))])

    def open_index(self) -> FaissIndex:
        """The index as another process would open it now: its file is made where it is not up to date."""
        return FaissIndex(self.folder, self.catalog, self.model)

    def embedded(self) -> list[EmbeddedPhoto]:
        """All photos with their vectors, as they are in the catalog now."""
        return list(self.catalog.iter_embedded_photos(self.model))

    def brute_force(
        self, queries: Float32, allowed: Ids | None = None, excluded: Collection[int] = ()
    ) -> list[list[Scored]]:
        """All photos for each of the queries, float32[n, dim], best first, by their exact scores."""
        admitted = None if allowed is None else set(allowed.tolist())
        photos = [
            (photo.path, photo.vector.astype(np.float64))
            for photo in self.embedded()
            if photo.photo_id not in excluded and (admitted is None or photo.vector_id in admitted)
        ]
        # Row by row: a matrix product may add up the same numbers in another order in another row.
        return [
            sorted(((float(vector @ query), path) for path, vector in photos), key=_best_first)
            for query in queries.astype(np.float64)
        ]

    def ranked(
        self,
        index: VectorIndex,
        queries: Float32,
        count: int,
        allowed: Ids | None = None,
        excluded: Sequence[Collection[int]] | None = None,
        *,
        exact: bool = False,
    ) -> list[list[Scored]]:
        """The `count` best photos for each query, less its excluded ones, as `rank` finds them."""
        ranked = rank(self.catalog, index, queries, count, allowed=allowed, excluded=excluded, exact=exact)
        return [[(each.score, each.photo.path) for each in best] for best in ranked]

    def close(self) -> None:
        self.catalog.close()


def _best_first(scored: Scored) -> tuple[float, bytes]:
    return -scored[0], scored[1]


def start_python(script: str, *arguments: object) -> "subprocess.Popen[str]":
    """Another process that runs `script` with clipsight on its path; it may wait for a line of input."""
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(SRC)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(processes: "Sequence[subprocess.Popen[str]]") -> list[str]:
    """What the processes print, set off at once; fails with the error output of the first that failed."""
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    outputs = [process.communicate() for process in processes]
    for process, (_, errors) in zip(processes, outputs, strict=True):
        assert process.returncode == 0, errors
    return [output for output, _ in outputs]
