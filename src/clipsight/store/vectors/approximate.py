"""The approximate index: which vectors are worth comparing with a query, for libraries of a million.

FAISS sorts the vectors into lists by k-means (IVF), of which a search reads those nearest to the query,
and keeps each as a 4-bit code (RaBitQ: Gao and Long, SIGMOD 2024, and Gao et al., SIGMOD 2025;
https://arxiv.org/abs/2405.12497, https://arxiv.org/abs/2409.09913). What it finds are candidates, which
`store.ranking` scores with the catalog's own vectors. Called by `store.vectors`.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

WORTH = 300_000
"""From so many photos on an approximate index is offered; up to here all are compared in some 30 ms."""

OUTGROWN = 4
"""The lists were made for so many vectors; an index that has grown by this factor is better made anew."""

SAMPLE_A_LIST = 39
"""Vectors a list from which k-means learns."""

_CODE = "RaBitQ4"
_SPREAD = 1000
"""Of n photos the share sqrt(this / n) of the lists is read, and all of them for fewer photos than this:
the fewer there are, the farther off lie the ten best. Found by trying (docs/scale.md)."""

Floats = npt.NDArray[np.float32]


def lists_for(count: int) -> int:
    """How many lists `count` vectors are sorted into: a power of two near twice the square root."""
    return int(2 ** max(0, round(np.log2(2 * count**0.5))))


def train(sample: Floats, lists: int) -> Any:
    """An empty FAISS index whose lists and codes are made for vectors like `sample`, float32[n, dim]."""
    import faiss

    index = faiss.index_factory(sample.shape[1], f"IVF{lists},{_CODE}", faiss.METRIC_INNER_PRODUCT)
    index.cp.spherical = True
    index.cp.niter = 10
    index.cp.min_points_per_centroid = 1  # below 39 FAISS warns on stderr
    index.train(sample)
    return index


def parameters(index: Any, allowed: int, effort: int, selector: Any) -> Any:
    """How FAISS should search among so many vectors; `effort` (1, 2...) multiplies the lists it reads."""
    import faiss

    lists = np.ceil(effort * index.nlist * (_SPREAD / max(1, allowed)) ** 0.5)
    return faiss.SearchParametersIVF(nprobe=int(min(index.nlist, lists)), sel=selector)
