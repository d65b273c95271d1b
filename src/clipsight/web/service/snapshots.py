"""Read access to the library for many threads, refreshed when other processes write to it.

An `OpenLibrary` is immutable: all threads share the catalog's connection, and only read the index and the
encoder. When another process has written to the catalog, `CurrentLibrary` opens a new one; the old one is
closed after its last call.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from clipsight.core.errors import ClipsightError, LibraryError, NoModelError, NotFoundError
from clipsight.models.encoder import Stop
from clipsight.models.folder import ModelFolder
from clipsight.search import model_selection
from clipsight.search.session import Snapshot
from clipsight.store.catalog import CATALOG_NAME, Catalog
from clipsight.store.labels import LabelCount, count_labels, labels_of_photo
from clipsight.store.records import EmbeddedPhoto, Model, PhotoRecord
from clipsight.web.scheduling.shared_encoder import SharedEncoder

POLL_SECONDS = 1.0
"""Interval of checks for writes by other processes."""

REFRESH_PAUSE = 20
"""Seconds without a refresh for each second that the last one took: searches must not starve while indexing
commits every second."""


EncoderFactory = Callable[[ModelFolder], SharedEncoder]


class OpenLibrary:
    """The library in the folder `path` at the time of opening; single photos are read from the catalog anew.

    `encoder` is reused if it has the library's model; otherwise `create` makes one. Raises `LibraryError`,
    and `ModelError` if the model can't be used.
    """

    def __init__(self, path: Path, create: EncoderFactory, encoder: SharedEncoder | None = None) -> None:
        self.path = path
        self.catalog = Catalog(path)
        self._encoder: SharedEncoder | None = None
        self._snapshot: Snapshot | None = None
        try:
            self._version = self.catalog.data_version()  # first: anything read later is at least as new
            model = self.catalog.current_model()
            if model is not None:
                self._encoder = shared = _encoder_of(model, create, encoder)
                self._snapshot = Snapshot(path, self.catalog, model, lambda: shared)
                _ = self._snapshot.index  # opens it, so that the first search is not slower
        except BaseException:
            self.close()
            raise

    @property
    def snapshot(self) -> Snapshot:
        """Catalog, index and encoder for searches; raises `NoModelError` if nothing is indexed."""
        if self._snapshot is None:
            raise NoModelError("nothing has been indexed yet: choose a folder to index first")
        return self._snapshot

    @property
    def model(self) -> Model:
        """The library's model; raises `NoModelError`."""
        return self.snapshot.model

    @property
    def encoder(self) -> SharedEncoder:
        """The model's encoder; raises `NoModelError`."""
        _ = self.snapshot
        assert self._encoder is not None
        return self._encoder

    @property
    def has_model(self) -> bool:
        """False until the first indexing run has chosen a model."""
        return self._snapshot is not None

    def is_stale(self) -> bool:
        """Check if another process has written to the catalog since."""
        return self.catalog.data_version() != self._version

    def has_other_model(self) -> bool:
        """Check if the library has been switched to another model since."""
        model = self._snapshot.model if self._snapshot else None
        return self.catalog.current_model() != model

    def embedded_photos(self, photo_ids: Sequence[int]) -> list[EmbeddedPhoto]:
        """The photos with these ids, with their vectors, in this order. Raises `NotFoundError`."""
        found = self.catalog.embedded_photos_by_id(photo_ids, self.model)
        for photo_id in photo_ids:
            if photo_id not in found:
                raise _no_photo(photo_id)
        return [found[photo_id] for photo_id in photo_ids]

    def photo(self, photo_id: int) -> PhotoRecord:
        """The catalog's row of the photo. Raises `NotFoundError`."""
        photo = self.catalog.photo(photo_id)
        if photo is None:
            raise _no_photo(photo_id)
        return photo

    def labels_of(self, photo_id: int) -> tuple[str, ...]:
        """The labels assigned to the photo by classification."""
        return labels_of_photo(self.catalog.database, self.model, photo_id) if self.has_model else ()

    def label_counts(self) -> list[LabelCount]:
        """The labels with their numbers of photos; none without a model."""
        return count_labels(self.catalog.database, self.model) if self.has_model else []

    def count_photos(self) -> int:
        """Number of photos, including unreachable ones. Raises `LibraryError` if the catalog was deleted."""
        if not os.path.exists(self.path / CATALOG_NAME):
            raise LibraryError(
                f"the catalog in {self.path} was moved or deleted: put it back, or index the folders again"
            )
        counts = self.catalog.counts()
        return counts.present + counts.unreachable

    def close(self) -> None:
        """Close the catalog, but not the encoder, which may be shared."""
        self.catalog.close()


