"""Vector index by FAISS: a memory-mapped file derived from the catalog, which can be rebuilt at any time.

A model's file holds the vectors up to some id, uncompressed (exact) or as an approximate index. Newer
vectors (the tail) are read from the catalog when the index is opened, until there are enough of them to be
added to the file. Rows of vectors are immutable and their ids are never reused, so a file can lack vectors or
hold deleted ones, but not wrong ones, and `rerank` scores every candidate again with the catalog's vector.
Only a catalog that lost its last commits (a power cut, a restored older copy) assigns ids twice: the file's
stamp detects that.
"""

import os
import sys
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from clipsight.core.arrays import Float32, Ids
from clipsight.core.progress import Progress, no_progress
from clipsight.store.catalog import Catalog
from clipsight.store.records import Model
from clipsight.store.vectors.approximate import (
    MIN_VECTORS,
    REBUILD_GROWTH,
    SAMPLE_PER_LIST,
    list_count,
    search_parameters,
    train,
)
from clipsight.store.vectors.base import Candidates
from clipsight.store.vectors.index_file import Contents, IndexFile

SMALL_INDEX = 50_000
"""Up to this many vectors, writing the file takes less than a second, so any tail is merged at once."""

TAIL_SHARE = 0.02
"""Above `SMALL_INDEX`, the file is rewritten when the tail or the deleted vectors exceed this share of it.
Reading the tail takes microseconds a vector at each opening; rewriting takes a few more, but once."""

APPROXIMATE_TAIL_SHARE = 0.005
"""As `TAIL_SHARE`, for an approximate index, to which adding a vector takes some microseconds."""

MAX_BRUTE_FORCE = 2_000
"""Up to this many allowed vectors are read from the catalog and all compared, whatever the kind of index."""


@dataclass(frozen=True, slots=True)
class _Parts:
    """FAISS indexes that are searched together. Immutable, since other threads may be searching."""

    main: Any
    """Index of the file."""
    contents: Contents
    """Contents of `main`."""
    tail: Any
    """Index of newer vectors, in memory."""

    def __len__(self) -> int:
        return int(self.tail.ntotal) + (int(self.main.ntotal) if self.main is not None else 0)

    @property
    def is_approximate(self) -> bool:
        return self.contents.trained > 0

    def is_exact_for(self, allowed: Ids | None) -> bool:
        return not self.is_approximate or (allowed is not None and len(allowed) <= MAX_BRUTE_FORCE)


