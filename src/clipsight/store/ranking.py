"""Exact top-k: candidates from the FAISS index, scored again with the catalog's vectors."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from clipsight.store.catalog import Catalog
from clipsight.store.records import Hit, Ids
from clipsight.store.vectors import VectorIndex

_MARGIN = 1e-4
"""More than FAISS's float32 sums can be off for unit vectors of a few thousand dimensions."""


@dataclass(frozen=True, slots=True)
class Ranked:
    """A photo with its score: the inner product with the query, summed in float64."""

    score: float
    hit: Hit


def rank(
    catalog: Catalog,
    index: VectorIndex,
    query: npt.NDArray[np.float32],
    count: int,
    *,
    allowed: Ids | None = None,
    left_out: Collection[int] = (),
) -> list[Ranked]:
    """The `count` photos of highest score, ties by path; photo ids in `left_out` don't count.

    `query` is float32[dim], unit length. Equal to sorting all float16 vectors by their exact
    products: candidates are asked for until none outside them could still belong inside.
    """
    if allowed is not None and not len(allowed):
        return []
    asked = count + len(left_out) + 16
    while True:
        ids, approximate = index.search(query, asked, allowed)
        ranked = _score(catalog.hits(ids.tolist()), query, left_out)
        exhausted = len(ids) < asked
        settled = len(ranked) >= count and ranked[count - 1].score > float(approximate[-1]) + _MARGIN
        if exhausted or settled:
            return ranked[:count]
        asked *= 4


def _score(hits: list[Hit], query: npt.NDArray[np.float32], left_out: Collection[int]) -> list[Ranked]:
    wide = query.astype(np.float64)
    ranked = [
        Ranked(float(hit.vector.astype(np.float64) @ wide), hit)
        for hit in hits
        if hit.photo_id not in left_out
    ]
    return sorted(ranked, key=lambda each: (-each.score, each.hit.path))
