"""Exact top k: candidates of a vector index, scored again with the catalog's vectors.

The result is provably exact, except with an approximate index, whose candidates may lack some of the best.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from clipsight.core.arrays import Float32, Float64, Ids
from clipsight.store.catalog import Catalog
from clipsight.store.records import EmbeddedPhoto, Model, RankedRow, State
from clipsight.store.vectors.base import Candidates, VectorIndex

_MARGIN = 1e-4
"""Upper bound of the error of FAISS's float32 sums for unit vectors of a few thousand dimensions."""

_CANDIDATES = 4
"""Candidates that are requested of an approximate index for each photo of the result."""

_SPARE = 16
"""One candidate more for so many photos: the more photos, the closer their scores are to each other."""

_MIN_COUNT = 32
"""Photos for which candidates are requested at least: a short result is the start of a longer one."""


@dataclass(frozen=True, slots=True)
class ScoredPhoto:
    """A photo with its score: the inner product of its vector and the query, summed in float64."""

    score: float
    photo: EmbeddedPhoto
    copies: tuple[bytes, ...] = ()
    """Paths of other photos with the same content that are left out of the result, sorted."""


@dataclass(frozen=True, slots=True)
class Ranking:
    """The best photos of a query, best first, as numbers: 16 bytes a photo."""

    ids: Ids
    """vector ids, int64[n]"""
    scores: Float64
    """inner products with the query, float64[n]"""
    copies: Mapping[int, tuple[bytes, ...]]
    """paths of the copies that are left out, by the vector id of the photo that is shown"""
    complete: bool
    """True if there are no other photos"""

    def __len__(self) -> int:
        return len(self.ids)

    def photos(self, catalog: Catalog, first: int, last: int) -> list[ScoredPhoto]:
        """The photos from place `first` up to `last`, without those that are gone from the catalog."""
        ids, scores = self.ids[first:last].tolist(), self.scores[first:last].tolist()
        found = {photo.vector_id: photo for photo in catalog.embedded_photos(ids)}
        return [
            ScoredPhoto(score, found[id_], self.copies.get(id_, ()))
            for id_, score in zip(ids, scores, strict=True)
            if id_ in found
        ]


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
    """The `count` photos with the highest scores for each query, as `rankings` finds them."""
    found = rankings(
        catalog,
        index,
        queries,
        count,
        allowed=allowed,
        excluded=excluded,
        exact=exact,
        duplicates=duplicates,
    )
    return [ranking.photos(catalog, 0, count) for ranking in found]


