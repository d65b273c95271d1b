"""An open library: its catalog, model, encoder and current snapshot, shared by all threads of the process."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from threading import Event, Lock, RLock
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np

from clipsight.core.arrays import Float32
from clipsight.core.cached_property import clear_cached, locked_cached_property
from clipsight.core.errors import LibraryError, ModelError
from clipsight.indexing.media.picture import folders_and_pictures
from clipsight.search import model_selection
from clipsight.search.embeddings import embed_photos, failures_below, stored_embeddings
from clipsight.search.results import Embeddings
from clipsight.search.session import Snapshot, absolute
from clipsight.store.catalog import Catalog
from clipsight.store.records import Model

if TYPE_CHECKING:
    from clipsight.core.progress import ProgressLike
    from clipsight.indexing.indexer import IndexKeywords
    from clipsight.indexing.media.picture import PhotoLike
    from clipsight.indexing.report import IndexReport, Observer
    from clipsight.models.encoder import Encoder
    from clipsight.models.folder import ModelFolder
    from clipsight.models.ocr import TextReader
    from clipsight.store.vector_io import ImportReport

MAX_READERS = 8
"""Threads that read text at most: each takes some hundred megabytes."""

AnyEncoder = TypeVar("AnyEncoder", bound="Encoder")


class Connection(Generic[AnyEncoder]):
    """The library in `folder`, created if missing; any number of threads may use it at the same time.

    `wanted` is the name of the model, or "auto" (see `model_selection`); `make_encoder` loads a model.
    `threads` read text, by default one for each core. Raises `LibraryError`, and `ModelError` for an unknown
    name.
    """

    def __init__(
        self,
        folder: Path,
        wanted: "str | os.PathLike[str]",
        make_encoder: "Callable[[ModelFolder], AnyEncoder]",
        note: Callable[[str], None],
        threads: int | None = None,
    ) -> None:
        self.folder, self.note, self._threads = folder, note, threads
        self._wanted, self._make_encoder = wanted, make_encoder
        self._process = os.getpid()
        self._closed = False
        self._lock = RLock()
        self._indexing = Lock()  # the catalog's connection has one queue of files
        self.catalog = Catalog(folder)
        if wanted != "auto":
            _ = self.model

    def check(self) -> None:
        """Raise `LibraryError` after `close`, and in a process forked after the library was opened."""
        if self._process != os.getpid():
            raise LibraryError(
                f"the library in {self.folder} was opened before this process was forked: "
                "open it again here, with Library.open"
            )
        if self._closed:
            raise LibraryError(f"the library in {self.folder} is closed: open it again, with Library.open")

    def close(self) -> None:
        """Close the library's files; calls of other threads fail from then on."""
        self._closed = True
        self.catalog.close()

    @locked_cached_property
    def model(self) -> Model:
        """The model, chosen on first use."""
        return model_selection.choose_model(self.catalog, self._wanted, self.note)

    @locked_cached_property
    def encoder(self) -> AnyEncoder:
        """The encoder of the model, loaded on first use."""
        return self._make_encoder(model_selection.model_folder(self.model))

    @locked_cached_property
    def text_reader(self) -> "TextReader":
        """The reader of text in photos, loaded on first use. Raises `ModelError` without the extra `ocr`."""
        from clipsight.models.ocr import TextReader

        return TextReader()

    @locked_cached_property
    def snapshot(self) -> Snapshot:
        """The snapshot that searches use until the library changes."""
        return Snapshot(self.folder, self.catalog, self.model, lambda: self.encoder)

    def index(
        self,
        folders: "Sequence[str | os.PathLike[str]]",
        changes: "IndexKeywords",
        *,
        retry: bool = False,
        settle: float | None = None,
        progress: "Observer | ProgressLike" = None,
    ) -> "list[IndexReport]":
        """Index `folders` (default: those indexed before), one thread at a time; see `Library.index`.

        With `settle`, files changed in the last `settle` seconds are left for a later run.
        """
        from clipsight.indexing.indexer import IndexOptions, index_folders

        IndexOptions().updated(changes)  # raises before a model is chosen, or downloaded
        if changes.get("text"):
            _ = self.text_reader
        with self._indexing:
            roots = self._roots(folders)  # before a model is chosen, or downloaded
            self._renew_builtin()
            if self.model != self.catalog.current_model():
                self.catalog.begin_switch(self.model)
            sources = (self.catalog, self.model, lambda: self.encoder)
            reports = index_folders(roots, *sources, changes, retry=retry, settle=settle, progress=progress)
            model_selection.finish_switch(self.catalog, self.model, self.folder / "vectors", self.note)
            if any(report.changed for report in reports):
                self._changed()
                self.snapshot.index.compact()
            return self._read_texts(roots, reports, changes, retry=retry, progress=progress)

    def _read_texts(
        self,
        roots: Sequence[bytes],
        reports: "list[IndexReport]",
        changes: "IndexKeywords",
        *,
        retry: bool,
        progress: "Observer | ProgressLike",
    ) -> "list[IndexReport]":
        """Read the text in photos of the folders that are kept so; without the extra, `note` is called."""
        from clipsight.indexing.indexer import read_folders
        from clipsight.models.encoder import usable_cores

        threads = min(self._threads or usable_cores(), MAX_READERS)
        sources = (self.catalog, lambda: self.text_reader.load())
        try:
            return read_folders(roots, reports, *sources, threads=threads, retry=retry, progress=progress)
        except ModelError as error:
            if changes.get("text"):
                raise
            self.note(str(error))
            return reports

    def watch(
        self,
        folders: "Sequence[str | os.PathLike[str]]",
        *,
        settle: float,
        rescan: float,
        stop: Event,
    ) -> "Iterator[IndexReport]":
        """Index `folders` (default: those indexed before) as they change; see `Library.watch`."""
        from clipsight.indexing.report import IndexReport
        from clipsight.indexing.watch import changed_paths, check_times, is_remote, watch

        check_times(settle, rescan)
        roots = self._roots(folders)

        def index(root: bytes) -> IndexReport:
            name = os.fsdecode(root)
            if not os.path.isdir(root) and not self.catalog.has_folder(root):
                return IndexReport(name, problems=(f"{name}: no such folder",))
            (report,) = self.index([name], {}, settle=settle)
            return report

        ticks = changed_paths(roots, stop, settle, self.note)
        return watch(roots, index, ticks, rescan=rescan, remote=is_remote)

    def _roots(self, folders: "Sequence[str | os.PathLike[str]]") -> list[bytes]:
        """The folders to index, by default those indexed before. Raises `LibraryError` for an invalid one."""
        from clipsight.indexing.indexer import check_folders

        roots = [absolute(folder) for folder in folders] or [root.path for root in self.catalog.roots()]
        check_folders(roots, self.catalog)
        return roots

    def _renew_builtin(self) -> None:
        """Replace an earlier edition of the builtin model by the current one; call `note` once about it."""
        if not model_selection.is_outdated(self.model):
            return
        self._wanted = self.model.source
        for name in ("model", "encoder", "snapshot"):
            clear_cached(self, name)
        if self.catalog.next_model() != self.model:
            self.note("the builtin model of this clipsight is a newer edition: photos are embedded again")

    def embeddings(self, folders: "Sequence[str | os.PathLike[str]]") -> Iterator[Embeddings]:
        """Yield the indexed photos in and below `folders` (default: all); see `Library.embeddings`."""
        return stored_embeddings(self.catalog, self.model, self.snapshot.known_folders(folders) or None)

    def vectors(self, folders: "Sequence[str | os.PathLike[str]]") -> tuple[tuple[Path, ...], Float32]:
        """Paths and vectors of the indexed photos, float32[n, dim]; see `Library.vectors`."""
        chunks = list(self.embeddings(folders))
        paths = tuple(path for chunk in chunks for path in chunk.paths)
        return paths, np.concatenate(
            [np.empty((0, self.model.dim), np.float32), *(c.vectors for c in chunks)]
        )

    def embed(self, photos: "Iterable[PhotoLike | Iterable[PhotoLike]]") -> Iterator[Embeddings]:
        """Yield photos with their vectors, those of folders last; see `Library.embed`."""
        folders, pictures = folders_and_pictures(photos)
        single = embed_photos(pictures, self.catalog, self.model, lambda: self.encoder)
        return chain(single, self.embed_indexed(folders)) if folders else single

    def embed_indexed(self, folders: "Sequence[str | os.PathLike[str]]") -> Iterator[Embeddings]:
        """As `embeddings`, with a last chunk of the files in `folders` that could not be read."""
        failures = failures_below(self.snapshot.known_folders(folders), self.catalog.failures())
        return chain(self.embeddings(folders), [failures])

    def forget_folder(self, folder: bytes) -> int:
        """Remove a folder and return the number of its photos. Raises `LibraryError` if it is unknown."""
        folder = self.catalog.stored_form(folder)
        if not self.catalog.has_folder(folder):
            raise LibraryError(f"the library knows nothing of {os.fsdecode(folder)}: see clipsight status")
        count = self.catalog.forget(folder)
        self._changed()
        return count

    def import_vectors(self, file: Path) -> "ImportReport":
        """Add the vectors of a file; see `store.vector_io`."""
        from clipsight.store.vector_io import import_vectors

        try:
            return import_vectors(self.catalog, self.model, file)
        finally:
            self._changed()

    def _changed(self) -> None:
        """Let later searches see what has been written: drop the snapshot."""
        clear_cached(self, "snapshot")
