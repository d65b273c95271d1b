"""The approximate FAISS index, for libraries of a million photos.

An inverted file (IVF): FAISS clusters the vectors into lists by k-means, and a search reads the lists nearest
to the query. Vectors are quantised to 4 bits a dimension (RaBitQ: Gao and Long, SIGMOD 2024, and Gao et al.,
SIGMOD 2025; https://arxiv.org/abs/2405.12497, https://arxiv.org/abs/2409.09913). The index finds candidates,
which `rerank` scores again with the catalog's vectors.
"""

from typing import Any

import numpy as np

from clipsight.core.arrays import Float32

MIN_VECTORS = 300_000
"""From this many vectors on an approximate index is worth building; comparing fewer takes some 30 ms."""

REBUILD_GROWTH = 4
"""An index that has grown by this factor since its lists were trained should be rebuilt."""

SAMPLE_PER_LIST = 39
"""Vectors per list in the sample for k-means."""

_CODE = "RaBitQ4"
_EXHAUSTIVE = 1000
"""A search among n vectors reads the share sqrt(_EXHAUSTIVE / n) of the lists, and all lists for a smaller n:
the fewer vectors, the more lists the ten best are spread over. Chosen by measurement (docs/scale.md)."""


def list_count(count: int) -> int:
    """Number of lists for `count` vectors: a power of two near twice its square root."""
    return int(2 ** max(0, round(np.log2(2 * count**0.5))))


def train(sample: Float32, lists: int) -> Any:
    """Train an empty FAISS index of `lists` lists on `sample`, float32[n, dim]."""
    import faiss

    index = faiss.index_factory(sample.shape[1], f"IVF{lists},{_CODE}", faiss.METRIC_INNER_PRODUCT)
    index.cp.spherical = True
    index.cp.niter = 10
    index.cp.min_points_per_centroid = 1  # below 39 FAISS warns on stderr
    index.train(sample)
    return index


def search_parameters(index: Any, allowed: int, effort: int, selector: Any) -> Any:
    """FAISS parameters to search among `allowed` vectors; `effort` (1, 2...) multiplies the lists read."""
    import faiss

    lists = np.ceil(effort * index.nlist * (_EXHAUSTIVE / max(1, allowed)) ** 0.5)
    return faiss.SearchParametersIVF(nprobe=int(min(index.nlist, lists)), sel=selector)
