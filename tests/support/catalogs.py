"""Catalogs made to order, for the tests of the store: photos by path, with vectors one asks for."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from clipsight.store.catalog import Catalog
from clipsight.store.records import Description, FileStat, Model

Vectors = npt.NDArray[np.float16]

SRC = Path(__file__).resolve().parents[2] / "src"


def unit_vectors(count: int, dim: int, seed: int = 0) -> Vectors:
    """Random unit vectors as the catalog keeps them: float16[count, dim]."""
    wide = np.random.default_rng(seed).standard_normal((count, dim))
    return (wide / np.linalg.norm(wide, axis=1, keepdims=True)).astype("<f2")


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
            ids.append(catalog.put_photo(stat_of(path), path[-16:], Description()))
            catalog.put_vector(ids[-1], model, vector)
    return ids


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
