"""Options of a search: one frozen object from the command line to the server."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypedDict, get_args

from clipsight.core.arguments import number, texts, whole_number
from clipsight.core.errors import QueryError
from clipsight.store.filters import EVERYTHING, Filters

Sort = Literal["score", "date", "path"]


class SearchKeywords(TypedDict, total=False):
    """Keyword arguments that stand for fields of `SearchOptions`, and two of its filters by short names."""

    offset: int
    min_score: float | None
    sort: Sort
    balance: bool
    sure: bool
    exact: bool
    duplicates: bool
    filters: Filters
    folders: Sequence[str | os.PathLike[str]]
    labels: Sequence[str]


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """Number, order and kind of the photos that a search returns. Raises `QueryError` for invalid values."""

    top: int = 10
    """photos to return, at least 1"""
    offset: int = 0
    """best photos to skip"""
    min_score: float | None = None
    """least cosine"""
    sort: Sort = "score"
    """order of the photos found: best, newest or by path"""
    balance: bool = True
    """scale each part of a mixed query (words and pictures) by the spread of its scores over the library"""
    sure: bool = False
    """only photos that match with confidence (see `confidence`); for queries of words alone"""
    exact: bool = False
    """compare all photos, even if the library has an approximate index"""
    duplicates: bool = False
    """return every copy of a photo (files with the same content) in place of one"""
    filters: Filters = EVERYTHING
    """photos to search among"""

    def __post_init__(self) -> None:
        whole_number(self.top, "top", least=1, required=True)
        whole_number(self.offset, "offset", required=True)
        if self.min_score is not None:
            number(self.min_score, "min_score")
        if self.sort not in get_args(Sort):
            raise QueryError(f"can't sort by {self.sort!r}: choose score, date or path")

    def updated(
        self,
        *,
        folders: Sequence[str | os.PathLike[str]] = (),
        labels: Sequence[str] = (),
        **changes: Any,
    ) -> "SearchOptions":
        """The options with `changes` to their fields; `folders` and `labels` are added to the filters."""
        options = replace(self, **changes) if changes else self
        if not (folders or labels):
            return options
        filters = replace(
            options.filters,
            folders=(*options.filters.folders, *texts(folders, "folders", paths=True)),
            labels=(*options.filters.labels, *texts(labels, "labels")),
        )
        return replace(options, filters=filters)


DEFAULT_OPTIONS = SearchOptions()
