"""The protocol of vector indexes, which search relies on for every kind of index."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from clipsight.core.arrays import Float32, Ids
from clipsight.core.progress import Progress
from clipsight.store.records import Model


@dataclass(frozen=True, slots=True)
class Candidates:
    """Candidates for one query, best first: ids int64[n], scores float32[n]."""

    ids: Ids
    scores: Float32
    exhausted: bool
    """True if these are all allowed vectors, so that a larger k would find no more."""

    @classmethod
    def best(cls, ids: Ids, scores: Float32, k: int, *, complete: bool) -> "Candidates":
        """The `k` best of `ids`, ties in the given order; `complete` if `ids` are all allowed vectors."""
        order = np.argsort(-scores, kind="stable")[:k]
        return cls(ids[order], scores[order], exhausted=complete and len(ids) < k)


class VectorIndex(Protocol):
    """An inner-product search index of the catalog's vectors of `model`, by vector id.

    An index may hold vectors that the catalog no longer has: `rerank.rank` scores the candidates again with
    the catalog's vectors.
    """

    model: Model

    def __len__(self) -> int:
        """Number of vectors in the index, including those deleted from the catalog."""

    @property
    def is_approximate(self) -> bool:
        """True if searches may miss some of the best vectors; see also `is_exact_for`."""

    @property
    def should_optimize(self) -> bool:
        """True if the index would be much faster after `optimize`."""

    def is_exact_for(self, allowed: Ids | None) -> bool:
        """True if a search restricted to `allowed` (None: all) finds all of the best vectors."""

    def search(
        self, queries: Float32, k: int, allowed: Ids | None = None, *, exact: bool = False, effort: int = 1
    ) -> list[Candidates]:
        """The `k` best vectors for each of `queries`, float32[n, dim] of unit length.

        `allowed` restricts the search to these ids, int64[m]. `exact` compares all vectors; otherwise, an
        approximate index reads more lists the higher `effort` is (1, 2...), and its scores are estimates.
        """

    def compact(self) -> None:
        """Remove vectors that the catalog no longer has, if there are many."""

    def optimize(self, progress: Progress) -> bool:
        """Rebuild the index for the fastest search; return False if the result can't be stored.

        `progress` receives the number of vectors added.
        """