class FaissIndex:
    """A `VectorIndex` by FAISS, stored in `folder`.

    A missing, stale or damaged file is rebuilt as an exact index. If the file can't be written, the index
    stays in memory: searches find the same, but each process builds it again.
    """

    def __init__(self, folder: Path, catalog: Catalog, model: Model) -> None:
        self._file = IndexFile(folder, catalog, model)
        self._catalog = catalog
        self.model = model
        self._parts = _Parts(None, Contents(), _empty(model.dim))
        opened = self._file.open()
        if opened is not None:
            self._parts = _Parts(*opened, self._read_after(opened[1].last_id)[0])
        if opened is None or self._exceeds(int(self._parts.tail.ntotal)):
            self._update()

    def __len__(self) -> int:
        """Number of vectors in the index, including those deleted from the catalog."""
        return len(self._parts)

    @property
    def is_approximate(self) -> bool:
        """True if searches may miss some of the best vectors; see also `is_exact_for`."""
        return self._parts.is_approximate

    @property
    def should_optimize(self) -> bool:
        """True if the library is large and has no approximate index, or has outgrown it."""
        parts = self._parts
        return len(parts) >= max(MIN_VECTORS, REBUILD_GROWTH * parts.contents.trained)

    def is_exact_for(self, allowed: Ids | None) -> bool:
        """True if a search restricted to `allowed` always finds all of the best vectors."""
        return self._parts.is_exact_for(allowed)

    def search(
        self,
        queries: Float32,
        k: int,
        allowed: Ids | None = None,
        *,
        exact: bool = False,
        effort: int = 1,
    ) -> list[Candidates]:
        """The `k` best vectors for each of the queries; see `VectorIndex.search`.

        With `exact`, an approximate index reads all vectors from the catalog.
        """
        import faiss

        parts = self._parts
        if parts.is_approximate and (exact or parts.is_exact_for(allowed)):
            return self._search_catalog(queries, k, allowed)
        selector = None if allowed is None else _selector(allowed)
        searched = len(parts) if allowed is None else len(allowed)
        ids, scores = [np.empty((len(queries), 0), np.int64)], [np.empty((len(queries), 0), np.float32)]
        complete = True
        for index in (parts.main, parts.tail):
            params = None if selector is None else faiss.SearchParameters(sel=selector)
            if index is parts.main and parts.is_approximate:
                params = search_parameters(index, searched, effort, selector)
                complete = params.nprobe == index.nlist
            if index.ntotal:
                found = index.search(queries, min(k, index.ntotal), params=params)
                scores.append(found[0])
                ids.append(found[1])
        pairs = zip(np.hstack(ids), np.hstack(scores), strict=True)
        return [_best(*pair, k, complete) for pair in pairs]

    def compact(self) -> None:
        """Rewrite the file if it holds too many vectors that the catalog no longer has."""
        if self._exceeds(len(self) - self._catalog.count_vectors(self.model)):
            self._update()

    def optimize(self, progress: Progress) -> bool:
        """Build an approximate index if the library is large enough; see `VectorIndex.optimize`."""
        if self.should_optimize:
            return self.build_approximate(progress)
        self.compact()
        return True

    def build_approximate(self, progress: Progress) -> bool:
        """Rebuild the file, approximate from `MIN_VECTORS` on; return False if it can't be written.

        `progress` receives the number of vectors added. Needs memory for the new index and for the sample of
        k-means.
        """
        count = self._catalog.count_vectors(self.model)
        if count < MIN_VECTORS:  # vectors were deleted
            return self._replace(*self._read_after(0, capacity=count))
        lists = list_count(count)
        sample = self._catalog.sample_vectors(self.model, SAMPLE_PER_LIST * lists)
        index = train(sample.astype(np.float32), lists)
        del sample
        contents = self._add_to(index, Contents(trained=count), progress, count)
        return self._replace(index, contents)

    def _search_catalog(self, queries: Float32, k: int, allowed: Ids | None) -> list[Candidates]:
        """Compare the queries with the vectors in the catalog, read in chunks.

        FAISS is faster than NumPy here: for one query, BLAS threads spin for longer than they compute.
        """
        import faiss

        ids = np.empty((len(queries), 0), np.int64)
        scores = np.empty((len(queries), 0), np.float32)
        chunks = (
            self._catalog.vectors_after(0, self.model)
            if allowed is None
            else self._catalog.vectors_with(allowed, self.model)
        )
        for chunk, vectors in chunks:
            found, places = faiss.knn(
                queries, vectors.astype(np.float32), min(k, len(chunk)), metric=faiss.METRIC_INNER_PRODUCT
            )
            scores, ids = np.hstack([scores, found]), np.hstack([ids, chunk[places]])
            if scores.shape[1] > k:
                best = np.argpartition(-scores, k - 1, axis=1)[:, :k]
                ids, scores = np.take_along_axis(ids, best, 1), np.take_along_axis(scores, best, 1)
        return [_best(*each, k, True) for each in zip(ids, scores, strict=True)]

    def _exceeds(self, extra: int) -> bool:
        share = APPROXIMATE_TAIL_SHARE if self.is_approximate else TAIL_SHARE
        return extra > (0 if len(self) <= SMALL_INDEX else share * len(self))

    def _update(self) -> None:
        """Bring the file up to date: add missing vectors, remove deleted ones."""
        count = self._catalog.count_vectors(self.model)
        loaded = self._file.open(mapped=False) if self.is_approximate and count >= MIN_VECTORS // 2 else None
        if loaded is None:
            self._replace(*self._read_after(0, capacity=count))
            return
        index, contents = loaded
        if index.ntotal + self._parts.tail.ntotal > count:
            _keep_only(index, self._catalog.vector_ids(self.model))
        self._replace(index, self._add_to(index, contents))

    def _replace(self, index: Any, contents: Contents) -> bool:
        """Search `index`, which is in memory, and write it to the file; return False if that fails."""
        self._parts = _Parts(index, contents, _empty(self.model.dim))
        try:
            self._file.write(index, contents)
        except OSError:
            return False  # read-only or full disk: the index stays in memory
        opened = self._file.open()
        if opened is not None and opened[1] == contents:  # otherwise another process has replaced the file
            self._parts = replace(self._parts, main=opened[0])
        return True

    def _read_after(self, vector_id: int, capacity: int = 0) -> tuple[Any, Contents]:
        """An exact index in memory of the vectors with ids above `vector_id`, and its contents."""
        index, contents = _empty(self.model.dim, capacity), Contents(vector_id)
        for ids, vectors in self._catalog.vectors_after(vector_id, self.model):
            index.add_sa_codes(vectors.view(np.uint8), ids)  # FAISS's code of a vector is its float16 bytes
            contents = contents.with_vectors(ids, vectors)
        return index, contents

    def _add_to(
        self, index: Any, contents: Contents, progress: Progress = no_progress, total: int = 0
    ) -> Contents:
        """Add the vectors that an approximate index lacks; return its new contents."""
        for ids, vectors in self._catalog.vectors_after(contents.last_id, self.model):
            index.add_with_ids(vectors.astype(np.float32), ids)
            contents = contents.with_vectors(ids, vectors)
            progress(int(index.ntotal), total)
        return contents


def _use_one_thread() -> None:
    """Restrict FAISS to one thread in a forked process, where GNU OpenMP would wait for lost threads."""
    if "faiss" in sys.modules:
        sys.modules["faiss"].omp_set_num_threads(1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_use_one_thread)


def remove_files_of_other_models(folder: Path, model: Model) -> None:
    """Remove the index files of all models but `model` from `folder`."""
    for file in folder.glob("*"):
        if not file.name.startswith(model.fingerprint[:16]):
            with suppress(OSError):  # a file that can't be removed only takes space
                file.unlink()


def _empty(dim: int, capacity: int = 0) -> Any:
    """An empty exact index (flat, float16, inner product) with memory for `capacity` vectors."""
    import faiss

    flat = faiss.IndexScalarQuantizer(dim, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
    flat.codes.resize(capacity * flat.code_size)  # reserves the memory: growing in steps takes twice as much
    flat.codes.resize(0)
    return faiss.IndexIDMap(flat)


def _best(ids: Ids, scores: Float32, k: int, complete: bool) -> Candidates:
    """The `k` best of one query's candidates; FAISS pads missing ones with the id -1."""
    return Candidates.best(ids[ids >= 0], scores[ids >= 0], k, complete=complete)


def _selector(allowed: Ids) -> Any:
    """A FAISS selector of these ids: a bitmap with one bit per id."""
    import faiss

    bitmap = np.zeros(int(allowed.max(initial=0)) + 1, dtype=np.bool_)
    bitmap[allowed] = True
    return faiss.IDSelectorBitmap(np.packbits(bitmap, bitorder="little"))


def _keep_only(index: Any, stored: Ids) -> None:
    import faiss

    index.remove_ids(faiss.IDSelectorNot(_selector(stored)))
