"""Options of a search, the same object on the command line, in Python and on the server."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypedDict, get_args

from clipsight.core.arguments import number, texts, whole_number
from clipsight.core.errors import QueryError
from clipsight.store.filters import EVERYTHING, Filters

Sort = Literal["score", "date", "path"]


class SearchKeywords(TypedDict, total=False):
    """Keyword arguments for the fields of `SearchOptions`, and `folders` and `labels` of its filters."""

    offset: int
    min_score: float | None
    sort: Sort
    balance: bool
    sure: bool
    exact: bool
    duplicates: bool
    text: bool
    text_only: bool
    filters: Filters
    folders: Sequence[str | os.PathLike[str]]
    labels: Sequence[str]


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """Number, order and filters of a search's photos. Raises `QueryError` for invalid values."""

    top: int = 10
    """number of photos to return, at least 1"""
    offset: int = 0
    """number of best photos to skip"""
    min_score: float | None = None
    """minimum cosine"""
    sort: Sort = "score"
    """order of the returned photos: best first, newest first, or by path"""
    balance: bool = True
    """scale the parts of a mixed query (words and pictures) to equal spread of scores over the library"""
    sure: bool = False
    """return only photos that fit with confidence (see `confidence`); for queries without pictures"""
    exact: bool = False
    """compare all photos, even if the library has an approximate index"""
    duplicates: bool = False
    """return all files with the same content instead of one of them"""
    text: bool = True
    """also rank by the text that was read in photos, if any was (see `fusion`)"""
    text_only: bool = False
    """return only photos that have the query's words in their text"""
    filters: Filters = EVERYTHING
    """photos to search among"""

    def __post_init__(self) -> None:
        whole_number(self.top, "top", minimum=1, required=True)
        whole_number(self.offset, "offset", required=True)
        if self.min_score is not None:
            number(self.min_score, "min_score")
        if self.sort not in get_args(Sort):
            raise QueryError(f"can't sort by {self.sort!r}: choose score, date or path")
        if self.text_only and not self.text:
            raise QueryError("`text_only` and `text=False` exclude each other: choose one")

    def updated(
        self,
        *,
        folders: Sequence[str | os.PathLike[str]] = (),
        labels: Sequence[str] = (),
        **changes: Any,
    ) -> "SearchOptions":
        """A copy with `changes` to the fields; `folders` and `labels` are added to the filters."""
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