def rankings(
    catalog: Catalog,
    index: VectorIndex,
    queries: Float32,
    count: int,
    *,
    allowed: Ids | None = None,
    excluded: Sequence[Collection[int]] | None = None,
    exact: bool = False,
    duplicates: bool = True,
) -> list[Ranking]:
    """The `count` photos with the highest scores for each query, ties by path.

    `queries` are float32[n, dim] of unit length, `allowed` vector ids int64[m], `excluded` photo ids for each
    query. Without `duplicates`, only one of several photos with the same content is returned, a reachable one
    if possible. If the index is exact for this search, or with `exact`, the result equals sorting all float16
    vectors by their exact products: candidates are fetched until no other vector could be in the result.
    """
    if allowed is not None and not len(allowed):
        return [_ranking([], count, exhausted=True) for _ in queries]
    ranked: dict[int, Ranking] = {}
    dropped = excluded or [()] * len(queries)
    is_exact = exact or index.is_exact_for(allowed)
    k = (count + count // _SPARE if is_exact else _CANDIDATES * _rounded(count)) + 16
    k += max(map(len, dropped), default=0)
    effort = 1
    pending = np.arange(len(queries))
    while len(pending):
        found = index.search(queries[pending], k, allowed, exact=exact, effort=effort)
        unsettled = []
        for query, each in zip(pending.tolist(), found, strict=True):
            scored = _best(
                catalog, index.model, each.ids, queries[query], count, dropped[query], duplicates=duplicates
            )
            if each.exhausted or _is_settled(scored, each, count, is_exact):
                ranked[query] = _ranking(scored, count, exhausted=each.exhausted)
            else:
                unsettled.append(query)
        pending = np.array(unsettled, dtype=np.int64)
        k, effort = 4 * k, 4 * effort
    return [ranked[query] for query in range(len(queries))]


class _Scored(NamedTuple):
    score: float
    row: RankedRow
    copies: tuple[bytes, ...] = ()


def _ranking(scored: "Sequence[_Scored]", count: int, *, exhausted: bool) -> Ranking:
    """The first `count` of `scored`; `exhausted` if they are the best of all candidates that there are."""
    kept = scored[:count]
    return Ranking(
        np.fromiter((each.row.vector_id for each in kept), np.int64, len(kept)),
        np.fromiter((each.score for each in kept), np.float64, len(kept)),
        {each.row.vector_id: each.copies for each in kept if each.copies},
        exhausted and len(scored) < count,
    )


def score(
    catalog: Catalog, model: Model, ids: Ids, query: Float32, *, excluded: Collection[int], duplicates: bool
) -> list[ScoredPhoto]:
    """The photos of these vectors, int64[n], with their exact scores; other arguments as of `rank`."""
    scored = _best(catalog, model, ids, query, len(ids), excluded, duplicates=duplicates)
    return _ranking(scored, len(scored), exhausted=True).photos(catalog, 0, len(scored))


def _rounded(count: int) -> int:
    """The next power of two, at least `_MIN_COUNT`."""
    return max(_MIN_COUNT, 1 << (count - 1).bit_length())


def _is_settled(scored: list[_Scored], found: Candidates, count: int, is_exact: bool) -> bool:
    """True if there are `count` photos and, with `is_exact`, no other vector can be among the best."""
    if len(scored) < count:
        return False
    return not is_exact or scored[count - 1].score > float(found.scores[-1]) + _MARGIN


def _best(
    catalog: Catalog,
    model: Model,
    ids: Ids,
    query: Float32,
    count: int,
    excluded: Collection[int],
    *,
    duplicates: bool,
) -> list[_Scored]:
    """At least the `count` best photos of the vectors `ids`, without missing and excluded photos."""
    scores = _scores(catalog, model, ids, query)
    order = sorted(scores, key=scores.__getitem__, reverse=True)
    wanted = count + len(excluded) + 4
    while True:
        taken = order[:wanted]
        while len(taken) < len(order) and scores[order[len(taken)]] == scores[taken[-1]]:
            taken.append(order[len(taken)])  # ties are broken by path
        ranked = [
            _Scored(scores[row.vector_id], row)
            for row in catalog.ranked_rows(taken)
            if row.photo_id not in excluded and row.vector_id in scores
        ]
        ranked.sort(key=lambda each: (-each.score, each.row.path))
        shown = ranked if duplicates else _without_copies(ranked)
        if len(shown) >= count or len(taken) == len(order):
            return shown
        wanted *= 4


def _without_copies(ranked: Sequence[_Scored]) -> list[_Scored]:
    """One photo of each content, at the rank of the first: the first reachable one, if any."""
    copies: dict[bytes | int, list[_Scored]] = {}
    for each in ranked:
        copies.setdefault(each.row.content_hash or each.row.photo_id, []).append(each)
    return [same[0] if len(same) == 1 else _one_of(same) for same in copies.values()]


def _one_of(same: Sequence[_Scored]) -> _Scored:
    chosen = next((each for each in same if each.row.state == State.PRESENT), same[0])
    others = sorted(each.row.path for each in same if each is not chosen)
    return _Scored(same[0].score, chosen.row, tuple(others))


def _scores(catalog: Catalog, model: Model, ids: Ids, query: Float32) -> dict[int, float]:
    """Exact scores, by vector id, of the vectors that the catalog still has."""
    wide = query.astype(np.float64)
    return {
        id_: float(vector @ wide)
        for found, vectors in catalog.vectors_with(ids, model)
        for id_, vector in zip(found.tolist(), vectors.astype(np.float64), strict=True)
    }
