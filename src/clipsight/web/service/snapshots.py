"""A library that many threads read at once, kept up to date with what other processes write.

A `Reader` never changes once it is made: the catalog's connection serves all threads, the search index and
the encoder are only read. When another process has written to the catalog, a new reader with a new search
index is made beside the old one, which is closed after its last call. Called by `service` only.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from clipsight.classification.label_cache import LabelCache
from clipsight.classification.prompts import load_templates
from clipsight.classification.zero_shot import Classifier
from clipsight.core.errors import ClipsightError, LibraryError
from clipsight.models.folder import ModelFolder
from clipsight.search import model_selection
from clipsight.search.confidence import BACKGROUND, SAMPLE, Calibration
from clipsight.search.query import Query, combine
from clipsight.search.steps import BALANCE_SAMPLE, ids_with, notes_on_index
from clipsight.store.catalog import CATALOG_NAME, Catalog
from clipsight.store.filters import Filters
from clipsight.store.labels import LabelCount, count_labels
from clipsight.store.records import Description, Hit, Model, State
from clipsight.store.vectors.faiss import VectorIndex
from clipsight.store.vectors.rerank import Ranked, rank
from clipsight.web.scheduling.shared_encoder import SharedEncoder
from clipsight.web.service.errors import NoModelError, NotFoundError

LOOK_SECONDS = 1.0
"""How often readers look whether another process has written to the catalog."""

REST = 20
"""After a new reader that took one second to make, the next one is not begun for so many seconds: search
must not starve while indexing commits every second."""

Vectors = npt.NDArray[np.float32]

MakeEncoder = Callable[[ModelFolder], SharedEncoder]


@dataclass(frozen=True, slots=True)
class Kept:
    """A photo as the catalog has it."""

    id: int
    path: bytes
    size: int
    mtime_ns: int
    state: State
    description: Description


class Reader:
    """The library in the folder `path` as it was when the reader was made; photos' own data are always fresh.

    `encoder` is used again if it is of the library's model, else `make` makes one. Raises `LibraryError`, or
    `ModelError` if the model can't be used.
    """

    def __init__(self, path: Path, make: MakeEncoder, encoder: SharedEncoder | None = None) -> None:
        self.path = path
        self.catalog = Catalog(path)
        self._encoder: SharedEncoder | None = None
        self._index: VectorIndex | None = None
        try:
            self._version = self._data_version()  # before anything is read: what comes later is newer
            self._model = self.catalog.current_model()
            if self._model is not None:
                self._index = VectorIndex(path / "vectors", self.catalog, self._model)
                self._encoder = _encoder_of(self._model, make, encoder)
        except BaseException:
            self.close()
            raise

    @property
    def model(self) -> Model:
        """The library's model; raises `NoModelError` if it has none yet."""
        if self._model is None:
            raise NoModelError("nothing has been indexed yet: choose a folder to index first")
        return self._model

    @property
    def encoder(self) -> SharedEncoder:
        """The model, ready; raises `NoModelError`."""
        _ = self.model
        assert self._encoder is not None
        return self._encoder

    @property
    def has_model(self) -> bool:
        return self._model is not None

    def is_stale(self) -> bool:
        """Whether another process has written to the catalog since this reader was made."""
        return self._data_version() != self._version

    def is_of_other_model(self) -> bool:
        """Whether the library has been switched to another model since."""
        return self.catalog.current_model() != self._model

    def rank(
        self,
        query: Query,
        vectors: Vectors,
        count: int,
        *,
        filters: Filters,
        balance: bool,
        left_out: set[int],
        exact: bool,
    ) -> tuple[list[Ranked], tuple[str, ...]]:
        """The `count` photos that match best; `vectors`, float32[parts, dim], are those of the parts.

        And what a person should know of how they were found, a line each.
        """
        import faiss

        assert self._index is not None
        faiss.omp_set_num_threads(1)  # of this thread; for one query, others would only wait, and busily
        folders = [os.fsencode(folder) for folder in filters.folders]
        allowed = ids_with(filters, folders, self.catalog, self.model)
        combined = combine(query, vectors, self.sample_for(query) if balance else None)
        (found,) = rank(
            self.catalog,
            self._index,
            combined[None, :],
            count,
            allowed=allowed,
            left_out=[left_out],
            exact=exact,
        )
        return found, notes_on_index(self._index, allowed, exact=exact)

    def sample_for(self, query: Query) -> Vectors | None:
        """What mixed queries are balanced by, float32[n, dim]; None for others."""
        return self._sample if query.is_mixed else None

    @cached_property
    def _sample(self) -> Vectors:
        return self.catalog.sample_vectors(self.model, BALANCE_SAMPLE).astype(np.float32)

    def hits(self, photo_ids: Sequence[int]) -> list[Hit]:
        """The photos with these ids, with their vectors, in this order. Raises `NotFoundError`."""
        found: dict[int, Hit] = {}
        for start in range(0, len(photo_ids), 5000):
            part = photo_ids[start : start + 5000]
            rows = self.catalog.database.rows(
                f"SELECT id FROM vectors WHERE model_id = ? AND photo_id IN ({', '.join('?' * len(part))})",
                (self.model.id, *part),
            )
            found |= {hit.photo_id: hit for hit in self.catalog.hits([id_ for (id_,) in rows])}
        for photo_id in photo_ids:
            if photo_id not in found:
                raise _no_photo(photo_id)
        return [found[photo_id] for photo_id in photo_ids]

    def photo(self, photo_id: int) -> Kept:
        """What the catalog has of the photo. Raises `NotFoundError`."""
        columns = [column.name for column in fields(Description)]
        row = self.catalog.database.row(
            f"SELECT folder, name, size, mtime_ns, state, {', '.join(columns)} FROM photos "
            "WHERE id = ? AND state != ?",
            (photo_id, State.MISSING),
        )
        if row is None:
            raise _no_photo(photo_id)
        folder, name, size, mtime_ns, state, *description = row
        path = os.path.join(folder, name)
        return Kept(photo_id, path, size, mtime_ns, State(state), Description(*description))

    def labels_of(self, photo_id: int) -> tuple[str, ...]:
        """The labels that classification gave the photo."""
        rows = self.catalog.database.rows(
            "SELECT DISTINCT l.label FROM vectors v JOIN labels l ON l.vector_id = v.id "
            "WHERE v.photo_id = ? AND v.model_id = ? ORDER BY 1",
            (photo_id, self._model.id if self._model else 0),
        )
        return tuple(label for (label,) in rows)

    def label_counts(self) -> list[LabelCount]:
        """The labels that photos have, and how many; none without a model."""
        return count_labels(self.catalog.database, self._model) if self._model else []

    @cached_property
    def calibration(self) -> Calibration:
        """What cosines with words mean among the library's photos; see `rejection`."""
        sample = self.catalog.sample_vectors(self.model, SAMPLE)
        if not len(sample):
            raise LibraryError("no photo is indexed yet to compare with: index a folder first")
        background = Classifier.of(BACKGROUND, self.encoder, load_templates("plain"), LabelCache(self.path))
        return Calibration.of(sample, background.weights)

    def sure_score(self) -> float:
        """The cosine from which a search for words keeps photos that really match."""
        count = self.catalog.count_vectors(self.model)
        return self.calibration.sure_score(count) if count else 1.0

    def count_photos(self) -> int:
        """How many photos the library holds, unreachable ones included. Raises `LibraryError`."""
        if not (self.path / CATALOG_NAME).exists():
            raise LibraryError(f"the catalog in {self.path} is gone: put it back, or index again")
        counts = self.catalog.counts()
        return counts.present + counts.unreachable

    def close(self) -> None:
        """Close the catalog; the encoder is left to whom it belongs."""
        self.catalog.close()

    def _data_version(self) -> int:
        """A number that changes when another connection commits to the catalog."""
        return int(self.catalog.database.value("PRAGMA data_version"))


