"""Comparison of a FAISS index with the catalog: each vector must be there once, under its own id.

An index may lack vectors newer than itself, and hold some that the catalog no longer has. It is read list by
list, so memory grows by a few bytes a photo only.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from clipsight.core.arrays import Float16, Ids
from clipsight.core.progress import StageProgress
from clipsight.store.catalog import Catalog
from clipsight.store.records import Model

_BATCH_SIZE = 4096
_MIN_EQUAL = 0.5
"""Minimum fraction of bytes in which an approximate code equals the code computed again. Codes of random
vectors have an eighth of their bytes in common; another release of FAISS may round some bytes differently."""

Codes = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class _Part:
    """Ids int64[n] and codes uint8[n, bytes] of a part of the index, and the function for such codes."""

    ids: Ids
    codes: Codes
    encode: Callable[[Float16], Codes]
    min_equal: float
    """Minimum fraction of equal bytes."""


def index_differences(
    index: Any, last_id: int, catalog: Catalog, model: Model, progress: StageProgress
) -> Iterator[str]:
    """Describe differences between the catalog and an index of its vectors with ids up to `last_id`."""
    read = [np.empty(0, np.int64)]
    wrong = done = 0
    for part in _parts(index):
        progress("index file", done, index.ntotal)
        done += len(part.ids)
        read.append(part.ids)
        order = np.argsort(part.ids)
        for found, vectors in catalog.vectors_with(part.ids, model):
            rows = order[np.searchsorted(part.ids, found, sorter=order)]
            wrong += int(((part.encode(vectors) == part.codes[rows]).mean(axis=1) < part.min_equal).sum())
    ids = np.sort(np.concatenate(read))
    twice = int((np.diff(ids) == 0).sum())
    stored = catalog.vector_ids(model)
    lacking = len(np.setdiff1d(stored[stored <= last_id], ids))
    if wrong:
        yield f"holds {wrong:,} vectors that are not those of the catalog"
    if twice:
        yield f"holds {twice:,} vectors twice"
    if lacking:
        yield f"lacks {lacking:,} vectors"


def _parts(index: Any) -> Iterator[_Part]:
    import faiss

    if isinstance(index, faiss.IndexIVF):
        yield from _lists(index)
        return
    flat = faiss.downcast_index(index.index)
    ids = faiss.vector_to_array(index.id_map)
    codes = faiss.rev_swig_ptr(flat.codes.data(), flat.ntotal * flat.code_size).reshape(-1, flat.code_size)
    for start in range(0, len(ids), _BATCH_SIZE):
        rows = slice(start, start + _BATCH_SIZE)
        yield _Part(ids[rows], codes[rows], lambda vectors: vectors.view(np.uint8), min_equal=1.0)


def _lists(index: Any) -> Iterator[_Part]:
    import faiss

    lists = index.invlists
    for number in range(index.nlist):
        size = lists.list_size(number)
        if size:
            ids = faiss.rev_swig_ptr(lists.get_ids(number), size).copy()
            codes = faiss.rev_swig_ptr(lists.get_codes(number), size * lists.code_size).reshape(size, -1)
            yield _Part(ids, codes, partial(_encode, index, number), min_equal=_MIN_EQUAL)


def _encode(index: Any, number: int, vectors: Float16) -> Codes:
    """The codes of vectors, float16[n, dim], in list `number` of an approximate index."""
    import faiss

    wide = np.ascontiguousarray(vectors, dtype=np.float32)
    numbers = np.full(len(wide), number, dtype=np.int64)
    codes = np.empty((len(wide), index.invlists.code_size), dtype=np.uint8)
    index.encode_vectors(len(wide), faiss.swig_ptr(wide), faiss.swig_ptr(numbers), faiss.swig_ptr(codes))
    return codes
