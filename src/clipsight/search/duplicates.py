"""Copies in a library: exact ones, the same shot in other files, and bursts, with one of each group to keep.

Nothing is ever deleted: a group is a proposal.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, TypedDict, overload

import numpy as np

from clipsight.core.arguments import number, texts, whole_number
from clipsight.core.arrays import Int64
from clipsight.core.errors import QueryError
from clipsight.core.progress import StageProgress, no_stage_progress
from clipsight.indexing.media.picture import Picture
from clipsight.search.grouping import (
    BURST_COSINE,
    BURST_SECONDS,
    SAME_COSINE,
    Groups,
    Kind,
    Rule,
    flatten,
    join_exact,
    join_similar,
    preference,
    vector_ids_to_compare,
)
from clipsight.store.catalog import Catalog
from clipsight.store.photo_columns import PhotoColumns
from clipsight.store.records import Model, PhotoRecord, State


class DuplicateKeywords(TypedDict, total=False):
    """Keyword arguments for the fields of `DuplicateOptions`."""

    kinds: Sequence[str]
    similarity: float
    burst_seconds: float
    top: int | None
    offset: int


@dataclass(frozen=True, slots=True)
class DuplicateOptions:
    """Kinds of copies, and how alike they have to be. Raises `QueryError` for invalid values."""

    kinds: Sequence[str] = ("exact", "same", "burst")
    """relations to look for: `exact` (the same content), `same` (the same shot), `burst`"""
    similarity: float = SAME_COSINE
    """minimum cosine of two files of the same shot"""
    burst_seconds: float = BURST_SECONDS
    """maximum time between a shot and the one to keep of its burst"""
    top: int | None = None
    """number of groups to return; None: all"""
    offset: int = 0
    """number of first groups to skip"""

    def __post_init__(self) -> None:
        number(self.similarity, "similarity", minimum=-1, maximum=1)
        number(self.burst_seconds, "burst_seconds", minimum=0)
        whole_number(self.top, "top", minimum=1)
        whole_number(self.offset, "offset", required=True)
        names = [str(kind) for kind in Kind]
        chosen = texts(self.kinds, "kinds")
        for kind in chosen:
            if kind not in names:
                raise QueryError(f"`kinds` are {', '.join(names)}, not {kind!r}")
        object.__setattr__(self, "kinds", chosen or tuple(names))

    @property
    def rule(self) -> Rule:
        """The conditions for photos of different content."""
        burst = min(BURST_COSINE, self.similarity)
        return Rule(
            self.similarity if "same" in self.kinds else None,
            burst if "burst" in self.kinds else None,
            self.burst_seconds,
        )


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A photo of a group; `kind` is its relation to the one to keep, None for that one itself.

    `similarity` is their cosine. `width` and `height` are pixels, `size` is bytes, `taken` is ISO 8601.
    """

    path: Path
    id: int
    kind: str | None
    similarity: float
    width: int | None
    height: int | None
    format: str | None
    size: int
    taken: str | None
    camera: str | None
    reachable: bool

    @property
    def picture(self) -> Picture:
        """The photo as a `Picture`, which opens it."""
        size = (self.width, self.height) if self.width and self.height else None
        return Picture(str(self.path), file=self.path, size=size)

    def to_dict(self) -> dict[str, Any]:
        """The photo as `--json` prints it."""
        return {
            "path": str(self.path),
            "id": self.id,
            "kind": self.kind,
            "similarity": round(self.similarity, 6),
            "width": self.width,
            "height": self.height,
            "format": self.format,
            "bytes": self.size,
            "taken": self.taken,
            "camera": self.camera,
        }


@dataclass(frozen=True, slots=True)
class DuplicateGroup:
    """Photos that show the same: the one to keep, and the others, the most alike first."""

    keep: Duplicate
    others: tuple[Duplicate, ...]

    @property
    def bytes(self) -> int:
        """Size of the others' files."""
        return sum(other.size for other in self.others)

    def to_dict(self) -> dict[str, Any]:
        """The group as `--json` prints it."""
        return {"keep": self.keep.to_dict(), "others": [other.to_dict() for other in self.others]}


@dataclass(frozen=True)
class Duplicates(Sequence[DuplicateGroup]):
    """Groups of copies, those first whose others take most space; `total` of them were found."""

    model: str
    groups: tuple[DuplicateGroup, ...]
    total: int
    photos: int
    """number of photos compared"""

    def __len__(self) -> int:
        return len(self.groups)

    def __iter__(self) -> Iterator[DuplicateGroup]:
        return iter(self.groups)

    @overload
    def __getitem__(self, index: int) -> DuplicateGroup: ...
    @overload
    def __getitem__(self, index: slice) -> "Duplicates": ...
    def __getitem__(self, index: int | slice) -> "DuplicateGroup | Duplicates":
        return self.groups[index] if isinstance(index, int) else replace(self, groups=self.groups[index])

    def __repr__(self) -> str:
        others = sum(len(group.others) for group in self.groups)
        return f"Duplicates({len(self)} groups, {others} photos beside those to keep)"

    def to_dict(self) -> dict[str, Any]:
        """Model, number of photos and groups as `--json` prints them."""
        groups = [group.to_dict() for group in self.groups]
        return {"model": self.model, "photos": self.photos, "total": self.total, "groups": groups}


