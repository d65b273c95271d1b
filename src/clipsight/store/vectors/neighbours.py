"""All vectors of a collection near given ones: for each of many photos, the photos that look like it.

A collection of up to `MAX_COMPARED` vectors is compared as a whole. In a larger one, each vector is compared
with those of the lists nearest to it: vectors as close as those of two copies almost always share one.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from clipsight.core.arrays import Float32, Ids
from clipsight.core.progress import Progress
from clipsight.store.catalog import Catalog
from clipsight.store.records import Model
from clipsight.store.vectors.approximate import SAMPLE_PER_LIST, list_count

MAX_COMPARED = 20_000
"""Number of vectors up to which all are compared: some seconds, where building lists takes as long."""

_LISTS_READ = 8
"""Lists that each vector is compared with; `python -m benchmarks.duplicates` gives the recall."""


class Neighbours:
    """The vectors of `model` with the ids `ids`, int64[n], in memory: 2 bytes a number, 4 in a small one."""

    def __init__(self, catalog: Catalog, model: Model, ids: Ids, progress: Progress) -> None:
        self._catalog, self._model = catalog, model
        self._index = _new_index(model.dim, len(ids), lambda count: _sample(catalog, model, ids, count))
        for done, vectors in self._chunks(np.sort(ids)):
            self._index.add_with_ids(vectors, done)
            progress(int(self._index.ntotal), len(ids))

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def vectors(self, ids: Ids) -> Float32:
        """Vectors, float32[n, dim], in the order of `ids`; zeros for one that the catalog has no more."""
        found = np.zeros((len(ids), self._model.dim), np.float32)
        order = np.argsort(ids)
        for part, vectors in self._chunks(ids[order]):
            found[order[np.searchsorted(ids[order], part)]] = vectors
        return found

    def within(self, queries: Float32, cosine: float) -> Iterator[tuple[Ids, Float32]]:
        """Yield ids int64[k] and cosines float32[k] of the vectors with at least `cosine`, for each query."""
        limits, scores, ids = self._index.range_search(queries, float(np.nextafter(np.float32(cosine), -1)))
        for start, end in zip(limits[:-1].tolist(), limits[1:].tolist(), strict=True):
            yield ids[start:end], scores[start:end]

    def _chunks(self, ids: Ids) -> Iterator[tuple[Ids, Float32]]:
        """Yield ids and vectors, float32[k, dim], of `ids`, which are ascending."""
        for found, vectors in self._catalog.vectors_with(ids, self._model):
            yield found, vectors.astype(np.float32)


def _sample(catalog: Catalog, model: Model, ids: Ids, count: int) -> Float32:
    """Up to `count` of the vectors, spread evenly over `ids`."""
    chosen = np.sort(ids)[:: max(1, len(ids) // count)][:count]
    return np.concatenate([vectors for _, vectors in catalog.vectors_with(chosen, model)]).astype(np.float32)


def _new_index(dim: int, count: int, sample: Any) -> Any:
    """An empty FAISS index for `count` vectors; `sample` returns so many of them to train it with."""
    import faiss

    if count <= MAX_COMPARED:
        return faiss.IndexIDMap(faiss.IndexFlatIP(dim))
    lists = list_count(count)
    index = faiss.index_factory(dim, f"IVF{lists},SQfp16", faiss.METRIC_INNER_PRODUCT)
    index.cp.spherical, index.cp.niter, index.cp.min_points_per_centroid = True, 10, 1
    index.train(sample(SAMPLE_PER_LIST * lists))
    index.nprobe = min(_LISTS_READ, lists)
    return index
