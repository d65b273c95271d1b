"""Vector index of a small library: all its vectors in memory, without a file and without FAISS.

Importing FAISS takes longer than reading some thousand vectors from the catalog, so a one-shot search of a
small library starts faster by NumPy alone.
"""

import numpy as np

from clipsight.core.arrays import Float32, Ids
from clipsight.core.progress import Progress
from clipsight.store.catalog import Catalog
from clipsight.store.records import Model
from clipsight.store.vectors.base import Candidates

MOST = 10_000
"""Vectors that can be read and converted in the time FAISS takes to be imported (some 40 ms)."""


class FlatIndex:
    """A `VectorIndex` by comparison with every vector, float32[n, dim] in memory."""

    is_approximate = False
    should_optimize = False

    def __init__(self, catalog: Catalog, model: Model) -> None:
        self.model = model
        chunks = list(catalog.vectors_after(0, model))
        self._ids: Ids = np.concatenate([np.empty(0, np.int64), *(ids for ids, _ in chunks)])
        self._vectors = np.concatenate(
            [np.empty((0, model.dim), np.float32), *(vectors.astype(np.float32) for _, vectors in chunks)]
        )

    def __len__(self) -> int:
        """Number of vectors that can be found, deleted ones included."""
        return len(self._ids)

    def is_exact_for(self, allowed: Ids | None) -> bool:
        """True: every vector is compared."""
        return True

    def search(
        self, queries: Float32, k: int, allowed: Ids | None = None, *, exact: bool = False, effort: int = 1
    ) -> list[Candidates]:
        """The `k` best vectors for each of the queries; see `VectorIndex.search`."""
        rows = slice(None) if allowed is None else np.isin(self._ids, allowed, assume_unique=True)
        ids, vectors = self._ids[rows], self._vectors[rows]
        return [Candidates.best(ids, vectors @ query, k, complete=True) for query in queries]

    def compact(self) -> None:
        """Nothing: each opening reads what the catalog holds."""

    def optimize(self, progress: Progress) -> bool:
        """True: there is nothing to make faster."""
        return True
