"""Library: one collection of indexed photos, and everything that can be asked of it."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clipsight.core import paths
from clipsight.core.errors import LibraryError
from clipsight.search import model_selection
from clipsight.search.options import DEFAULT_OPTIONS, SearchOptions
from clipsight.search.query import Query
from clipsight.search.results import Embeddings, Matches, Status
from clipsight.search.session import Snapshot, absolute
from clipsight.store.catalog import Catalog
from clipsight.store.records import Model

if TYPE_CHECKING:
    from typing import Unpack

    from clipsight.classification.prompts import TemplateSet
    from clipsight.classification.zero_shot import Classification
    from clipsight.core.progress import Progress
    from clipsight.explain.base import Explanation, Settings
    from clipsight.indexing.indexer import IndexReport, Observer
    from clipsight.models.encoder import Encoder
    from clipsight.search.options import SearchKeywords
    from clipsight.search.text_matching import TextMatch
    from clipsight.store.vector_io import ImportReport

PathLike = str | os.PathLike[str]


@dataclass(frozen=True, slots=True)
class Optimized:
    """What `Library.optimize` leaves: how many photos the index holds, and whether it is approximate."""

    photos: int
    approximate: bool


@dataclass
class Library:
    """A collection of indexed photos; make one with `Library.open`.

    Not for use from several threads at once; several processes may open the same library.
    """

    path: Path
    device: str = "cpu"
    threads: int | None = None
    note: Callable[[str], None] = lambda line: None
    """Called with lines that a person should see, such as which model was chosen and why."""
    _wanted: str = field(default="auto", repr=False)
    _catalog: Catalog = field(init=False, repr=False)

    @classmethod
    def open(
        cls,
        path: PathLike | None = None,
        model: str = "auto",
        *,
        device: str = "cpu",
        threads: int | None = None,
        note: Callable[[str], None] = lambda line: None,
    ) -> "Library":
        """Open the library in the folder `path` (default: the user's own), made if there is none.

        `model` is any name that `clipsight models` explains. "auto" is the library's own model,
        or, for a new library, the recommended one if it can be had within seconds, else the
        builtin one. Another model than the library's begins a switch: `index` then embeds the
        photos again, and the old vectors serve until that is complete.

        `device` is an ONNX Runtime device such as "cpu" or "cuda", `threads` the number of CPU
        threads (default: all cores). Raises `LibraryError` or `ModelError`.
        """
        folder = Path(path).expanduser() if path else paths.default_library()
        library = cls(folder, device, threads, note, model)
        library._catalog = Catalog(folder)
        if model != "auto":
            _ = library._model  # a wrong name is told at once
        return library

    def close(self) -> None:
        """Close the library's files."""
        self._catalog.close()

    def __enter__(self) -> "Library":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def model(self) -> str:
        """The name of the model that answers."""
        return self._model.name

    def __len__(self) -> int:
        counts = self._catalog.counts()
        return counts.present + counts.unreachable

    # -- indexing -----------------------------------------------------------------

    def index(
        self,
        *folders: PathLike,
        exclude: Sequence[str] | None = None,
        hidden: bool | None = None,
        gps: bool | None = None,
        max_pixels: int | None = None,
        exact: bool | None = None,
        retry: bool = False,
        observer: "Observer | None" = None,
    ) -> "list[IndexReport]":
        """Bring `folders` (default: all that were indexed before) up to date.

        Options are those of `IndexOptions`; None keeps what the folder was indexed with before.
        `retry` tries files again that failed. Interrupted, everything embedded so far is kept
        and the next call goes on. Raises `LibraryError` for a folder that can't be read and of
        which the library knows nothing; a known one is reported as unreachable.
        """
        from clipsight.indexing.indexer import IndexOptions, NullObserver, index_root, root_of

        roots = [absolute(folder) for folder in folders] or [root.path for root in self._catalog.roots()]
        if not roots:
            raise LibraryError("no folder has been indexed yet: name one, like clipsight index ~/Pictures")
        for folder in roots:
            self._check_folder(folder)
        if self._model != self._catalog.current_model():
            self._catalog.begin_switch(self._model)
        reports = []
        for folder in roots:
            above = root_of(folder, self._catalog)
            options = IndexOptions.from_json(
                above.options if above else IndexOptions().to_json(),
                exclude=exclude,
                hidden=hidden,
                gps=gps,
                max_pixels=max_pixels,
                exact=exact,
            )
            reports.append(
                index_root(
                    folder,
                    self._catalog,
                    self._model,
                    lambda: self.encoder,
                    options,
                    retry=retry,
                    observer=observer or NullObserver(),
                )
            )
        model_selection.finish_switch(self._catalog, self._model, self._vectors_folder, self.note)
        if any(report.changed for report in reports):
            self._forget_snapshot()
            self._snapshot.index.compact()
        return reports

    # -- searching ----------------------------------------------------------------

    def search(
        self,
        query: str | Query,
        top: int | None = None,
        *,
        add: Sequence[str] = (),
        subtract: Sequence[str] = (),
        options: SearchOptions = DEFAULT_OPTIONS,
        **keywords: "Unpack[SearchKeywords]",
    ) -> Matches:
        """The photos that match best, ties by path; see `Query.parse` for the grammar.

        `top` and `keywords` stand for fields of `options`: `search("dog", 5, sure=True)`. Query pictures
        that are in the library are left out. Raises `QueryError`, `LabelError` or `LibraryError`.
        """
        parsed = query if isinstance(query, Query) else Query.parse(query, add=add, subtract=subtract)
        (matches,) = self.search_many([parsed], top, options=options, **keywords)
        return matches

    def search_many(
        self,
        queries: Sequence[str | Query],
        top: int | None = None,
        *,
        options: SearchOptions = DEFAULT_OPTIONS,
        **keywords: "Unpack[SearchKeywords]",
    ) -> list[Matches]:
        """The matches of each query as `search` finds them, in the queries' order; faster than one by one."""
        parsed = [query if isinstance(query, Query) else Query.parse(query) for query in queries]
        chosen = options.updated(**keywords) if top is None else options.updated(top=top, **keywords)
        return self._snapshot.search(parsed, chosen) if parsed else []

    def classify(
        self,
        labels: Sequence[str],
        *photos: PathLike,
        templates: "TemplateSet | str" = "plain",
        unknown: bool = False,
        keep: bool = False,
    ) -> "Classification":
        """How well each of `labels` fits the `photos`: files, and all that is indexed in and below folders.

        Default: the whole library. `templates` make texts of the labels: "plain" takes them as they
        stand, see `prompts.load_templates` for others. `unknown` adds a label for photos that none fits
        (see `rejection`). `keep` notes the best label of every photo of the library, for
        `search(labels=...)`. Nothing is held: iterate over the result once. Raises `LabelError`, and
        `LibraryError` for a folder that has not been indexed.
        """
        from clipsight.classification.prompts import load_templates
        from clipsight.classification.zero_shot import classify, failed_in, keep_labels
        from clipsight.search.label_embeddings import LabelCache

        chosen = load_templates(templates) if isinstance(templates, str) else templates
        folders = [photo for photo in photos if Path(photo).expanduser().is_dir()]
        files = [photo for photo in photos if not Path(photo).expanduser().is_dir()]
        found = [self.embed(*files)]
        if folders or not photos:
            failed = failed_in([absolute(folder) for folder in folders], self._catalog.failures())
            found += [self.embeddings(*folders), iter([failed])]
        calibration = self._snapshot.calibration if unknown else None
        result = classify(
            chain.from_iterable(found), labels, self.encoder, chosen, LabelCache(self.path), calibration
        )
        if not keep:
            return result
        chunks = (keep_labels(chunk, self._catalog, self._model) for chunk in result.chunks)
        return replace(result, chunks=chunks)

    def explain(
        self,
        query: str | Query,
        photo: PathLike,
        *,
        add: Sequence[str] = (),
        subtract: Sequence[str] = (),
        method: str = "occlusion",
        word: str | None = None,
        region: bool = True,
        balance: bool = True,
        checkpoint: PathLike | None = None,
        settings: "Settings | None" = None,
    ) -> "Explanation":
        """Shares of the query's parts and words in the photo's score, and the region that made it.

        `method` is one of `explain.registry.METHODS`; `word` asks for the region of that word alone, and
        without `region` there is none. `balance` is that of `search`, `settings` bound the cost. The photo
        need not be indexed. `checkpoint` (PyTorch weights, or a published model's name) explains in place of
        the library's model, without balance. Raises `QueryError`, `ModelError` or `PhotoError`.
        """
        from clipsight.explain.explanation import explain
        from clipsight.explain.onnx_model import OnnxModel

        parsed = query if isinstance(query, Query) else Query.parse(query, add=add, subtract=subtract)
        options: dict[str, Any] = {"method": method, "word": word, "region": region, "settings": settings}
        if checkpoint is None:
            sample = self._snapshot.balance_sample([parsed]) if balance else None
            return explain(parsed, Path(photo), OnnxModel(self.encoder), sample=sample, **options)
        from clipsight.explain.torch_methods.model import open_checkpoint

        found = explain(parsed, Path(photo), open_checkpoint(os.fspath(checkpoint)), **options)
        if not (balance and parsed.is_mixed):
            return found
        return replace(found, notes=(*found.notes, f"not balanced: no library has photos by {checkpoint}"))

    def match(
        self,
        photo: PathLike,
        texts: PathLike,
        top: int = 5,
        *,
        progress: "Progress" = lambda done, count: None,
    ) -> "list[TextMatch]":
        """The `top` lines of the file `texts` that fit a photo (a path or an address) best; see `texts`.

        The photo need not be indexed. The file is embedded once, and `progress` told of it. Raises
        `QueryError`, `LabelError`, or `LibraryError` where its vectors can't be kept.
        """
        from clipsight.search.text_matching import embed_photo, match_texts

        vector = embed_photo(os.fspath(photo), self.encoder)
        return match_texts(vector, Path(texts).expanduser(), self.encoder, top, progress=progress)

    def optimize(self, progress: "Progress" = lambda done, count: None) -> "Optimized":
        """Make searches of a large library faster by an approximate index; other searches go on meanwhile.

        Does nothing where comparing all photos is fast enough, or the index is still good. `progress`
        is called with how many photos are in, and of how many. Raises `LibraryError` where the
        index can't be written.
        """
        if not len(self):
            return Optimized(0, False)
        if not self._snapshot.index.should_optimize:
            self._snapshot.index.compact()
        elif not self._snapshot.index.build_approximate(progress):
            raise LibraryError(f"can't write the index in {self._vectors_folder}: free some space there")
        return Optimized(len(self._snapshot.index), self._snapshot.index.is_approximate)

    # -- photos in bulk ------------------------------------------------------------

    def embeddings(self, *folders: PathLike) -> Iterator[Embeddings]:
        """All indexed photos in and below `folders` (default: the whole library) with their vectors.

        In chunks, so that memory does not grow with the library. Raises `LibraryError` for a
        folder that has not been indexed.
        """
        from clipsight.search.embeddings import stored_embeddings

        return stored_embeddings(self._catalog, self._model, self._snapshot.known_folders(folders) or None)

    def embed(self, *photos: PathLike) -> Iterator[Embeddings]:
        """Single photos with their vectors, in chunks: those the library keeps, else read from the file.

        A file that can't be read is told in its chunk's `failures`. Nothing is added to the library.
        """
        from clipsight.search.embeddings import embed_files

        files = (Path(photo).expanduser() for photo in photos)
        return embed_files(files, self._catalog, self._model, lambda: self.encoder)

    # -- everything else -------------------------------------------------------------

    def status(self) -> Status:
        """Folders, counts, failures with reasons, model, and size on disk."""
        upcoming = self._catalog.next_model()
        current = self._catalog.current_model()
        return Status(
            path=self.path,
            model=current.name if current else None,
            next_model=upcoming.name if upcoming else None,
            to_embed=self._catalog.count_unembedded(upcoming) if upcoming else 0,
            counts=self._catalog.counts(),
            folders=tuple((root, self._catalog.counts(root.path)) for root in self._catalog.roots()),
            failures=tuple(self._catalog.failures()),
            bytes=sum(file.stat().st_size for file in self.path.rglob("*") if file.is_file()),
        )

    def forget(self, folder: PathLike) -> int:
        """Drop everything the library knows of `folder`; how many photos that were. Files are not touched."""
        path = absolute(folder)
        if not self._catalog.has_folder(path):
            raise LibraryError(f"the library knows nothing of {os.fsdecode(path)}: see clipsight status")
        forgotten = self._catalog.forget(path)
        self._forget_snapshot()
        return forgotten

    def export(self, file: PathLike) -> int:
        """Write `paths` and `vectors` (float16[n, dim]) to a .npz or .parquet file; how many."""
        from clipsight.store.vector_io import export_vectors

        return export_vectors(self._catalog, self._model, Path(file).expanduser())

    def import_(self, file: PathLike) -> "ImportReport":
        """Add vectors computed elsewhere: .npz, .parquet, or a folder written by clip-retrieval.

        They must be of this library's model; the file's own label is checked where it has one.
        """
        from clipsight.store.vector_io import import_vectors

        report = import_vectors(self._catalog, self._model, Path(file).expanduser())
        self._forget_snapshot()
        return report

    @cached_property
    def encoder(self) -> "Encoder":
        """The model that turns words and photos into vectors; loaded on first use."""
        from clipsight.models.encoder import Encoder

        return Encoder(model_selection.model_folder(self._model), device=self.device, threads=self.threads)

    # -- internals ---------------------------------------------------------------------

    @cached_property
    def _model(self) -> Model:
        return model_selection.choose_model(self._catalog, self._wanted, self.note)

    def _check_folder(self, folder: bytes) -> None:
        """Refuse what can't be indexed before a model is chosen, or downloaded, for it."""
        if os.path.isfile(folder):
            raise LibraryError(f"{os.fsdecode(folder)} is a file: name the folder it is in")
        if not os.path.isdir(folder) and not self._catalog.has_folder(folder):
            raise LibraryError(f"no such folder: {os.fsdecode(folder)}")

    @property
    def _vectors_folder(self) -> Path:
        return self.path / "vectors"

    @cached_property
    def _snapshot(self) -> Snapshot:
        """What searches use until the library changes."""
        return Snapshot(self.path, self._catalog, self._model, lambda: self.encoder)

    def _forget_snapshot(self) -> None:
        self.__dict__.pop("_snapshot", None)
