"""The operations of the server, which the page and the API share; safe to call from any thread.

    with Service(library_folder, roots=[Path.home() / "Pictures"]) as service:
        for match in service.search("flower + 2:bee - cartoon"):
            service.photos.thumbnail(match.id, 320).data

No method takes a path: photos and folders are named by the ids of earlier results. Errors are the
`ClipsightError`s of the library.

Calls with `stop` (anything with `is_set()`, such as a `threading.Event`) raise `Cancelled` soon after it is
set, for clients that have disconnected. The encoder batches the calls of all threads; at most as many
threads as there are cores compute at once. Indexing runs in a process of the lowest priority; searches find
its photos a few seconds after they have been embedded.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from clipsight.classification.prompts import load_templates
from clipsight.classification.zero_shot import classify_in
from clipsight.core import paths
from clipsight.core.arrays import Float32
from clipsight.core.errors import LabelError, NoModelError
from clipsight.models.encoder import Stop
from clipsight.search.options import DEFAULT_OPTIONS, SearchOptions
from clipsight.search.results import Matches
from clipsight.store.filters import EVERYTHING, Filters
from clipsight.store.records import EmbeddedPhoto
from clipsight.web.scheduling.priority import PrioritySemaphore
from clipsight.web.scheduling.shared_encoder import SharedEncoder
from clipsight.web.service import pictures
from clipsight.web.service.classification import iter_embeddings, upload_embeddings
from clipsight.web.service.folders import Folders
from clipsight.web.service.indexing import Indexing
from clipsight.web.service.library import LibraryInfo
from clipsight.web.service.payloads import ListedPhoto, Listing
from clipsight.web.service.photos import Photos
from clipsight.web.service.query_parts import (
    GivenPart,
    KeptPart,
    PhotoPart,
    PrintedPart,
    QueryPart,
    TextPart,
    UploadPart,
    parse_query,
    to_query,
)
from clipsight.web.service.snapshots import CurrentLibrary, OpenLibrary
from clipsight.web.service.uploads import Uploads

if TYPE_CHECKING:
    from clipsight.classification.zero_shot import Classification
    from clipsight.explain.base import Explanation

TEMPLATE_SETS = ("plain", "simple", "imagenet")


class Service:
    """The operations of a server for one library (default: the user's own).

    `roots` are the folders that may be indexed, with everything below them, in addition to those that are
    indexed already. A library without a model can be opened: `search` raises `NoModelError` until the first
    indexing run has chosen one. Raises `LibraryError`, and `ModelError` if the library's model can't be used.
    """

    def __init__(
        self,
        library: Path | None = None,
        *,
        roots: Sequence[Path] = (),
        device: str = "cpu",
        threads: int | None = None,
    ) -> None:
        self.path = paths.library_folder(library)
        self._semaphore = PrioritySemaphore(threads or os.cpu_count() or 1)
        create = partial(SharedEncoder, device=device, threads=threads, semaphore=self._semaphore)
        self.folders = Folders(roots)
        self._current = CurrentLibrary(self.path, create)
        self.library = LibraryInfo(self._current, self.path)
        self.photos = Photos(self._current, self._semaphore, self.path)
        self.uploads = Uploads(self.path, self._semaphore)
        self.indexing = Indexing(self.path, self._current, self.folders, device, threads)

    def close(self) -> None:
        """Stop indexing (what is embedded is kept), end all threads, close all files."""
        self.indexing.close()
        self._current.close()

    def __enter__(self) -> "Service":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def search(
        self,
        query: str | Sequence[GivenPart],
        options: SearchOptions = DEFAULT_OPTIONS,
        *,
        folders: Sequence[str] = (),
        stop: Stop | None = None,
    ) -> Matches:
        """The photos that match best, as `Library.search` returns them.

        `query` is words by the grammar ("flower + 2:bee - cartoon"), or parts: `TextPart`, `PrintedPart`,
        `PhotoPart`, `UploadPart`, `KeptPart`. Photos of the library that are in the query are not in the
        results. `folders` are ids of `library.folders()`, added to those of `options`.
        """
        parts = self._parts(query)
        with self._current.use_encoder(stop) as library:
            inside = tuple(map(os.fsdecode, self.folders.paths(folders, library.catalog)))
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
        pictures: Sequence[UploadPart | KeptPart] = (),
        folders: Sequence[str] = (),
        templates: str = "plain",
        extra_templates: Sequence[str] = (),
        unknown: bool = False,
        keep: bool = False,
        stop: Stop | None = None,
    ) -> "Classification":
        """Classify photos by id, uploads, and all photos in folders (ids of `library.folders()`).

        Without any of these, all photos of the library. The result is a stream of `Prediction`s: iterate over
        it once. An upload has the id 0 and its name as `path`. `templates` is one of `TEMPLATE_SETS`;
        `extra_templates` are texts such as "a drawing of a {}."; `unknown` and `keep` are those of
        `Library.classify`.
        """
        if templates not in TEMPLATE_SETS:
            raise LabelError(f"no templates {templates[:40]!r}: choose {', '.join(TEMPLATE_SETS)}")
        with self._current.use_encoder(stop) as library:
            everything = not (photos or pictures or folders)
            inside = self.folders.paths(folders, library.catalog)
            library.embedded_photos(photos[:1])  # raises for a wrong id before the stream starts
            uploads = upload_embeddings(
                [each.name for each in pictures], self._embed(self._parts(pictures), library, stop)
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
            return classify_in(library.snapshot, chunks, labels, chosen, unknown=unknown, keep=keep)

    def explain(
        self,
        query: str | Sequence[GivenPart],
        photo: int | UploadPart | KeptPart,
        *,
        method: str = "occlusion",
        word: str | None = None,
        stop: Stop | None = None,
    ) -> "Explanation":
        """Explain the score of a photo (by id, or uploaded): contributions of words, and a heat map.

        `word` limits the heat map to one word of the query. See `clipsight.explain`.
        """
        from clipsight.web.service.explanation import explain_photo

        parts = self._parts(query)
        shown = PhotoPart(photo) if isinstance(photo, int) else self._resolve(photo)
        assert not isinstance(shown, TextPart | PrintedPart)
        with self._current.use_encoder(stop) as library:
            return explain_photo(library, parts, shown, method=method, word=word, stop=stop)

    def embed_texts(self, texts: Sequence[str], *, stop: Stop | None = None) -> Float32:
        """Unit vectors float32[n, dim] of the texts, which are not parsed as queries."""
        with self._current.use_encoder(stop) as library:
            return library.encoder.encode_texts(texts)

    def count_tokens(self, texts: Sequence[str]) -> int:
        """Number of tokens of all texts together."""
        with self._current.use_encoder(None) as library:
            return library.encoder.count_tokens(texts)

    def embed_pictures(self, pictures: Sequence[UploadPart], *, stop: Stop | None = None) -> Float32:
        """Unit vectors float32[n, dim] of uploaded pictures; weights are ignored."""
        with self._current.use_encoder(stop) as library:
            return self._embed(pictures, library, stop)

    def browse(
        self,
        filters: Filters = EVERYTHING,
        *,
        folders: Sequence[str] = (),
        top: int = 100,
        offset: int = 0,
        duplicates: bool = False,
    ) -> Listing:
        """The photos that pass the filters, newest first; `folders` as for `search`.

        None before anything is indexed.
        """
        with suppress(NoModelError), self._current.use_encoder(None) as library:
            inside = tuple(map(os.fsdecode, self.folders.paths(folders, library.catalog)))
            chosen = replace(filters, folders=(*filters.folders, *inside))
            listed = library.snapshot.listing(chosen, duplicates=duplicates)
            page = listed[offset : offset + top].tolist()
            found = {photo.vector_id: photo for photo in library.catalog.embedded_photos(page)}
            photos = [found[vector_id] for vector_id in page if vector_id in found]
            return Listing(tuple(map(_listed, photos)), len(listed))
        return Listing((), 0)

    def forget(self, folder: str) -> int:
        """Drop an indexed folder, by its id, from the library and return the number of its photos.

        Files are not touched. Raises `BusyError` while indexing, and `NotFoundError`.
        """
        self.indexing.refuse_if_running()
        with self._current.use() as library:
            path = self.folders.indexed(folder, library.catalog)
        return self.library.forget(path)

    def _parts(self, query: str | Sequence[GivenPart]) -> tuple[QueryPart, ...]:
        return parse_query(query) if isinstance(query, str) else tuple(map(self._resolve, query))

    def _resolve(self, part: GivenPart) -> QueryPart:
        """The part with its picture, if that was uploaded before."""
        if isinstance(part, KeptPart):
            return UploadPart(self.uploads.get(part.id), part.name, part.weight)
        return part

    @contextmanager
    def _comparing(self, stop: Stop | None) -> Iterator[None]:
        """Hold a permit for comparing photos with a query, on one thread: more would only busy-wait."""
        import faiss

        with self._semaphore.high.permit(stop):
            faiss.omp_set_num_threads(1)  # for calls from this thread
            yield

    def _embed(self, parts: Sequence[QueryPart], library: OpenLibrary, stop: Stop | None) -> Float32:
        """Unit vectors, float32[parts, dim]."""
        encoder = library.encoder
        vectors = np.empty((len(parts), encoder.dim), np.float32)
        texts, ids, pixels = {}, {}, {}
        for index, part in enumerate(parts):
            match part:
                case TextPart(text) | PrintedPart(text):
                    texts[index] = text
                case PhotoPart(photo_id):
                    ids[index] = photo_id
                case UploadPart():
                    with self._semaphore.normal.permit(stop):
                        image = pictures.open_upload(part, min_side=max(encoder.input_size))
                        pixels[index] = encoder.preprocess(image)
        if ids:
            vectors[list(ids)] = [photo.vector for photo in library.embedded_photos(list(ids.values()))]
        if texts:
            vectors[list(texts)] = encoder.encode_texts(list(texts.values()))
        if pixels:
            vectors[list(pixels)] = encoder.encode_pixels(list(pixels.values()), stop=stop)
        return vectors


def _listed(photo: EmbeddedPhoto) -> ListedPhoto:
    info = photo.info
    path = Path(os.fsdecode(photo.path))
    return ListedPhoto(photo.photo_id, path, info.width, info.height, info.taken, info.taken_source)
