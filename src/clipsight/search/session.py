"""Searches in a snapshot of a library, from queries to matches.

`Library` and the server each hold one snapshot, and make a new one when the library has changed.
"""

import os
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial, reduce
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING

import numpy as np

from clipsight.core import paths
from clipsight.core.arrays import Float32, Ids
from clipsight.core.cached_property import locked_cached_property
from clipsight.core.errors import LibraryError, QueryError
from clipsight.core.progress import Progress, no_progress
from clipsight.search.kept_rankings import KeptRankings
from clipsight.search.options import SearchOptions, Sort
from clipsight.search.query import Query, combine, embed_parts, language_notes, truncation_notes
from clipsight.search.results import Match, Matches
from clipsight.store.catalog import Catalog
from clipsight.store.filters import Filters, vector_ids_with
from clipsight.store.labels import vector_ids_labelled
from clipsight.store.listing import newest_first
from clipsight.store.records import Model, State
from clipsight.store.text_index import has_text
from clipsight.store.vectors import flat

if TYPE_CHECKING:
    from clipsight.models.encoder import Encoder
    from clipsight.search.confidence import Calibration
    from clipsight.search.fusion import Hit, TextQuery, TextRanking
    from clipsight.store.vectors.base import VectorIndex
    from clipsight.store.vectors.rerank import Ranking, ScoredPhoto

BALANCE_SAMPLE = 10_000
"""Maximum number of photos over which the parts of a mixed query are standardised."""


@dataclass(frozen=True, slots=True)
class Optimized:
    """Result of `Library.optimize`: number of photos in the index, and whether it is approximate."""

    photos: int
    approximate: bool