class CurrentLibrary:
    """The most recent `OpenLibrary`, replaced by a watcher thread when it is stale."""

    def __init__(self, path: Path, create: EncoderFactory) -> None:
        self._path, self._create = path, create
        self._lock = threading.Lock()
        self._refreshing = threading.Lock()
        self._users: dict[OpenLibrary, int] = {}
        self._current = OpenLibrary(path, create)
        self._refresh_seconds = 0.0
        self._refreshed = 0.0
        self.problem: str | None = None
        """Reason why the last refresh failed; the old state remains in use."""
        self._closing = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="clipsight-library", daemon=True)
        self._watcher.start()

    @contextmanager
    def use(self) -> Iterator[OpenLibrary]:
        """The current library, which stays open until the block ends; hold it for one call only."""
        with self._lock:
            library = self._current
            self._users[library] = self._users.get(library, 0) + 1
        try:
            yield library
        finally:
            with self._lock:
                self._users[library] -= 1
                unused = not self._users[library] and library is not self._current
            if unused:
                self._discard(library)

    @contextmanager
    def use_encoder(self, stop: Stop | None) -> Iterator[OpenLibrary]:
        """Like `use`, with the newest model; inside, its encoder raises `Cancelled` once `stop` is set."""
        with self.use() as library:
            switched = library.has_other_model()
        if switched:
            self.refresh()
        with self.use() as library, library.encoder.cancelled_by(stop):
            yield library

    def refresh(self) -> None:
        """Open the library again if it is stale. Raises what opening it raises."""
        with self._refreshing:
            old = self._current
            if not old.is_stale():
                return
            started = time.monotonic()
            encoder = old.encoder if old.has_model else None
            new = OpenLibrary(self._path, self._create, encoder)
            self._refreshed = time.monotonic()
            self._refresh_seconds = self._refreshed - started
            with self._lock:
                self._current = new
                unused = not self._users.get(old, 0)
            if unused:
                self._discard(old)

    def close(self) -> None:
        """Stop the watcher and close the files; running calls fail."""
        self._closing.set()
        self._watcher.join()
        self._discard(self._current)
        if self._current.has_model:
            self._current.encoder.close()

    def _discard(self, library: OpenLibrary) -> None:
        with self._lock:
            self._users.pop(library, None)
        library.close()
        if library is not self._current and library.has_model:
            current = self._current
            if not current.has_model or current.encoder is not library.encoder:
                library.encoder.close()

    def _watch(self) -> None:
        while not self._closing.wait(POLL_SECONDS):
            if time.monotonic() < self._refreshed + REFRESH_PAUSE * self._refresh_seconds:
                continue
            try:
                self.refresh()
                self.problem = None
            except ClipsightError as error:
                self.problem = str(error)


def _encoder_of(model: Model, create: EncoderFactory, encoder: SharedEncoder | None) -> SharedEncoder:
    """`encoder` if it has this model, or a new one, with its text tower loaded."""
    if encoder is not None and encoder.folder.fingerprint() == model.fingerprint:
        return encoder
    new = create(model_selection.model_folder(model))
    try:
        new.encode_texts(["warm-up"])  # so that the first search is not slower
    except BaseException:
        new.close()
        raise
    return new


def _no_photo(photo_id: int) -> NotFoundError:
    return NotFoundError(f"the library has no photo {photo_id} (any more): search again")
