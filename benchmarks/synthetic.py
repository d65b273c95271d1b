"""Libraries of photos that were never embedded: vectors from a random generator, in clipsight and in rclip.

What search and a rescan cost does not depend on what the vectors mean, and embedding a million photos
would take a day. Both programs get the same paths and the same vectors, of unit length and all different.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks import measure
from benchmarks.peers import Rclip

_CHUNK = 10_000


def unit_vectors(count: int, dim: int, seed: int = 0) -> Iterator[NDArray[np.float32]]:
    """Chunks float32[n, dim] of random unit vectors, the same for the same seed."""
    random = np.random.default_rng(seed)
    for start in range(0, count, _CHUNK):
        vectors = random.standard_normal((min(_CHUNK, count - start), dim), np.float32)
        yield vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def structured(
    seeds: NDArray[np.float32], count: int, seed: int = 0, *, nearest: int = 10, cosine: float = 0.93
) -> Iterator[NDArray[np.float32]]:
    """Chunks float32[n, dim] of unit vectors that lie as real ones do; `seeds` are real ones.

    Each lies between a real photo's vector and that of one of its `nearest` neighbours, and then off that
    line by noise with the covariance of the seeds, on average as far as `cosine` says.
    """
    random = np.random.default_rng(seed)
    neighbours = np.concatenate(
        [np.argsort(-(part @ seeds.T), axis=1)[:, 1 : nearest + 1] for part in np.array_split(seeds, 50)]
    )
    values, axes = np.linalg.eigh(np.cov(seeds.T))
    spread = (axes * np.sqrt(values.clip(0) / values.sum())).T.astype(np.float32)
    far = np.float32(np.tan(np.arccos(cosine)))
    for start in range(0, count, _CHUNK):
        size = min(_CHUNK, count - start)
        first = random.integers(0, len(seeds), size)
        second = neighbours[first, random.integers(0, nearest, size)]
        where = random.random((size, 1), np.float32)
        between = _unit((1 - where) * seeds[first] + where * seeds[second])
        noise = random.standard_normal((size, seeds.shape[1]), np.float32) @ spread
        yield _unit(between + far * noise)


def doubled(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Unit vectors of twice the dimensions: the same beside a smooth, not linear function of them."""
    dim = vectors.shape[1]
    turn, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((dim, dim)))
    return _unit(np.hstack([vectors, _unit(np.tanh(24 * vectors @ turn.astype(np.float32)))]))


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def fill_clipsight(library: Path, home: Path, model: Path, paths: Sequence[str], dim: int) -> None:
    """Make a library with one vector a path, through `clipsight import`."""
    archive = library.with_suffix(".npz")
    vectors = np.concatenate([chunk.astype(np.float16) for chunk in unit_vectors(len(paths), dim)])
    np.savez(archive, paths=np.array(paths), vectors=vectors)
    try:
        command = measure.clipsight("import", archive, "--library", library, "--model", model)
        measure.run(command, cwd=library.parent, env=measure.environment(home))
    finally:
        archive.unlink()


def fill_rclip(rclip: Rclip, paths: Sequence[str], dim: int) -> None:
    """Fill rclip's database with the same; files that exist get their own size and time."""
    rows = (vector for chunk in unit_vectors(len(paths), dim) for vector in chunk)
    rclip.fill_database((path, *_stat(path), row.tobytes()) for path, row in zip(paths, rows, strict=True))


def _stat(path: str) -> tuple[float, int]:
    try:
        stat = Path(path).stat()
    except FileNotFoundError:
        return 0.0, 0
    return stat.st_mtime, stat.st_size
