"""The library as the server's threads use it, kept up to date with what other processes write.

An `OpenLibrary` never changes once it is made: the catalog's connection serves all threads, the index and the
encoder are only read. When another process has written to the catalog, `CurrentLibrary` opens the library
anew beside the old one, which is closed after its last call.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt

from clipsight.core.errors import ClipsightError, LibraryError, NoModelError, NotFoundError
from clipsight.models.folder import ModelFolder
from clipsight.search import model_selection
from clipsight.search.session import Snapshot
from clipsight.store.catalog import CATALOG_NAME, Catalog
from clipsight.store.labels import LabelCount, count_labels, labels_of_photo
from clipsight.store.records import EmbeddedPhoto, Model, PhotoRecord
from clipsight.web.scheduling.shared_encoder import SharedEncoder

LOOK_SECONDS = 1.0
"""Seconds between two looks whether another process has written to the catalog."""

REST = 20
"""Seconds of rest for each second that opening the library took: searches must not starve while indexing
commits every second."""

Vectors = npt.NDArray[np.float32]

MakeEncoder = Callable[[ModelFolder], SharedEncoder]


class OpenLibrary:
    """The library in the folder `path` as it was when this was made; photos' own rows are always fresh.

    `encoder` is used again if it is of the library's model, else `make` makes one. Raises `LibraryError`, or
    `ModelError` if the model can't be used.
    """

    def __init__(self, path: Path, make: MakeEncoder, encoder: SharedEncoder | None = None) -> None:
        self.path = path
        self.catalog = Catalog(path)
        self._encoder: SharedEncoder | None = None
        self._snapshot: Snapshot | None = None
        try:
            self._version = self.catalog.data_version()  # before anything is read: what comes later is newer
            model = self.catalog.current_model()
            if model is not None:
                self._encoder = shared = _encoder_of(model, make, encoder)
                self._snapshot = Snapshot(path, self.catalog, model, lambda: shared)
                _ = self._snapshot.index  # opened now, so that the first search is as fast as any
        except BaseException:
            self.close()
            raise

    @property
    def snapshot(self) -> Snapshot:
        """Catalog, index and encoder for searches; raises `NoModelError` if the library has no model yet."""
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
        """Whether anything has been indexed, which chooses the model."""
        return self._snapshot is not None

    def is_stale(self) -> bool:
        """Whether another process has written to the catalog since."""
        return self.catalog.data_version() != self._version

    def is_of_other_model(self) -> bool:
        """Whether the library has been switched to another model since."""
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
        """The labels that classification gave the photo."""
        return labels_of_photo(self.catalog.database, self.model, photo_id) if self.has_model else ()

    def label_counts(self) -> list[LabelCount]:
        """The labels that photos have, and how many; none without a model."""
        return count_labels(self.catalog.database, self.model) if self.has_model else []

    def count_photos(self) -> int:
        """How many photos the library holds, unreachable ones included. Raises `LibraryError`."""
        if not (self.path / CATALOG_NAME).exists():
            raise LibraryError(f"the catalog in {self.path} is gone: put it back, or index again")
        counts = self.catalog.counts()
        return counts.present + counts.unreachable

    def close(self) -> None:
        """Close the catalog; the encoder is left to whom it belongs."""
        self.catalog.close()


class CurrentLibrary:
    """The library opened, and opened anew when it is stale; `use` it for one call each."""

    def __init__(self, path: Path, make: MakeEncoder) -> None:
        self._path, self._make = path, make
        self._lock = threading.Lock()
        self._making = threading.Lock()
        self._users: dict[OpenLibrary, int] = {}
        self._current = OpenLibrary(path, make)
        self._cost = 0.0
        self._made = 0.0
        self.problem: str | None = None
        """Why the last attempt to open the library anew failed; the old state serves on."""
        self._closing = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="clipsight-library", daemon=True)
        self._watcher.start()

    @contextmanager
    def use(self) -> Iterator[OpenLibrary]:
        """The library as it is now, which stays open until the block is left."""
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

    def refresh(self) -> None:
        """Open the library anew if it is stale; raises what opening it raises."""
        with self._making:
            old = self._current
            if not old.is_stale():
                return
            started = time.monotonic()
            encoder = old.encoder if old.has_model else None
            new = OpenLibrary(self._path, self._make, encoder)
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

    def _discard(self, library: OpenLibrary) -> None:
        with self._lock:
            self._users.pop(library, None)
        library.close()
        if library is not self._current and library.has_model:
            current = self._current
            if not current.has_model or current.encoder is not library.encoder:
                library.encoder.close()

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
    made = make(model_selection.model_folder(model))
    try:
        made.encode_texts(["warm"])  # loads the text tower, so that the first search is as fast as any
    except BaseException:
        made.close()
        raise
    return made


def _no_photo(photo_id: int) -> NotFoundError:
    return NotFoundError(f"the library has no photo {photo_id} (any more): search again")
