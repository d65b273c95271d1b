"""Vector index of a small library: all vectors in memory, compared by NumPy.

Importing FAISS takes longer than reading some thousand vectors from the catalog, so a one-shot search of a
small library is faster without it.
"""

import numpy as np

from clipsight.core.arrays import Float32, Ids
from clipsight.core.progress import Progress
from clipsight.store.catalog import Catalog
from clipsight.store.records import Model
from clipsight.store.vectors.base import Candidates

MAX_VECTORS = 10_000
"""Number of vectors that can be read and converted while FAISS would be imported (some 40 ms)."""


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
        """Number of vectors in the index, including those deleted from the catalog."""
        return len(self._ids)

    def is_exact_for(self, allowed: Ids | None) -> bool:
        """True, since every vector is compared."""
        return True

    def search(
        self, queries: Float32, k: int, allowed: Ids | None = None, *, exact: bool = False, effort: int = 1
    ) -> list[Candidates]:
        """The `k` best vectors for each of the queries; see `VectorIndex.search`."""
        rows = slice(None) if allowed is None else np.isin(self._ids, allowed, assume_unique=True)
        ids, vectors = self._ids[rows], self._vectors[rows]
        return [Candidates.best(ids, vectors @ query, k, complete=True) for query in queries]

    def compact(self) -> None:
        """Do nothing: each new index reads the catalog."""

    def optimize(self, progress: Progress) -> bool:
        """Do nothing and return True: there is nothing to build."""
        return True
