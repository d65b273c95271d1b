"""Vector ranking and text ranking of photos, fused by reciprocal rank (Cormack, Clarke and Büttcher, 2009).

A photo's fused score is the sum of 1 / (60 + rank) over the rankings that have it. Photos in whose text the
words of a query of several words, or of an operator `text:`, stand exactly come before all others.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np

from clipsight.core.arrays import Float32, Ids
from clipsight.core.errors import LibraryError, QueryError
from clipsight.core.text import TextLine, visible
from clipsight.search.options import SearchOptions
from clipsight.search.query import Kind, Query
from clipsight.search.text_ranking import MAX_PHRASE, Phrase, TextMatch, found_lines, rank_texts
from clipsight.store.catalog import Catalog
from clipsight.store.records import Model
from clipsight.store.text_index import (
    has_text,
    lines_of,
    photos_of_texts,
    text_of,
    vectors_of_texts,
    was_read,
)
from clipsight.store.vectors.rerank import ScoredPhoto, score

RANK_CONSTANT = 60
"""The constant of the method; the larger, the less the first ranks count."""

DEPTH = 1000
"""Ranks of the vector ranking that count: one for all pages of a result."""

MAX_SHOWN = 20
"""Lines of a photo's text that a match shows."""


@dataclass(frozen=True, slots=True)
class TextQuery:
    """The phrases of a query that are looked for in text.

    With `only`, photos without them are left out; with `first`, those that have them exactly come first.
    """

    phrases: tuple[Phrase, ...]
    only: bool = False
    first: bool = False


@dataclass(frozen=True, slots=True)
class TextRanking:
    """The texts that have a query's phrases, the best first."""

    query: TextQuery
    matches: tuple[TextMatch, ...]

    def lines(self, match: TextMatch, catalog: Catalog) -> tuple[str, ...]:
        """The lines of a text that hold words of the query, for display."""
        lines = found_lines(lines_of(catalog.database, match.text_id), self.query.phrases)
        return tuple(visible(line.text) for line in lines[:MAX_SHOWN])


Hit = tuple[ScoredPhoto, TextMatch | None]
"""A photo found, with the match of its text, if it has one."""


def rank_by_text(wanted: TextQuery, catalog: Catalog) -> TextRanking | None:
    """The text ranking of a search; None if no text has the phrases, so that it ranks by vectors alone."""
    matches = tuple(rank_texts(catalog, wanted.phrases))
    return TextRanking(wanted, matches) if matches or wanted.only else None


def text_query(query: Query, options: SearchOptions, catalog: Catalog) -> TextQuery | None:
    """The phrases that a search looks for in text; None if it ranks by vectors alone.

    Raises `QueryError` and `LibraryError` if the query asks for text, and there is none to search.
    """
    printed = [part.value for part in query.parts if part.kind is Kind.PRINTED]
    asked = "`text_only`" if options.text_only else "text:" if printed else None
    if asked is not None:
        if not options.text:
            raise QueryError(
                "text: looks for words in photos, which `text=False` switches off: drop one of them"
            )
        if not was_read(catalog.database):
            raise LibraryError(
                f"{asked} needs the text in photos, which has not been read: clipsight index --text reads it"
            )
    elif not options.text or not has_text(catalog.database):
        return None
    wanted = [part for part in query.parts if part.kind is Kind.PRINTED and part.weight > 0]
    words = wanted or [part for part in query.parts if part.kind is Kind.TEXT and part.weight > 0]
    loosely = options.text_only or bool(wanted)
    phrases = tuple(phrase for part in words if (phrase := Phrase.of(part.value, loosely=loosely)).words)
    if options.text_only and not phrases:
        raise QueryError("`text_only` compares words: write some in the query")
    if asked is not None and any(phrase.is_too_long for phrase in phrases):
        raise QueryError(f"a text to look for in photos has at most {MAX_PHRASE} letters: write fewer words")
    first = bool(wanted) or all(len(phrase.words) > 1 for phrase in phrases)
    return TextQuery(phrases, options.text_only, first) if phrases else None


def text_in_photo(query: Query, photo_id: int, catalog: Catalog) -> tuple[TextLine, ...]:
    """The lines that were read in a photo and hold words that the query adds."""
    wanted = [part for part in query.parts if part.is_words and part.weight > 0]
    phrases = [Phrase.of(part.value, loosely=part.kind is Kind.PRINTED) for part in wanted]
    found = found_lines(text_of(catalog.database, photo_id), phrases)
    return tuple(replace(line, text=visible(line.text)) for line in found)


def left_out(query: Query, catalog: Catalog) -> set[int]:
    """Ids of the photos that have a text which the query subtracts: `- text:"sale"`."""
    phrases = [
        Phrase.of(part.value, loosely=True)
        for part in query.parts
        if part.kind is Kind.PRINTED and part.weight < 0
    ]
    found = chain.from_iterable(rank_texts(catalog, [phrase]) for phrase in phrases)
    return photos_of_texts(catalog.database, [match.text_id for match in found if match.is_exact])


def fuse(
    texts: TextRanking,
    by_vector: Sequence[ScoredPhoto],
    vector: Float32,
    catalog: Catalog,
    model: Model,
    *,
    allowed: Ids | None,
    excluded: Collection[int],
    duplicates: bool,
) -> list[Hit]:
    """The photos of both rankings, the best first; of ties those with text, then by path.

    `vector`, float32[dim], is that of the query, and `by_vector` its ranking; the other arguments are those
    of `store.vectors.rerank.rank`.
    """
    matches = {match.text_id: match for match in texts.matches}
    text_ids = vectors_of_texts(catalog.database, model, list(matches))
    ids = np.array(sorted(text_ids), np.int64)
    if allowed is not None:
        ids = np.intersect1d(ids, allowed, assume_unique=True)
    scored = score(catalog, model, ids, vector, excluded=excluded, duplicates=duplicates)
    by_text = [(each, matches[text_ids[each.photo.vector_id]]) for each in scored]
    by_text.sort(key=_text_order)
    return [*by_text] if texts.query.only else _fused(by_text, by_vector, first=texts.query.first)


def _text_order(hit: tuple[ScoredPhoto, TextMatch]) -> tuple[tuple[int, int, float], float, bytes]:
    scored, match = hit
    return (match.fit, match.errors, match.rest), -scored.score, scored.photo.path


def _fused(
    by_text: Sequence[tuple[ScoredPhoto, TextMatch]], by_vector: Sequence[ScoredPhoto], *, first: bool
) -> list[Hit]:
    ranks = {each.photo.photo_id: rank for rank, each in enumerate(by_vector[:DEPTH], start=1)}
    fused: dict[int, tuple[tuple[bool, float, bool, bytes], Hit]] = {}
    exact_only = not first and any(match.is_exact for _, match in by_text)  # others are other words, mostly
    for rank, (each, match) in enumerate(by_text, start=1):
        key = each.photo.photo_id
        total = _share(rank) if match.is_exact or not exact_only else 0.0
        total += _share(ranks[key]) if key in ranks else 0.0
        fused[key] = (not (first and match.is_exact), -total, False, each.photo.path), (each, match)
    for rank, each in enumerate(by_vector, start=1):
        fused.setdefault(each.photo.photo_id, ((True, -_share(rank), True, each.photo.path), (each, None)))
    return [hit for _, hit in sorted(fused.values(), key=lambda entry: entry[0])]


def _share(rank: int) -> float:
    return 1 / (RANK_CONSTANT + rank)