class Snapshot:
    """Catalog, vector index and encoder of a library at one moment.

    Any number of threads may use it at the same time. On first use the index is opened, and `encoder` called.
    """

    def __init__(
        self,
        folder: Path,
        catalog: Catalog,
        model: Model,
        encoder: "Callable[[], Encoder]",
    ) -> None:
        self.folder, self.catalog, self.model = folder, catalog, model
        self._make_encoder = encoder
        self._lock = RLock()
        self._filtered: tuple[object, Ids | None] | None = None
        self._listed: tuple[object, Ids] | None = None
        self._kept = KeptRankings()

    @locked_cached_property
    def encoder(self) -> "Encoder":
        """The model's encoder. Raises `ModelError`."""
        return self._make_encoder()

    @locked_cached_property
    def index(self) -> "VectorIndex":
        """The index of the model's vectors."""
        if not self.catalog.has_more_vectors(self.model, flat.MAX_VECTORS):
            return flat.FlatIndex(self.catalog, self.model)
        from clipsight.store.vectors.faiss import FaissIndex

        return FaissIndex(self.folder / "vectors", self.catalog, self.model)

    def search(self, queries: Sequence[Query], options: SearchOptions) -> list[Matches]:
        """Return the matches of each query, in the order of the queries.

        Photos of the library that are part of a query are excluded from its matches. Raises `QueryError`,
        `LabelError` or `LibraryError`.
        """
        if not queries:
            return []
        _check_kinds(queries, options)
        self._allowed(options.filters)  # these raise before anything is embedded
        self._text_queries(queries, options)
        parts = embed_parts(Query(tuple(part for query in queries for part in query.parts)), self.encoder)
        ends = np.cumsum([len(query.parts) for query in queries])[:-1]
        exclude = [self._own_pictures(query) for query in queries]
        return self.match(queries, np.split(parts, ends), options, exclude=exclude)

    def match(
        self,
        queries: Sequence[Query],
        vectors: Sequence[Float32],
        options: SearchOptions,
        *,
        exclude: Sequence[Collection[int]],
        comparing: AbstractContextManager[object] | None = None,
    ) -> list[Matches]:
        """Return the matches of each query, whose parts have the unit `vectors`, float32[parts, dim].

        `exclude` are photo ids, for each query; unless `options.duplicates`, their copies are excluded too.
        Vectors are compared inside the context `comparing` (the server's limit), where the encoder is not
        called. Raises as `search`.
        """
        _check_kinds(queries, options)
        if options.sure:
            self._check_sure(queries)
        sample = self.balance_sample(queries) if options.balance else None
        with comparing or nullcontext():
            allowed = self._allowed(options.filters)
            texts = [self._text_ranking(wanted) for wanted in self._text_queries(queries, options)]
            combined = [
                combine(query, parts, sample if query.is_mixed else None)
                for query, parts in zip(queries, vectors, strict=True)
            ]
            searches = [
                _Search(vector, text, self._excluded(query, photos, options))
                for query, vector, text, photos in zip(queries, combined, texts, exclude, strict=True)
            ]
            ranked = self._ranked(searches, options, allowed)
            skipped = _skipped(searches, options)
            found = [
                self._matches(search, best, options, allowed, skipped)
                for search, best in zip(searches, ranked, strict=True)
            ]
        notes = self._notes(allowed, exact=options.exact)
        return [
            Matches(
                str(query),
                self.model.name,
                tuple(_sorted(matches, options.sort)),
                (
                    *language_notes(query, self.encoder.folder),
                    *truncation_notes(query, self.encoder),
                    *_copy_notes(matches),
                    *notes,
                ),
            )
            for query, matches in zip(queries, found, strict=True)
        ]

    def listing(self, filters: Filters, *, duplicates: bool = False) -> Ids:
        """Vector ids of the photos that pass `filters`, int64[n], newest first; the last answer is kept.

        Raises as `search` does for filters. See `store.listing`.
        """
        key = (filters, duplicates, self.catalog.version())
        listed = self._listed  # read once: another thread may replace it
        if listed is None or listed[0] != key:
            allowed = self._allowed(filters)
            listed = (
                key,
                newest_first(self.catalog.database, self.model, allowed=allowed, duplicates=duplicates),
            )
            self._listed = listed
        return listed[1]

    def balance_sample(self, queries: Sequence[Query]) -> Float32 | None:
        """Sample of photo vectors to balance mixed queries by, float32[n, dim]; None if no query is mixed."""
        return self._sample if any(query.is_mixed for query in queries) else None

    @locked_cached_property
    def _sample(self) -> Float32:
        return self.catalog.sample_vectors(self.model, BALANCE_SAMPLE).astype(np.float32)

    @locked_cached_property
    def calibration(self) -> "Calibration":
        """The model's calibration; see `confidence`. Raises `ModelError` if it has none."""
        from clipsight.search.confidence import Calibration

        return Calibration.read(self.encoder.folder.path, self.model.name)

    def optimize(self, progress: Progress = no_progress) -> Optimized:
        """Build an approximate index if comparing all photos is slow and there is none, or an outgrown one.

        `progress` is called with the number of photos added, and of all. Other threads may search meanwhile.
        Raises `LibraryError` if the index can't be written.
        """
        if not self.catalog.count_vectors(self.model):
            return Optimized(0, False)
        if not self.index.optimize(progress):
            raise LibraryError(f"can't write the index in {self.folder / 'vectors'}: free some space there")
        return Optimized(len(self.index), self.index.is_approximate)

    def known_folders(self, folders: Sequence[str | os.PathLike[str]]) -> list[bytes]:
        """The folders as stored in the catalog. Raises `LibraryError` for one that was not indexed."""
        known = [self.catalog.stored_form(absolute(folder)) for folder in folders]
        for folder in known:
            if not self.catalog.has_folder(folder):
                name = os.fsdecode(folder)
                missing = "" if os.path.isdir(folder) else "no such folder, and "
                raise LibraryError(f"{missing}{name} has not been indexed: clipsight index {name}")
        return known

    def _check_sure(self, queries: Sequence[Query]) -> None:
        """Raise `QueryError` for a query in a language for which `sure` is not calibrated."""
        for part in (part for query in queries for part in query.parts):
            foreign = self.calibration.languages == ("en",) and self.encoder.is_foreign(part.value)
            if foreign or not self.calibration.covers(part.value):
                languages = ", ".join(self.calibration.languages) or "no language"
                raise QueryError(
                    f"`sure` is not offered for {part.value!r}: with the model {self.model.name} it is "
                    f"reliable for {languages} only; set min_score"
                )

    def _text_queries(self, queries: Sequence[Query], options: SearchOptions) -> "list[TextQuery | None]":
        """The phrases of each query to look for in text, None for those that are ranked by vectors alone."""
        asked = options.text_only or any(query.asks_for_text for query in queries)
        if not (asked or (options.text and has_text(self.catalog.database))):
            return [None] * len(queries)
        from clipsight.search.fusion import text_query

        return [text_query(query, options, self.catalog) for query in queries]

    def _text_ranking(self, wanted: "TextQuery | None") -> "TextRanking | None":
        """The texts that have the phrases; None for a search that ranks by vectors alone."""
        if wanted is None:
            return None
        from clipsight.search.fusion import rank_by_text

        return rank_by_text(wanted, self.catalog)

    def _excluded(self, query: Query, photos: Collection[int], options: SearchOptions) -> Collection[int]:
        """Ids of the photos that the query leaves out: `photos`, their copies, and those with a text."""
        found = photos if options.duplicates else self.catalog.with_copies(photos)
        if not query.asks_for_text:
            return found
        from clipsight.search.fusion import left_out

        return {*found, *left_out(query, self.catalog)}

    def _ranked(
        self, searches: "Sequence[_Search]", options: SearchOptions, allowed: Ids | None
    ) -> "list[list[ScoredPhoto]]":
        """The best photos of each search by vectors: deeper where text was found, none for text alone.

        Those of `_skipped` are left out. The ranking of a single search is kept, for its next page.
        """
        depths = [self._depth(search, options) for search in searches]
        if len(searches) == 1 and depths[0]:
            (search,), (depth,) = searches, depths
            restricted = (options.filters, options.exact, options.duplicates, frozenset(search.excluded))
            key = (search.vector.tobytes(), restricted, self.catalog.version())
            kept = self._kept.best(
                key, depth, lambda count: self._rankings(searches, count, options, allowed)[0]
            )
            return [kept.photos(self.catalog, _skipped(searches, options), depth)]
        ranked: list[list[ScoredPhoto]] = [[] for _ in searches]
        for depth in set(depths) - {0}:
            chosen = [place for place, each in enumerate(depths) if each == depth]
            found = self._rankings([searches[place] for place in chosen], depth, options, allowed)
            for place, ranking in zip(chosen, found, strict=True):
                ranked[place] = ranking.photos(self.catalog, 0, depth)
        return ranked

    def _rankings(
        self, searches: "Sequence[_Search]", count: int, options: SearchOptions, allowed: Ids | None
    ) -> "list[Ranking]":
        from clipsight.store.vectors.rerank import rankings

        return rankings(
            self.catalog,
            self.index,
            np.stack([search.vector for search in searches]),
            count,
            allowed=allowed,
            excluded=[search.excluded for search in searches],
            exact=options.exact,
            duplicates=options.duplicates,
        )

    def _depth(self, search: "_Search", options: SearchOptions) -> int:
        """Number of photos to rank by vectors."""
        least = _judged(options)
        if search.texts is None:
            return least
        from clipsight.search.fusion import DEPTH

        return 0 if search.texts.query.only else max(least, DEPTH)

    def _matches(
        self,
        search: "_Search",
        best: "list[ScoredPhoto]",
        options: SearchOptions,
        allowed: Ids | None,
        skipped: int,
    ) -> list[Match]:
        """The matches on the page that `options` ask for; `best` are the best by vectors after `skipped`."""
        hits: Sequence[Hit] = [(each, None) for each in best]
        if search.texts is not None:
            from clipsight.search.fusion import fuse

            hits = fuse(
                search.texts,
                best,
                search.vector,
                self.catalog,
                self.model,
                allowed=allowed,
                excluded=search.excluded,
                duplicates=options.duplicates,
            )
        sure = self._sure(search, best, options) if options.sure else None
        least = float("-inf") if options.min_score is None else options.min_score
        return [
            _match(each, search.texts.lines(text, self.catalog) if search.texts and text else ())
            for each, text in hits[options.offset - skipped :][: options.top]
            if each.score >= least
            and (sure is None or each.photo.photo_id in sure or (text is not None and text.is_exact))
        ]

    def _sure(self, search: "_Search", best: "list[ScoredPhoto]", options: SearchOptions) -> set[int]:
        """Ids of the best photos by vectors that fit with confidence."""
        judged = best[: _judged(options)]
        if not judged:
            return set()
        kept = self.calibration.is_sure(np.stack([each.photo.vector for each in judged]), search.vector)
        return {each.photo.photo_id for each, keep in zip(judged, kept.tolist(), strict=True) if keep}

    def _allowed(self, filters: Filters) -> Ids | None:
        """Ids of the vectors that pass the filters, int64[n]; None for all. The last result is cached."""
        key = (filters, self.catalog.version())
        filtered = self._filtered  # read once: another thread may replace it
        if filtered is None or filtered[0] != key:
            folders = self.known_folders(filters.folders)
            filtered = self._filtered = (key, allowed_ids(filters, folders, self.catalog, self.model))
        return filtered[1]

    def _own_pictures(self, query: Query) -> set[int]:
        """Ids of the query's pictures that are photos of the library."""
        files = [part.source.file for part in query.parts if not part.is_words]
        found = {
            self.catalog.photo_id_at(os.fsencode(form(file)))
            for file in files
            if file is not None
            for form in (os.path.abspath, os.path.realpath)
        }
        return {photo_id for photo_id in found if photo_id is not None}

    def _notes(self, allowed: Ids | None, *, exact: bool) -> tuple[str, ...]:
        """Notes about an approximate result, and a slow index."""
        lines = []
        if not (exact or self.index.is_exact_for(allowed)):
            lines.append(
                "found by an approximate index, which may miss 1 in 100 of the best; "
                "the option exact misses none"
            )
        if self.index.should_optimize:
            lines.append(f"{len(self.index):,} photos: clipsight optimize, once, makes searches faster")
        return tuple(lines)


