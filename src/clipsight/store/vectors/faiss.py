"""The search index: a FAISS file derived from the catalog, memory-mapped, disposable.

One file a model holds the vectors with ids up to some id, as they are (exact) or as an approximate index;
younger vectors (the tail) are read from the catalog at each opening, until they are numerous enough to be
added to the file. Vector rows are immutable and their ids are never used again, so a file can lack vectors
or hold dead ones, but not wrong ones, and `store.ranking` scores every candidate again with the catalog's
own vector. Only a catalog that lost its last commits (a power cut, or an older copy put back) gives ids out
twice: the file's stamp finds that out.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from clipsight.store.catalog import Catalog
from clipsight.store.records import Ids, Model
from clipsight.store.vectors.approximate import OUTGROWN, SAMPLE_A_LIST, WORTH, lists_for, parameters, train
from clipsight.store.vectors.index_file import Contents, IndexFile

SMALL = 50_000
"""Up to this many vectors a new file costs less than a second: the tail is never left."""

TAIL_SHARE = 0.02
"""Above `SMALL`, a new file is made when the tail or the dead exceed this share of it. A tail
costs some microseconds a vector at each opening, a new file a few more a vector, but once."""

LISTS_TAIL_SHARE = 0.005
"""The same for an approximate index, to which vectors are added at some microseconds each."""

FEW = 2_000
"""A filter that leaves so many photos is answered by comparing these, read from the catalog."""

Floats = npt.NDArray[np.float32]
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Found:
    """Candidates for one query, best first: ids int64[n], scores float32[n]."""

    ids: Ids
    scores: Floats
    all_there_are: bool
    """Whether no further vector is allowed."""


class VectorIndex:
    """All vectors of `model` in the catalog, ready for inner-product search.

    Opening makes a missing, stale or damaged file anew, as an exact index. If the file can't be
    written the index is held in memory instead: the same results, a slower start.
    """

    def __init__(self, folder: Path, catalog: Catalog, model: Model) -> None:
        self._file = IndexFile(folder, catalog, model)
        self._catalog = catalog
        self.model = model
        self._main: Any = None
        self._contents = Contents()
        self._tail = _empty(model.dim)
        opened = self._file.open()
        if opened is not None:
            self._main, self._contents = opened
            self._tail, _ = self._read_after(self._contents.last_id)
        if opened is None or self._exceeds(int(self._tail.ntotal)):
            self._renew()

    def __len__(self) -> int:
        """How many vectors can be found, dead ones included."""
        return int(self._tail.ntotal) + (int(self._main.ntotal) if self._main is not None else 0)

    @property
    def is_approximate(self) -> bool:
        """Whether searches may miss some of the best; see also `is_exact_for`."""
        return self._contents.trained > 0

    @property
    def wants_lists(self) -> bool:
        """Whether `make_approximate` pays: the library is large, or has outgrown the lists there are."""
        return len(self) >= max(WORTH, OUTGROWN * self._contents.trained)

    def is_exact_for(self, allowed: Ids | None) -> bool:
        """Whether a search among these ids finds all of the best in any case."""
        return not self.is_approximate or (allowed is not None and len(allowed) <= FEW)

    def search(
        self,
        queries: Floats,
        count: int,
        allowed: Ids | None = None,
        *,
        exact: bool = False,
        effort: int = 1,
    ) -> list[Found]:
        """The `count` best vectors for each of the queries, float32[n, dim].

        `allowed` restricts the search to these ids. `exact` compares all vectors, of an approximate
        index by reading them from the catalog; else such an index tries as hard as `effort` says
        (1, 2...), and its scores are estimates.
        """
        import faiss

        if self.is_approximate and (exact or self.is_exact_for(allowed)):
            return self._search_catalog(queries, count, allowed)
        selector = None if allowed is None else _selector(allowed)
        among = len(self) if allowed is None else len(allowed)
        ids, scores = [np.empty((len(queries), 0), np.int64)], [np.empty((len(queries), 0), np.float32)]
        complete = True
        for index in (self._main, self._tail):
            how = None if selector is None else faiss.SearchParameters(sel=selector)
            if index is self._main and self.is_approximate:
                how = parameters(index, among, effort, selector)
                complete = how.nprobe == index.nlist
            if index.ntotal:
                found = index.search(queries, min(count, index.ntotal), params=how)
                scores.append(found[0])
                ids.append(found[1])
        pairs = zip(np.hstack(ids), np.hstack(scores), strict=True)
        return [_best(*pair, count, complete) for pair in pairs]

    def drop_dead(self) -> None:
        """Make the file anew if it holds too many vectors that the catalog no longer has."""
        if self._exceeds(len(self) - self._catalog.count_vectors(self.model)):
            self._renew()

    def make_approximate(self, progress: Progress) -> bool:
        """Make the file anew, as an approximate index where that pays; whether it could be written.

        `progress` is called with how many vectors are in, and of how many. Takes the memory of the
        new index and of the sample that k-means learns from.
        """
        count = self._catalog.count_vectors(self.model)
        if count < WORTH:  # many were dead
            return self._take(*self._read_after(0, room=count))
        lists = lists_for(count)
        sample = self._catalog.sample_vectors(self.model, SAMPLE_A_LIST * lists)
        index = train(sample.astype(np.float32), lists)
        del sample
        contents = self._add_to(index, Contents(trained=count), lambda done: progress(done, count))
        return self._take(index, contents)

    def _search_catalog(self, queries: Floats, count: int, allowed: Ids | None) -> list[Found]:
        """Compare the vectors themselves, read in chunks.

        By FAISS, not NumPy: for one query, BLAS wakes threads that then spin for longer than they work.
        """
        import faiss

        ids = np.empty((len(queries), 0), np.int64)
        scores = np.empty((len(queries), 0), np.float32)
        chunks = (
            self._catalog.vectors_after(0, self.model)
            if allowed is None
            else self._catalog.vectors_with(allowed, self.model)
        )
        for more, vectors in chunks:
            found, places = faiss.knn(
                queries, vectors.astype(np.float32), min(count, len(more)), metric=faiss.METRIC_INNER_PRODUCT
            )
            scores, ids = np.hstack([scores, found]), np.hstack([ids, more[places]])
            if scores.shape[1] > count:
                best = np.argpartition(-scores, count - 1, axis=1)[:, :count]
                ids, scores = np.take_along_axis(ids, best, 1), np.take_along_axis(scores, best, 1)
        return [_best(*each, count, True) for each in zip(ids, scores, strict=True)]

    def _exceeds(self, extra: int) -> bool:
        share = LISTS_TAIL_SHARE if self.is_approximate else TAIL_SHARE
        return extra > (0 if len(self) <= SMALL else share * len(self))

    def _renew(self) -> None:
        """Bring the file up to date: with all vectors there are, and none that is dead."""
        count = self._catalog.count_vectors(self.model)
        loaded = self._file.open(mapped=False) if self.is_approximate and count >= WORTH // 2 else None
        if loaded is None:
            self._take(*self._read_after(0, room=count))
            return
        index, contents = loaded
        if index.ntotal + self._tail.ntotal > count:
            _keep_only(index, self._catalog.vector_ids(self.model))
        self._take(index, self._add_to(index, contents))

    def _take(self, index: Any, contents: Contents) -> bool:
        """Search this index, which is in memory, from now on; whether it could be written and is mapped."""
        self._main, self._contents, self._tail = index, contents, _empty(self.model.dim)
        try:
            self._file.write(index, contents)
        except OSError:
            return False  # read-only or full disk: the index in memory serves as well
        opened = self._file.open()
        if opened is not None and opened[1] == contents:  # else another process has written its own file
            self._main = opened[0]
        return True

    def _read_after(self, vector_id: int, room: int = 0) -> tuple[Any, Contents]:
        """An exact index in memory of the vectors with ids above `vector_id`."""
        index, contents = _empty(self.model.dim, room), Contents(vector_id)
        for ids, vectors in self._catalog.vectors_after(vector_id, self.model):
            index.add_sa_codes(vectors.view(np.uint8), ids)  # FAISS's codes are the float16 bytes as they are
            contents = contents.with_vectors(ids, vectors)
        return index, contents

    def _add_to(
        self, index: Any, contents: Contents, progress: Callable[[int], None] = lambda done: None
    ) -> Contents:
        """Add the vectors that an approximate index in memory lacks; what it holds then."""
        for ids, vectors in self._catalog.vectors_after(contents.last_id, self.model):
            index.add_with_ids(vectors.astype(np.float32), ids)
            contents = contents.with_vectors(ids, vectors)
            progress(int(index.ntotal))
        return contents


def drop_files_of_other_models(folder: Path, model: Model) -> None:
    """Remove from `folder` the index files of models that the library no longer has."""
    for file in folder.glob("*"):
        if not file.name.startswith(model.fingerprint[:16]):
            with suppress(OSError):  # what can't be removed only takes room
                file.unlink()


def _empty(dim: int, room: int = 0) -> Any:
    """An empty flat float16 inner-product index whose labels are vector ids, with room for so many."""
    import faiss

    flat = faiss.IndexScalarQuantizer(dim, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
    flat.codes.resize(room * flat.code_size)  # keeps the memory; growing by steps takes twice as much
    flat.codes.resize(0)
    return faiss.IndexIDMap(flat)


def _best(ids: Ids, scores: Floats, count: int, complete: bool) -> Found:
    """The `count` best of one query's candidates, among them FAISS's -1 for none."""
    ids, scores = ids[ids >= 0], scores[ids >= 0]
    order = np.argsort(-scores, kind="stable")[:count]
    return Found(ids[order], scores[order], complete and len(ids) < count)


def _selector(allowed: Ids) -> Any:
    """What admits only these ids: a bitmap, one bit an id."""
    import faiss

    admitted = np.zeros(int(allowed.max(initial=0)) + 1, dtype=np.bool_)
    admitted[allowed] = True
    return faiss.IDSelectorBitmap(np.packbits(admitted, bitorder="little"))


def _keep_only(index: Any, alive: Ids) -> None:
    import faiss

    index.remove_ids(faiss.IDSelectorNot(_selector(alive)))
