"""The steps of a search around the ranking: queries to vectors, filters to ids, hits to matches.

Called by `library`; the web's reader, which keeps an index open for many threads, takes the same steps.
"""

import os
from collections.abc import Iterable, Sequence
from functools import partial, reduce
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from clipsight.core.errors import QueryError
from clipsight.search.query import Kind, Query, combine, embed
from clipsight.search.results import Match
from clipsight.store.catalog import Catalog
from clipsight.store.filters import Filters, vector_ids_with
from clipsight.store.labels import vector_ids_labelled
from clipsight.store.records import Ids, Model, State, Vectors

if TYPE_CHECKING:
    from clipsight.models.encoder import Encoder
    from clipsight.store.vectors.faiss import VectorIndex
    from clipsight.store.vectors.rerank import Ranked

BALANCE_SAMPLE = 10_000
"""Photos of the library over which the parts of a mixed query are standardised (all, up to this)."""

Sort = Literal["score", "date", "path"]


def check_words(queries: Iterable[Query]) -> None:
    """Raise `QueryError` for a query with a picture, which `sure` can't judge."""
    if any(part.kind is not Kind.TEXT for query in queries for part in query.parts):
        raise QueryError("--sure judges words alone: cut pictures by --min-score, as you know them")


def query_vectors(
    queries: Sequence[Query], encoder: "Encoder", catalog: Catalog, model: Model, *, balance: bool
) -> npt.NDArray[np.float32]:
    """The queries' unit vectors, float32[n, dim]; the parts of all are embedded together."""
    vectors = embed(Query(tuple(part for query in queries for part in query.parts)), encoder)
    ends = np.cumsum([len(query.parts) for query in queries])[:-1]
    sample = balance_sample(queries, catalog, model) if balance else None
    return np.stack(
        [
            combine(query, parts, sample if query.is_mixed else None)
            for query, parts in zip(queries, np.split(vectors, ends), strict=True)
        ]
    )


def balance_sample(queries: Iterable[Query], catalog: Catalog, model: Model) -> Vectors | None:
    """What `query.coefficients` balances mixed queries by: float16[n, dim]; None where no query is mixed."""
    if not any(query.is_mixed for query in queries):
        return None
    return catalog.sample_vectors(model, BALANCE_SAMPLE)


def ids_with(filters: Filters, folders: Sequence[bytes], catalog: Catalog, model: Model) -> Ids | None:
    """Ids of the vectors among which to search; None for all.

    `folders` are those of `filters` as the catalog names them. Raises `QueryError` or `LabelError` for what
    no photo has.
    """
    found = (
        catalog.vector_ids_under(folders, model) if folders else None,
        vector_ids_labelled(catalog.database, model, filters.labels) if filters.labels else None,
        vector_ids_with(catalog.database, model, filters),
    )
    given = [ids for ids in found if ids is not None]
    return reduce(partial(np.intersect1d, assume_unique=True), given) if given else None


def own_pictures(query: Query, catalog: Catalog) -> set[int]:
    """Photo ids of the query's own pictures, as far as the library has them."""
    paths = [Path(part.value).expanduser() for part in query.parts if part.kind is Kind.PICTURE]
    found = {
        catalog.photo_id_at(os.fsencode(form(path)))
        for path in paths
        for form in (os.path.abspath, os.path.realpath)
    }
    return {photo_id for photo_id in found if photo_id is not None}


def notes_on_index(index: "VectorIndex", allowed: Ids | None, *, exact: bool) -> tuple[str, ...]:
    """What the user should know of how photos were compared, a line each."""
    lines = []
    if not (exact or index.is_exact_for(allowed)):
        lines.append(
            "found by an approximate index, which may miss 1 in 100 of the best; --exact misses none"
        )
    if index.wants_lists:
        lines.append(f"{len(index):,} photos: clipsight optimize, once, makes searches faster")
    return tuple(lines)


def match_of(ranked: "Ranked") -> Match:
    """The photo as it is shown."""
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


def in_order(matches: list[Match], sort: Sort) -> list[Match]:
    """Matches that are given best first, in the order that was asked for."""
    match sort:
        case "date":
            return sorted(matches, key=lambda match: (match.taken or "", match.path), reverse=True)
        case "path":
            return sorted(matches, key=lambda match: match.path)
        case _:
            return matches