def find_duplicates(
    catalog: Catalog,
    model: Model,
    folders: Sequence[bytes],
    options: DuplicateOptions,
    progress: StageProgress = no_stage_progress,
) -> Duplicates:
    """Groups of copies among the photos in and below `folders` (none: all), compared by `model`.

    With up to 20,000 photos every pair is compared; with more, a few pairs in a thousand may be missed (see
    `store.vectors.neighbours`).
    """
    columns = PhotoColumns.read(catalog.database, model, folders)
    groups = Groups.of(len(columns))
    order = preference(columns)
    join_exact(columns, order, groups)
    if options.rule.cosine is not None:
        _join_similar(catalog, model, columns, order, options.rule, groups, progress)
    flatten(groups)
    if "exact" not in options.kinds:
        exact = (groups.kinds == Kind.EXACT) & ~groups.is_kept(np.arange(len(columns)))
        groups.kept[exact] = np.flatnonzero(exact)
    rows_of_groups = _largest_first(groups, columns)
    end = None if options.top is None else options.offset + options.top
    chosen = rows_of_groups[options.offset : end]
    return Duplicates(
        model.name, tuple(_described(chosen, groups, columns, catalog)), len(rows_of_groups), len(columns)
    )


def _join_similar(
    catalog: Catalog,
    model: Model,
    columns: PhotoColumns,
    order: Int64,
    rule: Rule,
    groups: Groups,
    progress: StageProgress,
) -> None:
    from clipsight.store.vectors.neighbours import Neighbours

    ids = vector_ids_to_compare(columns, groups)
    if len(ids) > 1:
        neighbours = Neighbours(catalog, model, ids, lambda *counts: progress("reading vectors", *counts))
        join_similar(columns, order, neighbours, rule, groups, lambda *counts: progress("comparing", *counts))


def _largest_first(groups: Groups, columns: PhotoColumns) -> list[Int64]:
    """Rows of each group of two or more, the one to keep first; groups by the bytes of the others."""
    by_group = np.lexsort((~groups.is_kept(np.arange(len(columns))), groups.kept))
    bounds = np.flatnonzero(np.diff(groups.kept[by_group])) + 1
    found = [rows for rows in np.split(by_group, bounds) if len(rows) > 1]
    return sorted(found, key=lambda rows: (-int(columns.sizes[rows[1:]].sum()), int(columns.ids[rows[0]])))


def _described(
    chosen: Sequence[Int64], groups: Groups, columns: PhotoColumns, catalog: Catalog
) -> Iterator[DuplicateGroup]:
    """Yield the groups of these rows with what the catalog tells of each photo."""
    todo = iter(chosen)
    while part := list(islice(todo, 1000)):
        records = catalog.photos([int(columns.ids[row]) for rows in part for row in rows])
        for rows in part:
            members = [
                _duplicate(records[int(columns.ids[row])], groups, int(row))
                for row in rows
                if int(columns.ids[row]) in records  # others were deleted meanwhile
            ]
            if len(members) > 1:
                yield _with_best_path(members)


def _duplicate(photo: PhotoRecord, groups: Groups, row: int) -> Duplicate:
    is_kept = groups.kept[row] == row
    info = photo.info
    return Duplicate(
        path=Path(os.fsdecode(photo.path)),
        id=photo.id,
        kind=None if is_kept else str(Kind(int(groups.kinds[row]))),
        similarity=float(groups.cosines[row]),
        width=info.width,
        height=info.height,
        format=info.format,
        size=photo.size,
        taken=info.taken,
        camera=info.camera,
        reachable=photo.state is State.PRESENT,
    )


def _with_best_path(members: Sequence[Duplicate]) -> DuplicateGroup:
    """The group; among exact copies of the one to keep, a reachable one with the shortest path is kept."""
    first, *others = members
    equals = [first, *(other for other in others if other.kind == str(Kind.EXACT))]
    best = min(equals, key=_simplest_path)
    if best is not first:
        others = [other for other in others if other is not best]
        others.append(replace(first, kind=str(Kind.EXACT)))
    order = sorted(others, key=lambda each: (-each.similarity, each.path))
    return DuplicateGroup(replace(best, kind=None), tuple(order))


def _simplest_path(photo: Duplicate) -> tuple[bool, int, int, Path]:
    return not photo.reachable, len(photo.path.parts), len(str(photo.path)), photo.path
