"""The library as a whole: status, health, failures, folders, labels and models."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from clipsight.core.errors import ClipsightError
from clipsight.indexing.indexer import IndexOptions
from clipsight.library import Library
from clipsight.search.results import Status
from clipsight.store.filters import values_of
from clipsight.store.labels import LabelCount, give_label, take_label
from clipsight.store.records import PartialPhoto
from clipsight.web.service.folders import folder_id
from clipsight.web.service.payloads import FailedFile, FilterValues, Folder, Health
from clipsight.web.service.snapshots import CurrentLibrary

if TYPE_CHECKING:
    from clipsight.models.registry import ModelStatus


class LibraryInfo:
    """Facts about the current library, which is in the folder `path`."""

    def __init__(self, current: CurrentLibrary, path: Path) -> None:
        self._current, self._path = current, path

    @property
    def model(self) -> str | None:
        """The name of the model in use; None before the first indexing run."""
        with self._current.use() as library:
            return library.model.name if library.has_model else None

    def status(self) -> Status:
        """Folders, counts, failures, model and size on disk, as `Library.status`."""
        with Library.open(self._path) as library:
            return library.status()

    def health(self) -> Health:
        """Check that the catalog and the model can be used."""
        problems = [self._current.problem] if self._current.problem else []
        photos, model = None, None
        try:
            with self._current.use() as library:
                photos = library.count_photos()
                if library.has_model:
                    model = library.model.name
                    library.encoder.check()
        except ClipsightError as error:
            problems.append(str(error))
        return Health(not problems, photos, model, tuple(problems))

    def failures(self, offset: int = 0, limit: int = 100) -> list[FailedFile]:
        """Files that could not be read, ordered by path."""
        with self._current.use() as library:
            found = library.catalog.failures()[offset : offset + limit]
        return [FailedFile(Path(os.fsdecode(each.path)), each.reason, each.date) for each in found]

    def partial_photos(self, offset: int = 0, limit: int = 100) -> list[PartialPhoto]:
        """Photos of which only a part could be read, ordered by path."""
        with self._current.use() as library:
            return library.catalog.partial_photos()[offset : offset + limit]

    def folders(self) -> list[Folder]:
        """The indexed folders."""
        with self._current.use() as library:
            found = [(root, library.catalog.counts(root.path)) for root in library.catalog.roots()]
        return [
            Folder(
                folder_id(root.path),
                Path(os.fsdecode(root.path)),
                photos=counts.present + counts.unreachable,
                unreachable=counts.unreachable,
                indexed=root.indexed,
                exclude=IndexOptions.from_json(root.options).exclude,
            )
            for root, counts in found
        ]

    def labels(self) -> list[LabelCount]:
        """The labels assigned to photos, the most frequent first."""
        with self._current.use() as library:
            return library.label_counts()

    def give_label(self, label: str, photos: Sequence[int]) -> int:
        """Give photos a label by hand; returns the number of photos that did not have it."""
        with self._current.use() as library:
            return give_label(library.catalog.database, library.model, label, photos)

    def take_label(self, label: str, photos: Sequence[int]) -> int:
        """Take a label from photos; returns the number of photos that had it."""
        with self._current.use() as library:
            return take_label(library.catalog.database, library.model, label, photos)

    def filter_values(self) -> FilterValues:
        """Cameras and formats that photos have."""
        with self._current.use() as library:
            database = library.catalog.database
            return FilterValues(tuple(values_of(database, "camera")), tuple(values_of(database, "format")))

    def forget(self, folder: bytes) -> int:
        """Drop a folder from the library and return the number of its photos; files are not touched."""
        with Library.open(self._path) as library:
            dropped = library.forget(os.fsdecode(folder))
        self._current.refresh()
        return dropped

    def backup(self, file: Path) -> None:
        """Write the catalog to `file`, which `clipsight restore` takes."""
        with Library.open(self._path) as library:
            library.backup(file)

    def models(self) -> "list[ModelStatus]":
        """The models on disk or available for download; `model` is the one in use."""
        from clipsight.models import registry

        return registry.list_models()
