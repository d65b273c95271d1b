"""Top k: candidates of a vector index, scored again with the catalog's vectors.

Provably exact, except with an approximate index, whose candidates may lack some of the best.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from clipsight.core.arrays import Float32, Ids
from clipsight.store.catalog import Catalog
from clipsight.store.records import EmbeddedPhoto, Model, State
from clipsight.store.vectors.base import Candidates, VectorIndex

_MARGIN = 1e-4
"""Upper bound of the error of FAISS's float32 sums for unit vectors of a few thousand dimensions."""

_CANDIDATES = 4
"""Candidates of an approximate index for each photo of the result."""

_LEAST = 32
"""Photos for which it gives candidates at least, so that a short result is the beginning of a longer one."""


@dataclass(frozen=True, slots=True)
class ScoredPhoto:
    """A photo with its score: the inner product with the query, summed in float64."""

    score: float
    photo: EmbeddedPhoto
    copies: tuple[bytes, ...] = ()
    """Paths of the copies that it stands for, in order."""


def rank(
    catalog: Catalog,
    index: VectorIndex,
    queries: Float32,
    count: int,
    *,
    allowed: Ids | None = None,
    excluded: Sequence[Collection[int]] | None = None,
    exact: bool = False,
    duplicates: bool = True,
) -> list[list[ScoredPhoto]]:
    """The `count` photos of highest score for each query, ties by path.

    Without `duplicates`, photos with the same content are one photo: the first that can be reached.
    `queries` are float32[n, dim] of unit length, `allowed` vector ids, `excluded` photo ids for each
    query. Equal to sorting all float16 vectors by their exact products where the index is exact for this
    search, or with `exact`: more candidates are fetched until none outside them could belong to the result.
    """
    ranked: list[list[ScoredPhoto]] = [[] for _ in queries]
    if allowed is not None and not len(allowed):
        return ranked
    dropped = excluded or [()] * len(queries)
    proven = exact or index.is_exact_for(allowed)
    k = (count if proven else _CANDIDATES * _rounded(count)) + max(map(len, dropped), default=0) + 16
    effort = 1
    pending = np.arange(len(queries))
    while len(pending):
        found = index.search(queries[pending], k, allowed, exact=exact, effort=effort)
        unsettled = []
        for query, each in zip(pending.tolist(), found, strict=True):
            scored = _best(
                catalog, index.model, each.ids, queries[query], count, dropped[query], duplicates=duplicates
            )
            ranked[query] = scored[:count]
            if not (each.exhausted or _is_settled(scored, each, count, proven)):
                unsettled.append(query)
        pending = np.array(unsettled, dtype=np.int64)
        k, effort = 4 * k, 4 * effort
    return ranked


def _rounded(count: int) -> int:
    """The next power of two, at least `_LEAST`."""
    return max(_LEAST, 1 << (count - 1).bit_length())


def _is_settled(scored: list[ScoredPhoto], found: Candidates, count: int, proven: bool) -> bool:
    """True if no other vector can be among the best; if that is not `proven`, true if there are enough."""
    if len(scored) < count:
        return False
    return not proven or scored[count - 1].score > float(found.scores[-1]) + _MARGIN


def _best(
    catalog: Catalog,
    model: Model,
    ids: Ids,
    query: Float32,
    count: int,
    excluded: Collection[int],
    *,
    duplicates: bool,
) -> list[ScoredPhoto]:
    """The `count` best of these vectors or more, less missing and excluded photos."""
    scores = _scores(catalog, model, ids, query)
    order = sorted(scores, key=scores.__getitem__, reverse=True)
    wanted = count + len(excluded) + 4
    while True:
        taken = order[:wanted]
        while len(taken) < len(order) and scores[order[len(taken)]] == scores[taken[-1]]:
            taken.append(order[len(taken)])  # ties are broken by path
        ranked = [
            ScoredPhoto(scores[photo.vector_id], photo)
            for photo in catalog.embedded_photos(taken)
            if photo.photo_id not in excluded and photo.vector_id in scores
        ]
        ranked.sort(key=lambda each: (-each.score, each.photo.path))
        shown = ranked if duplicates else _without_copies(ranked)
        if len(shown) >= count or len(taken) == len(order):
            return shown
        wanted *= 4


def _without_copies(ranked: Sequence[ScoredPhoto]) -> list[ScoredPhoto]:
    """The first reachable photo of each content, at the place of the first one."""
    copies: dict[bytes | int, list[ScoredPhoto]] = {}
    for each in ranked:
        copies.setdefault(each.photo.content_hash or each.photo.photo_id, []).append(each)
    shown = []
    for same in copies.values():
        chosen = next((each for each in same if each.photo.state is State.PRESENT), same[0])
        others = sorted(each.photo.path for each in same if each is not chosen)
        shown.append(ScoredPhoto(same[0].score, chosen.photo, tuple(others)))
    return shown


def _scores(catalog: Catalog, model: Model, ids: Ids, query: Float32) -> dict[int, float]:
    """Exact scores of those of the vectors that the catalog still has, by id."""
    wide = query.astype(np.float64)
    return {
        id_: float(vector @ wide)
        for found, vectors in catalog.vectors_with(ids, model)
        for id_, vector in zip(found.tolist(), vectors.astype(np.float64), strict=True)
    }