@dataclass(frozen=True, slots=True)
class _Search:
    """A query as it is ranked: its unit vector float32[dim], its texts, and the photos left out."""

    vector: Float32
    texts: "TextRanking | None"
    excluded: Collection[int]


def _skipped(searches: Sequence[_Search], options: SearchOptions) -> int:
    """Number of the best photos that needn't be read: those before the page, if they decide nothing on it."""
    return options.offset if len(searches) == 1 and searches[0].texts is None and not options.sure else 0


def _judged(options: SearchOptions) -> int:
    """Number of the best photos by vectors that `options` need."""
    from clipsight.search.confidence import SURE_DEPTH

    return max(options.offset + options.top, SURE_DEPTH if options.sure else 0)


def _check_kinds(queries: Sequence[Query], options: SearchOptions) -> None:
    if options.sure and any(not part.is_words for query in queries for part in query.parts):
        raise QueryError("sure judges words alone: for pictures, set min_score")


def allowed_ids(filters: Filters, folders: Sequence[bytes], catalog: Catalog, model: Model) -> Ids | None:
    """Ids of the vectors that pass the filters, int64[n] ascending; None for all.

    `folders` are those of `filters` as stored in the catalog. Raises `QueryError` or `LabelError` for values
    that no photo has.
    """
    found = (
        catalog.vector_ids_under(folders, model) if folders else None,
        vector_ids_labelled(catalog.database, model, filters.labels) if filters.labels else None,
        vector_ids_with(catalog.database, model, filters),
    )
    given = [ids for ids in found if ids is not None]
    return reduce(partial(np.intersect1d, assume_unique=True), given) if given else None


