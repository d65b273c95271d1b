"""`Library`: one collection of indexed photos, and every operation on it."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

from clipsight.core import paths
from clipsight.core.arguments import MAX_THREADS, texts, whole_number
from clipsight.core.errors import LabelError, ModelError
from clipsight.core.progress import ProgressLike, StageProgressLike, as_progress, as_stage_progress
from clipsight.search.connection import Connection
from clipsight.search.options import DEFAULT_OPTIONS, SearchOptions
from clipsight.search.query import Query, QueryLike
from clipsight.search.results import Embeddings, Matches, Status
from clipsight.search.session import Optimized, absolute

if TYPE_CHECKING:
    from typing import Unpack

    from clipsight.classification.prompts import TemplateSet
    from clipsight.classification.zero_shot import Classification
    from clipsight.core.arrays import Float32
    from clipsight.encoder import Encoder
    from clipsight.explain.base import Explanation, Settings
    from clipsight.indexing.indexer import IndexKeywords
    from clipsight.indexing.media.picture import PhotoLike
    from clipsight.indexing.report import IndexReport, Observer
    from clipsight.maintenance.check import CheckReport
    from clipsight.models.folder import ModelFolder
    from clipsight.organize import OrganizeResult
    from clipsight.organize.labelling import OrganizeKeywords
    from clipsight.search.duplicates import DuplicateKeywords, Duplicates
    from clipsight.search.options import SearchKeywords
    from clipsight.search.text_matching import TextMatch
    from clipsight.store.vector_io import ImportReport

PathLike = str | os.PathLike[str]


class Library:
    """The collection of indexed photos in the folder `path` (default: the user's own), created if missing.

    `model` is any name that `clipsight models` lists, or a model folder. "auto" means the library's own
    model, or, for a new library, the recommended one if the hub answers within seconds, else the builtin one.
    Another model than the library's begins a switch: `index` embeds the photos again, and searches use the
    old vectors until it has finished. `device` is an ONNX Runtime device such as "cpu" or "cuda", `threads`
    the number of CPU threads (default: all cores). `note` is called with lines for the user, such as which
    model was chosen and why. Raises `LibraryError` or `ModelError`.

    Any number of threads may call one `Library` at the same time, also while one of them indexes. Several
    processes may open the same library, but can't share one object: after `os.fork`, open it again in the
    child. After `close`, every call raises `LibraryError`.
    """

    def __init__(
        self,
        path: PathLike | None = None,
        model: PathLike = "auto",
        *,
        device: str = "cpu",
        threads: int | None = None,
        note: Callable[[str], None] = lambda line: None,
    ) -> None:
        whole_number(threads, "threads", minimum=1, maximum=MAX_THREADS, error=ModelError)
        self.path, self.device, self.threads, self.note = paths.library_folder(path), device, threads, note
        self._connection = Connection(self.path, model, self._make_encoder, note, threads)

    @classmethod
    def open(
        cls,
        path: PathLike | None = None,
        model: PathLike = "auto",
        *,
        device: str = "cpu",
        threads: int | None = None,
        note: Callable[[str], None] = lambda line: None,
    ) -> "Library":
        """Open a library: the same as `Library(...)`."""
        return cls(path, model, device=device, threads=threads, note=note)

    def close(self) -> None:
        """Close the library's files. Calls of other threads fail from then on."""
        self._connection.close()

    def __repr__(self) -> str:
        return f"Library({os.fspath(self.path)!r})"

    def __enter__(self) -> "Library":
        self._connection.check()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def model(self) -> str:
        """Name of the model."""
        return self._opened.model.name

    def __len__(self) -> int:
        counts = self._opened.catalog.counts()
        return counts.present + counts.unreachable

    def index(
        self,
        *folders: PathLike,
        retry: bool = False,
        progress: "Observer | ProgressLike" = None,
        **changes: "Unpack[IndexKeywords]",
    ) -> "list[IndexReport]":
        """Bring `folders` (default: all that were indexed before) up to date.

        `changes` are applied to the folders' saved `IndexOptions`: with `text=True`, the text in photos is
        read after they have been embedded, which needs the extra `ocr`. `retry` tries failed files again.
        After an interruption, the next call continues. `progress` is True, tqdm, a function of (done, total)
        of each folder, or an `Observer`. A folder that can't be read is reported as unreachable if the
        library has photos of it; otherwise raises `LibraryError`.
        """
        return self._opened.index(folders, changes, retry=retry, progress=progress)

    def watch(
        self, *folders: PathLike, settle: float = 2.0, rescan: float = 60.0, stop: Event | None = None
    ) -> "Iterator[IndexReport]":
        """Index `folders` (default: all that were indexed before), and then files as they change.

        Yields the report of each run, until the event `stop` is set. A file is read once it has been as it is
        for `settle` seconds. Folders on network disks, whose changes the system does not tell, are looked
        through every `rescan` seconds. Raises as `index`, and `LibraryError` without watchfiles.
        """
        return self._opened.watch(folders, settle=settle, rescan=rescan, stop=stop or Event())

    def search(
        self,
        query: QueryLike,
        top: int | None = None,
        *,
        add: "PhotoLike | Iterable[PhotoLike]" = (),
        subtract: "PhotoLike | Iterable[PhotoLike]" = (),
        options: SearchOptions = DEFAULT_OPTIONS,
        **keywords: "Unpack[SearchKeywords]",
    ) -> Matches:
        """The photos that match best, ties by path; see `Query.parse` for the grammar.

        A query is text, a picture of any kind (see `PhotoLike`; paths as `Path`), or a vector, float[dim];
        `add` and `subtract` are further parts. `top` and `keywords` override fields of `options`:
        `search("dog", 5, sure=True)`. Query pictures that are files of the library are not in the result.
        Raises `QueryError`, `LabelError` or `LibraryError`.
        """
        parsed = Query.of(query, add=add, subtract=subtract)
        (matches,) = self.search_many([parsed], top, options=options, **keywords)
        return matches

    def search_many(
        self,
        queries: "QueryLike | Iterable[QueryLike]",
        top: int | None = None,
        *,
        options: SearchOptions = DEFAULT_OPTIONS,
        **keywords: "Unpack[SearchKeywords]",
    ) -> list[Matches]:
        """The matches of each query, in the order of the queries; faster than calling `search` for each.

        A single query counts as a list of one; the rows of an array float[n, dim] are vectors. Raises as
        `search`.
        """
        chosen = options.updated(**keywords, **({} if top is None else {"top": top}))
        return self._opened.snapshot.search(Query.several(queries), chosen)

    def classify(
        self,
        labels: Sequence[str],
        *photos: "PhotoLike | Iterable[PhotoLike]",
        templates: "TemplateSet | str" = "plain",
        unknown: bool = False,
        keep: bool = False,
    ) -> "Classification":
        """Classify `photos`, given as for `embed` (default: the whole library).

        `templates` is "plain" (labels as they are), another name that `prompts.load_templates` accepts, or a
        `TemplateSet`. `unknown` adds a label for photos that no label fits (see `search.confidence`). `keep`
        saves the best label of each photo of the library, for `search(labels=...)`. The result is computed
        while it is iterated over, once. Raises `LabelError`, and as `embed`.
        """
        from clipsight.classification.prompts import load_templates
        from clipsight.classification.zero_shot import classify_in

        labels = texts(labels, "labels", error=LabelError)
        chosen = load_templates(templates) if isinstance(templates, str) else templates
        opened = self._opened
        found = opened.embed(photos) if photos else opened.embed_indexed([])
        return classify_in(opened.snapshot, found, labels, chosen, unknown=unknown, keep=keep)

    def organize(
        self,
        folders: "PathLike | Iterable[PathLike]",
        destination: PathLike,
        **options: "Unpack[OrganizeKeywords]",
    ) -> "OrganizeResult":
        """Sort indexed photos by label, date or camera into folders of `destination`; photos are only read.

        `folders` are those of the photos (empty: the whole library), `options` the fields of
        `organize.OrganizeOptions`. `organize.undo` reverts it. Raises `LabelError` or `LibraryError`.
        """
        from clipsight.organize.labelling import OrganizeOptions, organize_indexed

        chosen = OrganizeOptions(**options)
        return organize_indexed(self._opened, self.classify, folders, destination, chosen)

    def explain(
        self,
        query: QueryLike,
        photo: "PhotoLike",
        *,
        add: "PhotoLike | Iterable[PhotoLike]" = (),
        subtract: "PhotoLike | Iterable[PhotoLike]" = (),
        method: str = "occlusion",
        word: str | None = None,
        region: bool = True,
        balance: bool = True,
        checkpoint: PathLike | None = None,
        settings: "Settings | None" = None,
        progress: StageProgressLike = None,
    ) -> "Explanation":
        """Explain a photo's score: the contribution of each part and word of the query, and a heat map.

        `method` is one of `explain.registry.METHODS`. `word` restricts the heat map to that word; with
        `region` false there is no heat map. `balance` is that of `search`, `settings` limit the cost. The
        photo need not be indexed. `checkpoint` (PyTorch weights, or a published model's name) is used in
        place of the library's model, without balance. Raises `QueryError`, `ModelError` or `PhotoError`.
        """
        from clipsight.explain.explanation import explain_in

        parsed = Query.of(query, add=add, subtract=subtract)
        options: dict[str, Any] = {"method": method, "word": word, "region": region, "settings": settings}
        with as_stage_progress(progress) as show:
            options["progress"] = None if progress is None else show
            return explain_in(self._opened, parsed, photo, checkpoint, balance=balance, **options)

    def duplicates(
        self,
        *folders: PathLike,
        progress: StageProgressLike = None,
        **options: "Unpack[DuplicateKeywords]",
    ) -> "Duplicates":
        """Groups of copies in and below `folders` (default: the whole library), with one of each to keep.

        `options` are the fields of `search.duplicates.DuplicateOptions`. Nothing is deleted. Raises
        `QueryError`, and `LibraryError` for a folder that was not indexed.
        """
        from clipsight.search.duplicates import DuplicateOptions, find_duplicates

        chosen, opened = DuplicateOptions(**options), self._opened
        inside = opened.snapshot.known_folders(folders)
        with as_stage_progress(progress) as show:
            return find_duplicates(opened.catalog, opened.model, inside, chosen, show)

    def match(
        self, photo: "PhotoLike", texts: PathLike, top: int = 5, *, progress: ProgressLike = None
    ) -> "list[TextMatch]":
        """The `top` lines of the file `texts` with the highest cosine with a photo.

        The photo need not be indexed. The vectors of the file's lines are cached. Raises `QueryError`,
        `LabelError`, and `LibraryError` if the vectors can't be written.
        """
        from clipsight.search.text_matching import embed_photo, match_texts

        whole_number(top, "top", minimum=1, required=True, error=LabelError)
        vector = embed_photo(photo, self.encoder)
        with as_progress(progress, "embedding texts") as show:
            return match_texts(vector, paths.expand(texts), self.encoder, top, progress=show)

    def optimize(self, progress: ProgressLike = None) -> Optimized:
        """Make searches of a large library faster by an approximate index; see `Snapshot.optimize`."""
        with as_progress(progress, "adding photos") as show:
            return self._opened.snapshot.optimize(show) if len(self) else Optimized(0, False)

    def embeddings(self, *folders: PathLike) -> Iterator[Embeddings]:
        """Yield all indexed photos in and below `folders` (default: the whole library) with their vectors.

        Photos come in chunks, so memory is bounded. Raises `LibraryError` for a folder that was not indexed.
        """
        return self._opened.embeddings(folders)

    def vectors(self, *folders: PathLike) -> "tuple[tuple[Path, ...], Float32]":
        """Paths and vectors, float32[n, dim] of unit length, of the photos in `folders` (default: all).

        Photos that are missing, or not yet embedded by the library's model, are left out. Raises
        `LibraryError` for a folder that was not indexed.
        """
        return self._opened.vectors(folders)

    def embed(self, *photos: "PhotoLike | Iterable[PhotoLike]") -> Iterator[Embeddings]:
        """Yield photos of any kind with their vectors, stored or embedded now, in chunks.

        A photo is a path, bytes, a Pillow image, an array of pixels or a vector (see `PhotoLike`); lists are
        flattened, and a folder means its indexed photos. Photos without a file are named "photo 1",
        "photo 2"... by position. Files that can't be read are in their chunk's `failures`. Nothing is added
        to the library. Raises `PhotoError` for arguments that are not photos, and `LibraryError` for a folder
        that has not been indexed.
        """
        return self._opened.embed(photos)

    def status(self) -> Status:
        """Folders, counts, failures with reasons, model, and size on disk."""
        return Status.of(self.path, self._opened.catalog)

    def forget(self, folder: PathLike) -> int:
        """Remove `folder` from the library and return the number of its photos; files are not touched.

        Raises `LibraryError` for a folder of which the library has nothing.
        """
        return self._opened.forget_folder(absolute(folder))

    def export(self, file: PathLike) -> int:
        """Write `paths` and `vectors`, float16[n, dim], to a .npz or .parquet file; return n.

        Raises `LibraryError`.
        """
        from clipsight.store.vector_io import export_vectors

        return export_vectors(self._opened.catalog, self._opened.model, paths.expand(file))

    def import_(self, file: PathLike) -> "ImportReport":
        """Add vectors computed elsewhere: .npz, .parquet, or a folder written by clip-retrieval.

        They must be of this library's model, which is checked if the file names its model. Raises
        `LibraryError`.
        """
        return self._opened.import_vectors(paths.expand(file))

    @property
    def encoder(self) -> "Encoder":
        """Encoder of the model, loaded on first use."""
        return self._opened.encoder

    @staticmethod
    def check(
        path: PathLike | None = None,
        *,
        photos: int = 0,
        repair: bool = False,
        progress: StageProgressLike = None,
    ) -> "CheckReport":
        """Check the library in the folder `path` (default: the user's own); see `maintenance.check`.

        `photos` indexed photos, chosen at random, are read and embedded again. `repair` repairs the problems
        found. Raises `LibraryError` or `ModelError`.
        """
        from clipsight.maintenance.check import check

        with as_stage_progress(progress) as show:
            return check(paths.library_folder(path), photos=photos, repair=repair, progress=show)

    def backup(self, file: PathLike, *, replace: bool = False) -> int:
        """Write the catalog to `file`, atomically; return the number of its photos.

        Other processes may read and write the library meanwhile. Raises `LibraryError`, also if the file
        exists and `replace` is false.
        """
        from clipsight.maintenance.backup import backup

        return backup(self._opened.folder, paths.expand(file), replace=replace)

    @staticmethod
    def restore(file: PathLike, path: PathLike | None = None, *, replace: bool = False) -> Path | None:
        """Replace the catalog of the library in `path` by a backup; return the path of the old one, if any.

        Raises `LibraryError`, also if the library has photos and `replace` is false.
        """
        from clipsight.maintenance.backup import restore

        return restore(paths.expand(file), paths.library_folder(path), replace=replace)

    def _make_encoder(self, folder: "ModelFolder") -> "Encoder":
        from clipsight.encoder import Encoder

        return Encoder(folder, device=self.device, threads=self.threads)

    @property
    def _opened(self) -> "Connection[Encoder]":
        """The library's connection. Raises `LibraryError` after `close` or `os.fork`."""
        self._connection.check()
        return self._connection
