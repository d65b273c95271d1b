"""Top-k: candidates from the search index, scored again with the catalog's vectors.

Exact and provably so, but for an approximate index: what is not among its candidates is not found.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from clipsight.store.catalog import Catalog
from clipsight.store.records import Hit, Ids, Model
from clipsight.store.vectors.faiss import Found, VectorIndex

_MARGIN = 1e-4
"""More than FAISS's float32 sums can be off for unit vectors of a few thousand dimensions."""

_CANDIDATES = 4
"""Candidates that an approximate index is asked for, for each photo wanted."""

_LEAST = 32
"""So many photos are always wanted of it, so that the first of more are the same as fewer."""

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Ranked:
    """A photo with its score: the inner product with the query, summed in float64."""

    score: float
    hit: Hit


def rank(
    catalog: Catalog,
    index: VectorIndex,
    queries: Floats,
    count: int,
    *,
    allowed: Ids | None = None,
    left_out: Sequence[Collection[int]] | None = None,
    exact: bool = False,
) -> list[list[Ranked]]:
    """The `count` photos of highest score for each query, ties by path.

    `left_out` are photo ids that don't count, for each query. `queries` are float32[n, dim] of unit length.
    Equal to sorting all float16 vectors by their exact products where the index is exact for this
    search, or `exact` asks for it: candidates are asked for until none outside them could still
    belong inside.
    """
    ranked: list[list[Ranked]] = [[] for _ in queries]
    if allowed is not None and not len(allowed):
        return ranked
    dropped = left_out or [()] * len(queries)
    proven = exact or index.is_exact_for(allowed)
    asked = (count if proven else _CANDIDATES * _rounded(count)) + max(map(len, dropped), default=0) + 16
    effort = 1
    pending = np.arange(len(queries))
    while len(pending):
        found = index.search(queries[pending], asked, allowed, exact=exact, effort=effort)
        unsettled = []
        for query, each in zip(pending.tolist(), found, strict=True):
            scored = _best(catalog, index.model, each.ids, queries[query], count, dropped[query])
            ranked[query] = scored[:count]
            if not (each.all_there_are or _is_settled(scored, each, count, proven)):
                unsettled.append(query)
        pending = np.array(unsettled, dtype=np.int64)
        asked, effort = 4 * asked, 4 * effort
    return ranked


def _rounded(count: int) -> int:
    """A power of two from `_LEAST` on."""
    return max(_LEAST, 1 << (count - 1).bit_length())


def _is_settled(scored: list[Ranked], found: Found, count: int, proven: bool) -> bool:
    """Whether none outside the candidates could belong to the best; unproven, whether there are enough."""
    if len(scored) < count:
        return False
    return not proven or scored[count - 1].score > float(found.scores[-1]) + _MARGIN


def _best(
    catalog: Catalog, model: Model, ids: Ids, query: Floats, count: int, left_out: Collection[int]
) -> list[Ranked]:
    """At least the `count` best of these vectors whose photos may be shown, or all of them."""
    scores = _scores(catalog, model, ids, query)
    order = sorted(scores, key=scores.__getitem__, reverse=True)
    wanted = count + len(left_out) + 4
    while True:
        taken = order[:wanted]
        while len(taken) < len(order) and scores[order[len(taken)]] == scores[taken[-1]]:
            taken.append(order[len(taken)])  # ties go by path
        shown = [hit for hit in catalog.hits(taken) if hit.photo_id not in left_out]
        if len(shown) >= count or len(taken) == len(order):
            ranked = [Ranked(scores[hit.vector_id], hit) for hit in shown if hit.vector_id in scores]
            return sorted(ranked, key=lambda each: (-each.score, each.hit.path))
        wanted *= 4


def _scores(catalog: Catalog, model: Model, ids: Ids, query: Floats) -> dict[int, float]:
    """The exact score of each of these vectors that the catalog still has."""
    wide = query.astype(np.float64)
    return {
        id_: float(vector @ wide)
        for known, vectors in catalog.vectors_with(ids, model)
        for id_, vector in zip(known.tolist(), vectors.astype(np.float64), strict=True)
    }
