"""The protocol of vector indexes: what search needs of one, whatever holds the vectors."""

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
    """True if there is no further vector, of those allowed."""

    @classmethod
    def best(cls, ids: Ids, scores: Float32, k: int, *, complete: bool) -> "Candidates":
        """The `k` best of these ids, ties in their order; `complete` if they are all that were allowed."""
        order = np.argsort(-scores, kind="stable")[:k]
        return cls(ids[order], scores[order], exhausted=complete and len(ids) < k)


class VectorIndex(Protocol):
    """The vectors of `model` in the catalog, by vector id, ready for inner-product search.

    An index may lack vectors, or hold some that the catalog no longer has: `rerank.rank` scores the
    candidates again with the catalog's own vectors.
    """

    model: Model

    def __len__(self) -> int:
        """Number of vectors that can be found, deleted ones included."""

    @property
    def is_approximate(self) -> bool:
        """True if searches may miss some of the best vectors; see also `is_exact_for`."""

    @property
    def should_optimize(self) -> bool:
        """True if the index would be much faster after `optimize`."""

    def is_exact_for(self, allowed: Ids | None) -> bool:
        """True if a search restricted to `allowed` always finds all of the best vectors."""

    def search(
        self, queries: Float32, k: int, allowed: Ids | None = None, *, exact: bool = False, effort: int = 1
    ) -> list[Candidates]:
        """The `k` best vectors for each of `queries`, float32[n, dim] of unit length.

        `allowed` restricts the search to these ids, int64[m]. `exact` compares all vectors; otherwise an
        approximate index searches harder the higher `effort` is (1, 2...), and its scores are estimates.
        """

    def compact(self) -> None:
        """Drop vectors that the catalog no longer has, if they are too many."""

    def optimize(self, progress: Progress) -> bool:
        """Make searches as fast as they can be; return False if that can't be kept for the next process.

        Reports the number of vectors added to `progress`.
        """