def absolute(folder: str | os.PathLike[str]) -> bytes:
    """The absolute path of a folder, with links unresolved. Raises `LibraryError` if `folder` is empty."""
    if not os.fspath(folder):
        raise LibraryError("the path of a folder is empty: write . for the current one")
    return os.fsencode(os.path.abspath(paths.expand(folder)))


def _match(ranked: "ScoredPhoto", text: tuple[str, ...]) -> Match:
    photo, info = ranked.photo, ranked.photo.info
    return Match(
        path=Path(os.fsdecode(photo.path)),
        score=ranked.score,
        id=photo.photo_id,
        width=info.width,
        height=info.height,
        taken=info.taken,
        taken_source=info.taken_source,
        size=photo.size,
        reachable=photo.state is State.PRESENT,
        copies=tuple(Path(os.fsdecode(path)) for path in ranked.copies),
        text=text,
    )


def _copy_notes(matches: Sequence[Match]) -> tuple[str, ...]:
    count = sum(len(match.copies) for match in matches)
    copies = "1 copy" if count == 1 else f"{count:,} copies"
    return (f"{copies} of these photos left out: the option duplicates shows them",) if count else ()


def _sorted(matches: list[Match], sort: Sort) -> list[Match]:
    """Sort matches, which are given best first."""
    match sort:
        case "date":
            return sorted(matches, key=lambda match: (match.taken or "", match.path), reverse=True)
        case "path":
            return sorted(matches, key=lambda match: match.path)
        case _:
            return matches
