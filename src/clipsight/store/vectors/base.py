"""The protocol of vector indexes: what search needs of one, whatever holds the vectors."""

from dataclasses import dataclass
from typing import Protocol

from clipsight.core.arrays import Float32, Ids
from clipsight.store.records import Model


@dataclass(frozen=True, slots=True)
class Candidates:
    """Candidates for one query, best first: ids int64[n], scores float32[n]."""

    ids: Ids
    scores: Float32
    exhausted: bool
    """True if there is no further vector, of those allowed."""


class VectorIndex(Protocol):
    """The vectors of `model` in the catalog, by vector id, ready for inner-product search.

    An index may lack vectors, or hold some that the catalog no longer has: `rerank.rank` scores the
    candidates again with the catalog's own vectors.
    """

    model: Model

    def __len__(self) -> int:
        """Number of vectors that can be found, deleted ones included."""

    @property
    def should_optimize(self) -> bool:
        """True if the index would be faster after `clipsight optimize`."""

    def is_exact_for(self, allowed: Ids | None) -> bool:
        """True if a search restricted to `allowed` always finds all of the best vectors."""

    def search(
        self, queries: Float32, k: int, allowed: Ids | None = None, *, exact: bool = False, effort: int = 1
    ) -> list[Candidates]:
        """The `k` best vectors for each of `queries`, float32[n, dim] of unit length.

        `allowed` restricts the search to these ids, int64[m]. `exact` compares all vectors; otherwise an
        approximate index searches harder the higher `effort` is (1, 2...), and its scores are estimates.
        """
