"""Library: one collection of indexed photos, and everything that can be asked of it."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from clipsight import paths
from clipsight.errors import LibraryError, ModelError, QueryError
from clipsight.query import Kind, Query, combine, embed, notes_on
from clipsight.results import Embeddings, Match, Matches, Status
from clipsight.store.catalog import Catalog
from clipsight.store.records import Ids, Model, State

if TYPE_CHECKING:
    from clipsight.classify import Classification, Predictions
    from clipsight.indexing.indexer import IndexReport, Observer
    from clipsight.models.encoder import Encoder
    from clipsight.models.folder import ModelFolder
    from clipsight.prompts import TemplateSet
    from clipsight.rejection import Calibration
    from clipsight.store.exchange import ImportReport
    from clipsight.store.ranking import Ranked
    from clipsight.store.vectors import VectorIndex

BALANCE_SAMPLE = 10_000
"""Photos of the library over which the parts of a mixed query are standardised (all, up to this)."""

Sort = Literal["score", "date", "path"]
PathLike = str | os.PathLike[str]


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
    _index: "VectorIndex | None" = field(default=None, init=False, repr=False)

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
        from clipsight.indexing.indexer import IndexOptions, Silent, index_root, root_of

        roots = [_absolute(folder) for folder in folders] or [root.path for root in self._catalog.roots()]
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
                    observer=observer or Silent(),
                )
            )
        self._finish_switch()
        if any(report.changed for report in reports):
            self._index = None
            self._vectors.drop_dead()
        return reports

    # -- searching ----------------------------------------------------------------

    def search(
        self,
        query: str | Query,
        top: int = 10,
        *,
        add: Sequence[str] = (),
        subtract: Sequence[str] = (),
        folders: Sequence[PathLike] = (),
        min_score: float | None = None,
        offset: int = 0,
        sort: Sort = "score",
        balance: bool = True,
        labels: Sequence[str] = (),
        sure: bool = False,
    ) -> Matches:
        """The `top` photos that match best, exactly, ties by path; see `Query.parse` for the grammar.

        `folders` restricts the search to photos in and below them. `offset` skips so many of the
        best, `min_score` cuts by cosine, and `sort` orders what is left. `balance` (queries of
        words and pictures together) standardises each part over the library's own scores. Query
        pictures that are in the library are left out. `labels` restricts to photos that
        `classify(keep=True)` gave any of them. `sure` keeps only photos that really match, none if
        nothing does (see `rejection`; queries of words only). Raises `QueryError` or `LibraryError`.
        """
        from clipsight.store.ranking import rank

        if top < 1 or offset < 0:
            raise QueryError(f"top must be at least 1 and offset at least 0 (got {top} and {offset})")
        if sort not in ("score", "date", "path"):
            raise QueryError(f"can't sort by {sort!r}: choose score, date or path")
        parsed = query if isinstance(query, Query) else Query.parse(query, add=add, subtract=subtract)
        if sure:
            _check_words(parsed)
        allowed = self._allowed(folders, labels)
        vectors = embed(parsed, self.encoder)
        sample = (
            self._catalog.sample_vectors(self._model, BALANCE_SAMPLE) if balance and parsed.is_mixed else None
        )
        ranked = rank(
            self._catalog,
            self._vectors,
            combine(parsed, vectors, sample),
            offset + top,
            allowed=allowed,
            left_out=self._ids_of_pictures(parsed),
        )
        floor = float("-inf") if min_score is None else min_score
        least = max(floor, self._sure_score()) if sure else floor
        matches = [_match(each) for each in ranked[offset:] if each.score >= least]
        return Matches(str(parsed), self.model, tuple(_sorted(matches, sort)), notes_on(parsed, self.encoder))

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
        from clipsight.classify import classify, failed_in
        from clipsight.label_cache import LabelCache
        from clipsight.prompts import load_templates

        chosen = load_templates(templates) if isinstance(templates, str) else templates
        folders = [photo for photo in photos if Path(photo).expanduser().is_dir()]
        files = [photo for photo in photos if not Path(photo).expanduser().is_dir()]
        found = [self.embed(*files)]
        if folders or not photos:
            failed = failed_in([_absolute(folder) for folder in folders], self._catalog.failures())
            found += [self.embeddings(*folders), iter([failed])]
        calibration = self._calibration() if unknown else None
        result = classify(
            chain.from_iterable(found), labels, self.encoder, chosen, LabelCache(self.path), calibration
        )
        return replace(result, chunks=map(self._keep_labels, result.chunks)) if keep else result

    def _keep_labels(self, predictions: "Predictions") -> "Predictions":
        from clipsight.classify import NONE
        from clipsight.store.labels import GivenLabel, give_labels

        given = [
            GivenLabel(each.id, None if each.label == NONE else each.label, each.probability)
            for each in predictions
            if each.id
        ]
        labels = [label for label in predictions.labels if label != NONE]
        give_labels(self._catalog.database, self._model, labels, given)
        return predictions

    # -- photos in bulk ------------------------------------------------------------

    def embeddings(self, *folders: PathLike) -> Iterator[Embeddings]:
        """All indexed photos in and below `folders` (default: the whole library) with their vectors.

        In chunks, so that memory does not grow with the library. Raises `LibraryError` for a
        folder that has not been indexed.
        """
        from clipsight.embeddings import stored

        absolute = self._known(folders)
        return stored(self._catalog, self._model, absolute or None)

    def embed(self, *photos: PathLike) -> Iterator[Embeddings]:
        """Single photos with their vectors, in chunks: those the library keeps, else read from the file.

        A file that can't be read is told in its chunk's `failures`. Nothing is added to the library.
        """
        from clipsight.embeddings import of_files

        files = (Path(photo).expanduser() for photo in photos)
        return of_files(files, self._catalog, self._model, lambda: self.encoder)

    # -- everything else -------------------------------------------------------------

    def status(self) -> Status:
        """Folders, counts, failures with reasons, model, and size on disk."""
        upcoming = self._catalog.next_model()
        current = self._catalog.current_model()
        return Status(
            path=self.path,
            model=current.name if current else None,
            next_model=upcoming.name if upcoming else None,
            to_embed=self._catalog.lacking_vectors(upcoming) if upcoming else 0,
            counts=self._catalog.counts(),
            folders=tuple((root, self._catalog.counts(root.path)) for root in self._catalog.roots()),
            failures=tuple(self._catalog.failures()),
            bytes=sum(file.stat().st_size for file in self.path.rglob("*") if file.is_file()),
        )

    def forget(self, folder: PathLike) -> int:
        """Drop everything the library knows of `folder`; how many photos that were. Files are not touched."""
        path = _absolute(folder)
        if not self._catalog.knows(path):
            raise LibraryError(f"the library knows nothing of {os.fsdecode(path)}: see clipsight status")
        forgotten = self._catalog.forget(path)
        self._index = None
        return forgotten

    def export(self, file: PathLike) -> int:
        """Write `paths` and `vectors` (float16[n, dim]) to a .npz or .parquet file; how many."""
        from clipsight.store.exchange import export_vectors

        return export_vectors(self._catalog, self._model, Path(file).expanduser())

    def import_(self, file: PathLike) -> "ImportReport":
        """Add vectors computed elsewhere: .npz, .parquet, or a folder written by clip-retrieval.

        They must be of this library's model; the file's own label is checked where it has one.
        """
        from clipsight.store.exchange import import_vectors

        report = import_vectors(self._catalog, self._model, Path(file).expanduser())
        self._index = None
        return report

    @cached_property
    def encoder(self) -> "Encoder":
        """The model that turns words and photos into vectors; loaded on first use."""
        from clipsight.models.encoder import Encoder

        return Encoder(self._folder, device=self.device, threads=self.threads)

    # -- internals ---------------------------------------------------------------------

    @cached_property
    def _model(self) -> Model:
        """The model to use, entered in the catalog; a new library's first one is fixed here."""
        from clipsight.models import zoo

        current = self._catalog.current_model()
        if self._wanted != "auto":
            return self._adopt(self._wanted)
        if current is not None:
            return current
        name, _ = zoo.choose_auto(note=self.note)
        return self._adopt(name)

    def _adopt(self, name: str) -> Model:
        """Enter the model in the catalog, as the current one if it is the library's first."""
        from clipsight.models import zoo
        from clipsight.models.folder import ModelFolder

        path = zoo.locate(name)
        folder = ModelFolder.read(path)
        source = str(path.resolve()) if Path(name).expanduser().is_dir() else name
        model = self._catalog.add_model(folder.fingerprint(), folder.name, source, folder.embed_dim)
        if self._catalog.current_model() is None:
            self._catalog.set_current_model(model)
        return model

    @cached_property
    def _folder(self) -> "ModelFolder":
        """The folder of the library's own model, which must still be what the vectors were made with."""
        from clipsight.models import zoo
        from clipsight.models.folder import ModelFolder

        folder = ModelFolder.read(zoo.locate(self._model.source))
        if folder.fingerprint() != self._model.fingerprint:
            raise ModelError(
                f"the model {self._model.source} has changed since photos were indexed with it: "
                "put the old files back, or embed the photos anew with: "
                f"clipsight index --model {self._model.source}"
            )
        return folder

    def _check_folder(self, folder: bytes) -> None:
        """Refuse what can't be indexed before a model is chosen, or downloaded, for it."""
        if os.path.isfile(folder):
            raise LibraryError(f"{os.fsdecode(folder)} is a file: name the folder it is in")
        if not os.path.isdir(folder) and not self._catalog.knows(folder):
            raise LibraryError(f"no such folder: {os.fsdecode(folder)}")

    def _finish_switch(self) -> None:
        """Drop the old model's vectors once every photo has one of the new model."""
        from clipsight.store.vectors import drop_files_of_other_models

        if self._model == self._catalog.current_model():
            return
        lacking = self._catalog.lacking_vectors(self._model)
        if lacking:
            self.note(
                f"{lacking:,} photos still have vectors of the old model only, which answers until they are "
                f"embedded: clipsight index --model {self._model.source}"
            )
        else:
            self._catalog.set_current_model(self._model)
            drop_files_of_other_models(self.path / "vectors", self._model)

    @property
    def _vectors(self) -> "VectorIndex":
        from clipsight.store.vectors import VectorIndex

        if self._index is None:
            self._index = VectorIndex(self.path / "vectors", self._catalog, self._model)
        return self._index

    def _allowed(self, folders: Sequence[PathLike], labels: Sequence[str]) -> Ids | None:
        """Ids of the vectors among which to search; None for all."""
        from clipsight.store.labels import vector_ids_labelled

        absolute = self._known(folders)
        inside = self._catalog.vector_ids_under(absolute, self._model) if absolute else None
        if not labels:
            return inside
        labelled = vector_ids_labelled(self._catalog.database, self._model, labels)
        return labelled if inside is None else np.intersect1d(labelled, inside)

    def _calibration(self) -> "Calibration":
        """What cosines with words mean among the library's photos."""
        from clipsight.classify import Classifier
        from clipsight.label_cache import LabelCache
        from clipsight.prompts import load_templates
        from clipsight.rejection import BACKGROUND, SAMPLE, Calibration

        sample = self._catalog.sample_vectors(self._model, SAMPLE)
        if not len(sample):
            raise LibraryError("no photo is indexed yet to compare with: clipsight index ~/Pictures")
        background = Classifier.of(BACKGROUND, self.encoder, load_templates("plain"), LabelCache(self.path))
        return Calibration.of(sample, background.weights)

    def _sure_score(self) -> float:
        """The score from which `search(sure=True)` keeps photos."""
        return self._calibration().sure_score(len(self._vectors)) if len(self._vectors) else 1.0

    def _known(self, folders: Sequence[PathLike]) -> list[bytes]:
        """The folders' absolute names; LibraryError for one of which the library knows nothing."""
        absolute = [_absolute(folder) for folder in folders]
        for folder in absolute:
            if not self._catalog.knows(folder):
                name = os.fsdecode(folder)
                missing = "" if os.path.isdir(folder) else "no such folder, and "
                raise LibraryError(f"{missing}{name} has not been indexed: clipsight index {name}")
        return absolute

    def _ids_of_pictures(self, query: Query) -> set[int]:
        """Ids of the query's own pictures, as far as the library has them."""
        paths = [Path(part.value).expanduser() for part in query.parts if part.kind is Kind.PICTURE]
        found = {
            self._catalog.photo_id_at(os.fsencode(form(path)))
            for path in paths
            for form in (os.path.abspath, os.path.realpath)
        }
        return {photo_id for photo_id in found if photo_id is not None}


def _absolute(folder: PathLike) -> bytes:
    """The folder as the catalog names it: absolute, links and `..` kept apart from content."""
    return os.fsencode(os.path.abspath(Path(folder).expanduser()))


def _check_words(query: Query) -> None:
    if any(part.kind is not Kind.TEXT for part in query.parts):
        raise QueryError("--sure judges words alone: cut pictures by --min-score, as you know them")


def _match(ranked: "Ranked") -> Match:
    hit, description = ranked.hit, ranked.hit.description
    return Match(
        path=Path(os.fsdecode(hit.path)),
        score=ranked.score,
        id=hit.photo_id,
        width=description.width,
        height=description.height,
        taken=description.taken,
        taken_source=description.taken_source,
        size=hit.size,
        reachable=hit.state is State.PRESENT,
    )


def _sorted(matches: list[Match], sort: Sort) -> list[Match]:
    match sort:
        case "date":
            return sorted(matches, key=lambda match: (match.taken or "", match.path), reverse=True)
        case "path":
            return sorted(matches, key=lambda match: match.path)
        case _:
            return matches
