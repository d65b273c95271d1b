"""The search index: a FAISS file derived from the catalog, memory-mapped, disposable.

One file a model holds the float16 vectors with ids up to some id; younger vectors (the
tail) are read from the catalog at each opening, until they are numerous enough to be
worth a new file. Vector rows are immutable and their ids are never used again, so a file
can lack vectors or hold dead ones, but not wrong ones, and `store.ranking` scores every
candidate again with the catalog's own vector. Only a catalog that lost its last commits
(a power cut, or an older copy put back) gives ids out twice: `_agrees` finds that out.
"""

import json
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from clipsight.store.catalog import Catalog
from clipsight.store.records import Ids, Model

SMALL = 50_000
"""Up to this many vectors a new file costs less than a second: the tail is never left."""

TAIL_SHARE = 0.02
"""Above `SMALL`, a new file is made when the tail or the dead exceed this share of it. A tail
costs some microseconds a vector at each opening, a new file a few more a vector, but once."""

_FORMAT = 1
_PROBED = 64

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class _Stamp:
    """What a FAISS file was made from, and the file itself as it was when written."""

    format: int
    library: str
    fingerprint: str
    last_id: int
    count: int
    file_size: int
    file_mtime_ns: int


class VectorIndex:
    """All vectors of `model` in the catalog, ready for inner-product search.

    Opening makes a missing, stale or damaged file anew. If the file can't be written the
    index is held in memory instead: the same results, a slower start.
    """

    def __init__(self, folder: Path, catalog: Catalog, model: Model) -> None:
        self._file = folder / f"{model.fingerprint[:16]}.faiss"
        self._catalog = catalog
        self._model = model
        self._main, self._last_id = self._open_file()
        if self._main is not None:
            self._tail, _ = self._read_after(self._last_id)
        if self._main is None or self._exceeds(int(self._tail.ntotal)):
            self._rebuild()

    def __len__(self) -> int:
        """How many vectors can be found, dead ones included."""
        return int(self._tail.ntotal) + (int(self._main.ntotal) if self._main is not None else 0)

    def search(self, query: Floats, count: int, allowed: Ids | None = None) -> tuple[Ids, Floats]:
        """The `count` best (ids int64[n], scores float32[n]), best first, n <= count.

        `query` is float32[dim]; scores are inner products in float32. `allowed` restricts the
        search to these ids.
        """
        parameters = None if allowed is None else _selector(allowed)
        parts = [self._tail] if self._main is None else [self._main, self._tail]
        ids, scores = [], []
        for part in parts:
            found_scores, found_ids = part.search(
                query[None, :], min(count, max(1, part.ntotal)), params=parameters
            )
            ids.append(found_ids[0][found_ids[0] >= 0])
            scores.append(found_scores[0][found_ids[0] >= 0])
        all_ids, all_scores = np.concatenate(ids), np.concatenate(scores)
        order = np.argsort(-all_scores, kind="stable")[:count]
        return all_ids[order], all_scores[order]

    def drop_dead(self) -> None:
        """Make the file anew if it holds too many vectors that the catalog no longer has."""
        if self._exceeds(len(self) - self._catalog.count_vectors(self._model)):
            self._rebuild()

    def _exceeds(self, extra: int) -> bool:
        return extra > (0 if len(self) <= SMALL else TAIL_SHARE * len(self))

    def _rebuild(self) -> None:
        self._main, self._last_id = self._read_after(0, room=self._catalog.count_vectors(self._model))
        self._tail = _empty(self._model.dim)
        try:
            self._write_file()
        except OSError:
            return  # read-only or full disk: the index in memory serves as well
        mapped, last_id = self._open_file()
        if mapped is not None and last_id == self._last_id:  # else another process has written its own file
            self._main = mapped

    def _read_after(self, vector_id: int, room: int = 0) -> tuple[Any, int]:
        """An index in memory of the vectors with ids above `vector_id`, and the highest of them."""
        index = _empty(self._model.dim, room)
        for ids, vectors in self._catalog.vectors_after(vector_id, self._model):
            index.add_sa_codes(vectors.view(np.uint8), ids)  # FAISS's codes are the float16 bytes as they are
            vector_id = int(ids[-1])
        return index, vector_id

    def _write_file(self) -> None:
        """Write file and stamp so that a crash leaves the old pair, the new pair, or a mismatch."""
        import faiss

        self._file.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=self._file.parent, suffix=".tmp")
        os.close(handle)
        temporary = Path(name)
        try:
            try:
                faiss.write_index(self._main, name)
            except RuntimeError as error:  # FAISS reports I/O errors so
                raise OSError(str(error)) from error
            stat = temporary.stat()
            stamp = _Stamp(
                _FORMAT,
                self._catalog.uuid,
                self._model.fingerprint,
                self._last_id,
                int(self._main.ntotal),
                stat.st_size,
                stat.st_mtime_ns,
            )
            temporary.replace(self._file)
            written = temporary.with_suffix(".json")
            written.write_text(json.dumps(asdict(stamp)))
            written.replace(self._stamp_file)
        finally:
            temporary.unlink(missing_ok=True)

    def _open_file(self) -> tuple[Any, int]:
        """The memory-mapped index and its last id; (None, 0) if the file can't be trusted."""
        import faiss

        try:
            stamp = _Stamp(**json.loads(self._stamp_file.read_text()))
            stat = self._file.stat()
            expected = _Stamp(
                _FORMAT,
                self._catalog.uuid,
                self._model.fingerprint,
                stamp.last_id,
                stamp.count,
                stat.st_size,
                stat.st_mtime_ns,
            )
            if stamp != expected:
                return None, 0
            index = faiss.read_index(str(self._file), faiss.IO_FLAG_MMAP_IFC)
        except (OSError, ValueError, TypeError, RuntimeError):
            return None, 0
        return (index, stamp.last_id) if self._agrees(index, stamp) else (None, 0)

    def _agrees(self, index: Any, stamp: _Stamp) -> bool:
        """Whether the youngest ids in the file still are these vectors in the catalog, where it has them."""
        rows = range(max(0, index.ntotal - _PROBED), index.ntotal)
        row_of = {int(index.id_map.at(row)): row for row in rows}
        last_id = max(row_of, default=0)
        if (index.d, index.ntotal, last_id) != (self._model.dim, stamp.count, stamp.last_id):
            return False
        if last_id > self._catalog.last_vector_id():
            return False
        return all(
            np.array_equal(index.index.reconstruct(row_of[hit.vector_id]), hit.vector.astype(np.float32))
            for hit in self._catalog.hits(list(row_of))
        )

    @property
    def _stamp_file(self) -> Path:
        return self._file.with_suffix(".json")


def drop_files_of_other_models(folder: Path, model: Model) -> None:
    """Remove from `folder` the index files of models that the library no longer has."""
    for file in folder.glob("*"):
        if not file.name.startswith(model.fingerprint[:16]):
            file.unlink(missing_ok=True)


def _empty(dim: int, room: int = 0) -> Any:
    """An empty flat float16 inner-product index whose labels are vector ids, with room for so many."""
    import faiss

    flat = faiss.IndexScalarQuantizer(dim, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
    flat.codes.resize(room * flat.code_size)  # keeps the memory; growing by steps takes twice as much
    flat.codes.resize(0)
    return faiss.IndexIDMap(flat)


def _selector(allowed: Ids) -> Any:
    """FAISS search parameters that admit only these ids (a bitmap: one bit an id)."""
    import faiss

    admitted = np.zeros(int(allowed.max(initial=0)) + 1, dtype=np.bool_)
    admitted[allowed] = True
    return faiss.SearchParameters(sel=faiss.IDSelectorBitmap(np.packbits(admitted, bitorder="little")))
