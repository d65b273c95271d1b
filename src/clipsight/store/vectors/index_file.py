"""A FAISS index in a file, and beside it a stamp: JSON that describes the catalog it was built from.

After a crash there is the old pair of files, the new pair, or a pair that does not match and is not used.
"""

import fcntl
import json
import os
import tempfile
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from clipsight.core.arrays import Float16, Ids
from clipsight.core.files import sync
from clipsight.store.catalog import Catalog
from clipsight.store.records import Model

_FORMAT = 2
_MAX_PROBES = 64
_ABANDONED_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Contents:
    """The vectors that an index holds."""

    last_id: int = 0
    """The index holds all vectors of its model with ids up to this one, except deleted ones."""
    trained: int = 0
    """Number of vectors for which an approximate index was trained; 0 for an exact index."""
    probes: tuple[tuple[int, int], ...] = ()
    """Ids and checksums of the newest vectors, to detect a catalog that assigned the same ids again."""

    def with_vectors(self, ids: Ids, vectors: Float16) -> "Contents":
        """These contents after adding vectors, float16[n, dim], with higher ids, int64[n]."""
        newest = zip(ids[-_MAX_PROBES:].tolist(), map(_checksum, vectors[-_MAX_PROBES:]), strict=True)
        return Contents(int(ids[-1]), self.trained, (*self.probes, *newest)[-_MAX_PROBES:])


@dataclass(frozen=True, slots=True)
class _Stamp:
    """Origin of a FAISS file (library, model, contents), and its size and mtime when it was written."""

    format: int
    library: str
    fingerprint: str
    last_id: int
    trained: int
    probes: tuple[tuple[int, int], ...]
    count: int
    file_size: int
    file_mtime_ns: int


class IndexFile:
    """The index file of `model` in `folder`."""

    def __init__(self, folder: Path, catalog: Catalog, model: Model) -> None:
        self._file = folder / f"{model.fingerprint[:16]}.faiss"
        self._stamp_file = self._file.with_suffix(".json")
        self._catalog = catalog
        self._model = model

    def open(self, *, mapped: bool = True) -> tuple[Any, Contents] | None:
        """The index, memory-mapped or loaded, and its contents; None if the file can't be used."""
        opened = self._open(mapped)
        if opened is None and os.path.exists(self._stamp_file):
            with self._locked():  # another process may be between its two renames
                opened = self._open(mapped)
        return opened

    def write(self, index: Any, contents: Contents) -> None:
        """Replace index and stamp, both under one lock. Raises OSError if that fails."""
        import faiss

        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._remove_leftovers()
        handle, name = tempfile.mkstemp(dir=self._file.parent, suffix=".tmp")
        os.close(handle)
        temporary = Path(name)
        try:
            try:
                faiss.write_index(index, name)
            except RuntimeError as error:  # FAISS's class of I/O errors
                raise OSError(str(error)) from error
            sync(temporary)  # else a power cut could leave a file of this name and size without its content
            written = self._stamp(contents, int(index.ntotal), temporary.stat())
            stamp = temporary.with_suffix(".json")
            with self._locked():
                temporary.replace(self._file)
                stamp.write_text(json.dumps(asdict(written)))
                stamp.replace(self._stamp_file)
        finally:
            temporary.unlink(missing_ok=True)

    def _open(self, mapped: bool) -> tuple[Any, Contents] | None:
        import faiss

        try:
            read = json.loads(self._stamp_file.read_text())
            probes = tuple((int(id_), int(checksum)) for id_, checksum in read.pop("probes"))
            stamp = _Stamp(**read, probes=probes)
            contents = Contents(stamp.last_id, stamp.trained, probes)
            if stamp != self._stamp(contents, stamp.count, self._file.stat()):
                return None
            index = faiss.read_index(str(self._file), faiss.IO_FLAG_MMAP_IFC if mapped else 0)
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RuntimeError):
            return None
        intact = (index.d, index.ntotal) == (self._model.dim, stamp.count)
        return (index, contents) if intact and self._matches_catalog(contents) else None

    def _matches_catalog(self, contents: Contents) -> bool:
        """True if the catalog has the same vectors under the newest ids, or has deleted them."""
        checksums = dict(contents.probes)
        if max(checksums, default=0) != contents.last_id or contents.last_id > self._catalog.last_vector_id():
            return False
        return all(
            _checksum(vector) == checksums[int(id_)]
            for ids, vectors in self._catalog.vectors_with(list(checksums), self._model)
            for id_, vector in zip(ids, vectors, strict=True)
        )

    def _stamp(self, contents: Contents, count: int, stat: os.stat_result) -> _Stamp:
        return _Stamp(
            _FORMAT,
            self._catalog.uuid,
            self._model.fingerprint,
            contents.last_id,
            contents.trained,
            contents.probes,
            count,
            stat.st_size,
            stat.st_mtime_ns,
        )

    def _remove_leftovers(self) -> None:
        """Remove temporary files of processes that were killed while writing; writing takes seconds."""
        for file in self._file.parent.glob("*.tmp"):
            with suppress(OSError):
                if time.time() - file.stat().st_mtime > _ABANDONED_SECONDS:
                    file.unlink()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the lock under which index and stamp are replaced; no lock if the file system has none."""
        try:
            handle = os.open(self._file.parent, os.O_RDONLY)
        except OSError:
            yield
            return
        try:
            with suppress(OSError):
                fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


def _checksum(vector: Float16) -> int:
    return zlib.crc32(vector.tobytes())