class Readers:
    """The reader of the moment, replaced when it is stale; `use` it for one call each."""

    def __init__(self, path: Path, make: MakeEncoder) -> None:
        self._path, self._make = path, make
        self._lock = threading.Lock()
        self._making = threading.Lock()
        self._users: dict[Reader, int] = {}
        self._current = Reader(path, make)
        self._cost = 0.0
        self._made = 0.0
        self.problem: str | None = None
        """Why the last attempt to make a new reader failed; the old one serves on."""
        self._closing = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="clipsight-readers", daemon=True)
        self._watcher.start()

    @contextmanager
    def use(self) -> Iterator[Reader]:
        """The reader of the moment, which stays open until the block is left."""
        with self._lock:
            reader = self._current
            self._users[reader] = self._users.get(reader, 0) + 1
        try:
            yield reader
        finally:
            with self._lock:
                self._users[reader] -= 1
                unused = not self._users[reader] and reader is not self._current
            if unused:
                self._discard(reader)

    def refresh(self) -> None:
        """Make a new reader now if the one there is is stale; raises what making it raises."""
        with self._making:
            old = self._current
            if not old.is_stale():
                return
            started = time.monotonic()
            encoder = old.encoder if old.has_model else None
            new = Reader(self._path, self._make, encoder)
            self._made = time.monotonic()
            self._cost = self._made - started
            with self._lock:
                self._current = new
                unused = not self._users.get(old, 0)
            if unused:
                self._discard(old)

    def close(self) -> None:
        """End the threads and close the files; calls that are running fail."""
        self._closing.set()
        self._watcher.join()
        self._discard(self._current)
        if self._current.has_model:
            self._current.encoder.close()

    def _discard(self, reader: Reader) -> None:
        with self._lock:
            self._users.pop(reader, None)
        reader.close()
        if reader is not self._current and reader.has_model:
            current = self._current
            if not current.has_model or current.encoder is not reader.encoder:
                reader.encoder.close()

    def _watch(self) -> None:
        while not self._closing.wait(LOOK_SECONDS):
            if time.monotonic() < self._made + REST * self._cost:
                continue
            try:
                self.refresh()
                self.problem = None
            except ClipsightError as error:
                self.problem = str(error)


def _encoder_of(model: Model, make: MakeEncoder, encoder: SharedEncoder | None) -> SharedEncoder:
    if encoder is not None and encoder.folder.fingerprint() == model.fingerprint:
        return encoder
    made = make(model_selection.folder_of(model))
    try:
        made.encode_texts(["warm"])  # loads the text tower, so that the first search is as fast as any
    except BaseException:
        made.close()
        raise
    return made


def _no_photo(photo_id: int) -> NotFoundError:
    return NotFoundError(f"the library has no photo {photo_id} (any more): search again")
