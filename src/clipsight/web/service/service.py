"""The operations of the server, which the page and the API share; safe to call from any thread.

    with Service(library_folder, roots=[Path.home() / "Pictures"]) as service:
        for match in service.search("flower + 2:bee - cartoon"):
            service.thumbnail(match.id, 320).data

No method takes a path: photos and folders are named by the ids of earlier results. Errors are the
`ClipsightError`s of the library.

Calls with `stop` (anything with `is_set()`, such as a `threading.Event`) raise `Cancelled` soon after it is
set, for clients that have disconnected. Encoding is batched over all callers; as many threads as there are
cores decode photos. Indexing runs in a process of its own with the lowest priority; searches find what it has
embedded some seconds later.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from clipsight.classification.prompts import load_templates
from clipsight.core import paths
from clipsight.core.arrays import Float32
from clipsight.core.errors import ClipsightError, LabelError, LibraryError, ModelError
from clipsight.library import Library
from clipsight.models.encoder import Cancelled, Stop
from clipsight.search.options import DEFAULT_OPTIONS, SearchOptions
from clipsight.search.results import Matches, Status
from clipsight.store.cache import BlobCache
from clipsight.store.labels import LabelCount
from clipsight.store.records import State
from clipsight.web.scheduling.priority import Lane, PrioritySemaphore
from clipsight.web.scheduling.shared_encoder import SharedEncoder
from clipsight.web.service import pictures, thumbnails
from clipsight.web.service.classification import classify_photos, iter_embeddings, upload_embeddings
from clipsight.web.service.folders import Folders, folder_id
from clipsight.web.service.index_process import IndexTask
from clipsight.web.service.jobs import Jobs
from clipsight.web.service.payloads import (
    FailedFile,
    Folder,
    Health,
    Job,
    PhotoDetails,
    PhotoFile,
    Thumbnail,
)
from clipsight.web.service.query_parts import (
    PhotoPart,
    QueryPart,
    TextPart,
    UploadPart,
    parse_query,
    to_query,
)
from clipsight.web.service.snapshots import CurrentLibrary, OpenLibrary

if TYPE_CHECKING:
    from clipsight.classification.zero_shot import Classification
    from clipsight.explain.base import Explanation
    from clipsight.models.registry import ModelStatus


THUMBNAIL_SIZES = thumbnails.SIZES
"""Pixels of the longer side; other sizes are rounded up."""

TEMPLATE_SETS = ("plain", "simple", "imagenet")


class Service:
    """The operations of a server for one library (default: the user's own).

    `roots` are the folders that may be indexed, with everything below them, beside those that are indexed
    already. A library without a model can be opened: `search` raises `NoModelError` until the first indexing
    run has chosen one. Raises `LibraryError`, and `ModelError` if the library's model can't be used.
    """

    def __init__(
        self,
        library: Path | None = None,
        *,
        roots: Sequence[Path] = (),
        device: str = "cpu",
        threads: int | None = None,
    ) -> None:
        self.library = library.expanduser() if library else paths.default_library()
        self._device, self._threads = device, threads
        self._folders = Folders(roots)
        self._semaphore = PrioritySemaphore(threads or os.cpu_count() or 1)
        make = partial(SharedEncoder, device=device, threads=threads, semaphore=self._semaphore)
        self._current = CurrentLibrary(self.library, make)
        self._jobs = Jobs(self._current.refresh)
        self._thumbnails = BlobCache(self.library / "thumbnails.sqlite3", max_bytes=thumbnails.MAX_BYTES)

    def close(self) -> None:
        """Stop indexing (what is embedded is kept), end all threads, close all files."""
        self._jobs.close()
        self._current.close()

    def __enter__(self) -> "Service":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- searching ------------------------------------------------------------------

    def search(
        self,
        query: str | Sequence[QueryPart],
        options: SearchOptions = DEFAULT_OPTIONS,
        *,
        folders: Sequence[str] = (),
        stop: Stop | None = None,
    ) -> Matches:
        """The photos that match best; as `Library.search`.

        `query` is words by the grammar ("flower + 2:bee - cartoon"), or parts: `TextPart`, `PhotoPart`,
        `UploadPart`. Photos of the library that are in the query are left out of the answer. `folders` are
        ids of `folders()`, added to those of `options`.
        """
        parts = parse_query(query) if isinstance(query, str) else tuple(query)
        with self._library(stop) as library:
            inside = tuple(map(os.fsdecode, self._paths(folders, library)))
            (matches,) = library.snapshot.match(
                [to_query(parts)],
                [self._embed(parts, library, stop)],
                options.updated(folders=inside),
                exclude=[{part.id for part in parts if isinstance(part, PhotoPart)}],
                comparing=self._comparing(stop),
            )
            return matches

    def classify(
        self,
        labels: Sequence[str],
        *,
        photos: Sequence[int] = (),
        pictures: Sequence[UploadPart] = (),
        folders: Sequence[str] = (),
        templates: str = "plain",
        extra_templates: Sequence[str] = (),
        unknown: bool = False,
        keep: bool = False,
        stop: Stop | None = None,
    ) -> "Classification":
        """Classify photos, given by id, as uploads, or by ids of `folders()`; by default the whole library.

        The result is a stream of `Prediction`s: iterate over it once. An upload has the id 0 and its name as
        `path`. `templates` is one of `TEMPLATE_SETS`; `extra_templates` are texts such as "a drawing of
        a {}."; `unknown` and `keep` are those of `Library.classify`.
        """
        if templates not in TEMPLATE_SETS:
            raise LabelError(f"no templates {templates[:40]!r}: choose {', '.join(TEMPLATE_SETS)}")
        with self._library(stop) as library:
            everything = not (photos or pictures or folders)
            inside = self._paths(folders, library)
            library.embedded_photos(photos[:1])  # raises for a wrong id before the stream starts
            uploads = upload_embeddings(
                [each.name for each in pictures], self._embed(pictures, library, stop)
            )
            chunks = iter_embeddings(
                self._current,
                library.model,
                uploads=uploads,
                photo_ids=photos,
                folders=inside if inside or everything else None,
                stop=stop,
            )
            chosen = load_templates(templates, extra_templates)
            return classify_photos(library, labels, chunks, chosen, unknown=unknown, keep=keep)

    def explain(
        self,
        query: str | Sequence[QueryPart],
        photo: int | UploadPart,
        *,
        method: str = "occlusion",
        word: str | None = None,
        stop: Stop | None = None,
    ) -> "Explanation":
        """Explain the score of a photo (by id, or uploaded): contributions of words, and a heat map.

        `word` limits the heat map to one word of the query. See `clipsight.explain`.
        """
        from clipsight.web.service.explanation import explain_photo

        parts = parse_query(query) if isinstance(query, str) else tuple(query)
        shown = PhotoPart(photo) if isinstance(photo, int) else photo
        with self._library(stop) as library:
            return explain_photo(library, parts, shown, method=method, word=word, stop=stop)

    def embed_texts(self, texts: Sequence[str], *, stop: Stop | None = None) -> Float32:
        """Unit vectors float32[n, dim] of the texts, which are not parsed as queries."""
        with self._library(stop) as library:
            return library.encoder.encode_texts(texts)

    def count_tokens(self, texts: Sequence[str]) -> int:
        """Number of tokens of all texts together."""
        with self._library(None) as library:
            return library.encoder.count_tokens(texts)

    def embed_pictures(self, pictures: Sequence[UploadPart], *, stop: Stop | None = None) -> Float32:
        """Unit vectors float32[n, dim] of uploaded pictures; weights are ignored."""
        with self._library(stop) as library:
            return self._embed(pictures, library, stop)

    # -- photos -----------------------------------------------------------------------

    def photo(self, photo_id: int, *, location: bool = False) -> PhotoDetails:
        """Metadata of a photo; `location` adds the coordinates."""
        with self._current.use() as library:
            kept, labels = library.photo(photo_id), library.labels_of(photo_id)
        known = kept.description
        return PhotoDetails(
            id=photo_id,
            path=Path(os.fsdecode(kept.path)),
            size=kept.size,
            width=known.width,
            height=known.height,
            format=known.format,
            taken=known.taken,
            taken_source=known.taken_source,
            camera=known.camera,
            reachable=kept.state is State.PRESENT,
            labels=labels,
            latitude=known.latitude if location else None,
            longitude=known.longitude if location else None,
        )

    def thumbnail(self, photo_id: int, size: int = 320, *, stop: Stop | None = None) -> Thumbnail:
        """An upright JPEG of at most `size` pixels a side (see `THUMBNAIL_SIZES`), without metadata.

        Cached on disk. Raises `NotFoundError` if the photo's file is gone or has changed.
        """
        shown = thumbnails.round_size(size)
        with self._current.use() as library:
            photo = library.photo(photo_id)
        tag = f"{photo_id}-{photo.mtime_ns:x}-{photo.size:x}-{shown}"
        key = tag.encode()
        jpeg = self._thumbnails.get([key]).get(key)
        if jpeg is None:
            with self._permit(self._semaphore.low, stop):
                jpeg = thumbnails.encode(pictures.open_photo(photo, min_side=shown), shown)
            self._thumbnails.put({key: jpeg})
        return Thumbnail(jpeg, tag)

    def photo_file(self, photo_id: int, *, original: bool = False, stop: Stop | None = None) -> PhotoFile:
        """The photo at full size as a JPEG without metadata; `original`: the file, byte for byte.

        The pixels of a JPEG are unchanged; other formats are encoded again.
        """
        with self._current.use() as library:
            photo = library.photo(photo_id)
        with self._permit(self._semaphore.normal, stop):
            return pictures.original_file(photo) if original else pictures.stripped_jpeg(photo)

    # -- the library --------------------------------------------------------------------

    def status(self) -> Status:
        """Folders, counts, failures, model and size on disk, as `Library.status`."""
        with Library.open(self.library) as library:
            return library.status()

    def health(self) -> Health:
        """Check the catalog and the model by using them."""
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
            )
            for root, counts in found
        ]

    def roots(self) -> list[Folder]:
        """The folders that may be indexed, with everything below them."""
        return list(self._folders.roots)

    def subfolders(self, folder: str) -> list[Folder]:
        """The subfolders of a folder of `roots()` or of an earlier result."""
        return self._folders.children(folder)

    def labels(self) -> list[LabelCount]:
        """The labels assigned to photos, the most frequent first."""
        with self._current.use() as library:
            return library.label_counts()

    def models(self) -> "list[ModelStatus]":
        """The models on disk or available for download; `model` is the one in use."""
        from clipsight.models import registry

        return registry.list_models()

    # -- indexing -------------------------------------------------------------------------

    def start_index(self, folders: Sequence[str] = (), *, model: str = "auto", retry: bool = False) -> Job:
        """Start indexing folders: ids of `folders()`, `roots()` or `subfolders()`; default: all `folders()`.

        `model`, a name of `models()`, switches the library to that model once all photos are embedded again;
        "auto" keeps the present one. Raises `BusyError` while another job is running.
        """
        if model not in ("auto", *(each.name for each in self.models())):
            raise ModelError(f"no model is called {model[:80]!r}: choose one of the list of models")
        with self._current.use() as library:
            paths_ = [os.fsdecode(path) for path in self._paths(folders, library)]
            if not paths_ and not library.catalog.roots():
                raise LibraryError("no folder has been indexed yet: choose one")
        task = IndexTask(str(self.library), tuple(paths_), model, retry, self._device, self._threads)
        named = ", ".join(Path(path).name or path for path in paths_) or "all folders"
        return self._jobs.start(task, named if model == "auto" else f"{named}, switching to {model}")

    def switch_model(self, name: str) -> Job:
        """Start embedding all photos again with another model; the old one is used until that is done."""
        return self.start_index(model=name)

    def job(self, job_id: str) -> Job:
        """The present state of a job."""
        return self._jobs.get(job_id)

    def jobs(self) -> list[Job]:
        """The jobs since the server started, the newest first."""
        return self._jobs.all()

    def watch(self, job_id: str) -> Iterator[Job]:
        """Yield the job now and after every change, until it has ended."""
        return self._jobs.watch(job_id)

    def stop_job(self, job_id: str) -> Job:
        """Ask a job to stop, which may take a second; what it has embedded is kept."""
        return self._jobs.stop(job_id)

    # -- internals ------------------------------------------------------------------------

    @property
    def model(self) -> str | None:
        """The name of the model in use; None before the first indexing run."""
        with self._current.use() as library:
            return library.model.name if library.has_model else None

    @contextmanager
    def _library(self, stop: Stop | None) -> Iterator[OpenLibrary]:
        """The current library; inside the block, its encoder raises `Cancelled` once `stop` is set."""
        with self._current.use() as library:
            switched = library.has_other_model()
        if switched:
            self._current.refresh()
        with self._current.use() as library, library.encoder.cancelled_by(stop):
            yield library

    @contextmanager
    def _permit(self, lane: Lane, stop: Stop | None) -> Iterator[None]:
        """Hold a permit for decoding or comparing; never call the encoder meanwhile, which needs one too."""
        with lane:
            if stop is not None and stop.is_set():
                raise Cancelled
            yield

    @contextmanager
    def _comparing(self, stop: Stop | None) -> Iterator[None]:
        """Hold a permit for comparing photos with one query, on one thread: more would only spin."""
        import faiss

        with self._permit(self._semaphore.high, stop):
            faiss.omp_set_num_threads(1)  # of this thread
            yield

    def _embed(self, parts: Sequence[QueryPart], library: OpenLibrary, stop: Stop | None) -> Float32:
        """Unit vectors, float32[parts, dim]."""
        encoder = library.encoder
        vectors = np.empty((len(parts), encoder.dim), np.float32)
        texts, ids, pixels = {}, {}, {}
        for index, part in enumerate(parts):
            match part:
                case TextPart(text):
                    texts[index] = text
                case PhotoPart(photo_id):
                    ids[index] = photo_id
                case UploadPart():
                    with self._permit(self._semaphore.normal, stop):
                        image = pictures.open_upload(part, min_side=max(encoder.input_size))
                        pixels[index] = encoder.preprocess(image)
        if ids:
            vectors[list(ids)] = [photo.vector for photo in library.embedded_photos(list(ids.values()))]
        if texts:
            vectors[list(texts)] = encoder.encode_texts(list(texts.values()))
        if pixels:
            vectors[list(pixels)] = encoder.encode_pixels(list(pixels.values()), stop=stop)
        return vectors

    def _paths(self, folders: Sequence[str], library: OpenLibrary) -> tuple[bytes, ...]:
        """The paths of the folders. Raises `NotFoundError`."""
        known = [root.path for root in library.catalog.roots()] if folders else []
        return tuple(self._folders.path(folder, known) for folder in folders)
