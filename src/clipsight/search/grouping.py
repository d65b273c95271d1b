"""Groups of photos that show the same, each around the one to keep.

Photos are visited from the best to the worst; each that is in no group yet takes those that match it. All
photos of a group therefore match the one to keep, and no chain of small differences joins two that differ.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from clipsight.core.arrays import Bool, Float32, Ids, Int64
from clipsight.core.progress import Progress
from clipsight.store.photo_columns import UNKNOWN, PhotoColumns
from clipsight.store.vectors.neighbours import Neighbours

SAME_COSINE = 0.94
BURST_COSINE = 0.90
"""Default minimum cosines, measured by `python -m benchmarks.duplicates`: see docs/duplicates.md."""

BURST_SECONDS = 10.0

_CHUNK = 1024
"""Photos that are compared at once."""


class Kind(IntEnum):
    """Relation of a photo to the one of its group to keep."""

    EXACT = 0
    """the same content, byte by byte"""
    SAME = 1
    """the same shot in another format, size, quality or crop"""
    BURST = 2
    """another shot of the same moment"""

    def __str__(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Rule:
    """Conditions for two photos of different content to be copies, or of one burst."""

    same: float | None
    """minimum cosine of two that are the same shot; None: not looked for"""
    burst: float | None
    """minimum cosine of two of a burst"""
    seconds: float
    """maximum time between the two of a burst"""

    @property
    def cosine(self) -> float | None:
        """Minimum cosine of any pair; None if only exact copies are looked for."""
        return min((each for each in (self.same, self.burst) if each is not None), default=None)

    def kinds(self, taken: int, others: Int64, cosines: Float32) -> Int64:
        """Kinds of pairs, int64[n], -1 for none: of a photo taken at `taken`, with others.

        Photos whose moments are known and differ are different shots, however alike.
        """
        kinds = np.full(len(others), -1)
        apart = np.where((others == UNKNOWN) | (taken == UNKNOWN), -1, np.abs(others - taken))
        if self.burst is not None:
            kinds[(cosines >= self.burst) & (apart >= 0) & (apart <= self.seconds)] = Kind.BURST
        if self.same is not None:
            kinds[(cosines >= self.same) & (apart <= 0)] = Kind.SAME
        return kinds


@dataclass(frozen=True, slots=True)
class Groups:
    """For each of n photos, the row of the one to keep (its own, if it is that or in no group)."""

    kept: Int64
    cosines: Float32
    """cosine with the one to keep, float32[n]"""
    kinds: Int64
    """`Kind` of each, int64[n]"""

    @classmethod
    def of(cls, count: int) -> "Groups":
        """Every photo on its own."""
        return cls(np.arange(count), np.ones(count, np.float32), np.full(count, Kind.EXACT))

    def is_kept(self, rows: Int64) -> Bool:
        """True for rows that belong to no other: bool[n]."""
        found: Bool = self.kept[rows] == rows
        return found

    def take(self, row: int, others: Int64, cosines: Float32, kinds: Int64) -> None:
        """Add those of `others` with a kind to the group of `row`."""
        matching = kinds >= 0
        self.kept[others[matching]] = row
        self.cosines[others[matching]] = cosines[matching]
        self.kinds[others[matching]] = kinds[matching]


_FORMAT_RANKS = {"RAW": 4, "TIFF": 3, "PNG": 2, "JXL": 1, "HEIF": 1, "AVIF": 1, "JPEG": 1, "JPEG2000": 1}
"""Formats from which more can be made come first; others, such as GIF and WebP, last."""


def preference(columns: PhotoColumns) -> Int64:
    """Rows, int64[n], from the photo that should be kept first.

    Whole before cut short; then by pixels, raw, metadata of a camera, format, bytes, age in the library.
    """
    ranks = np.array([_FORMAT_RANKS.get(name or "", 0) for name in columns.formats], np.int64)
    formats = ranks[columns.format_codes] if len(ranks) else columns.format_codes
    pixels = columns.widths * columns.heights
    is_raw = formats == _FORMAT_RANKS["RAW"]
    return np.lexsort(
        (
            columns.ids,
            -columns.sizes,
            -formats,
            ~columns.has_camera,
            ~is_raw,
            -pixels,
            ~columns.is_whole,
        )
    )


def flatten(groups: Groups) -> None:
    """Let copies of a photo that has joined another's group be of that group, too."""
    beneath = np.flatnonzero(~groups.is_kept(groups.kept))
    middle = groups.kept[beneath]
    groups.cosines[beneath], groups.kinds[beneath] = groups.cosines[middle], groups.kinds[middle]
    groups.kept[beneath] = groups.kept[middle]


def join_exact(columns: PhotoColumns, order: Int64, groups: Groups) -> None:
    """Join photos with the same content to the first of them in `order`."""
    _, first = np.unique(columns.contents[order], return_index=True)
    best = dict(zip(columns.contents[order][first].tolist(), order[first].tolist(), strict=True))
    groups.kept[:] = [best[content] for content in columns.contents.tolist()]


def join_similar(
    columns: PhotoColumns,
    order: Int64,
    neighbours: Neighbours,
    rule: Rule,
    groups: Groups,
    progress: Progress,
) -> None:
    """Join photos by `rule`, those first in `order` first; photos of a group and those without a vector stay.

    `progress` receives the number of photos compared, and of all. Memory does not grow with the size of a
    group: photos that match one of the same chunk are not compared with all others.
    """
    cosine = rule.cosine
    assert cosine is not None
    todo = order[groups.is_kept(order) & (columns.vector_ids[order] > 0)]
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    rows_by_id = np.argsort(columns.vector_ids)
    sorted_ids = columns.vector_ids[rows_by_id]
    for start in range(0, len(todo), _CHUNK):
        rows = todo[start : start + _CHUNK]
        rows = rows[groups.is_kept(rows)]
        vectors = neighbours.vectors(columns.vector_ids[rows])
        _join_each_other(columns, rows, vectors, rule, groups)
        kept = groups.is_kept(rows)
        rows, vectors = rows[kept], vectors[kept]
        for row, (ids, cosines) in zip(rows.tolist(), neighbours.within(vectors, cosine), strict=True):
            if len(ids) > 1:
                others = rows_by_id[np.searchsorted(sorted_ids, ids)]
                free = groups.is_kept(others) & (place[others] > place[row]) & ~np.isin(others, rows)
                _take(columns, row, others[free], cosines[free], rule, groups)
        progress(min(start + _CHUNK, len(todo)), len(todo))


def _join_each_other(
    columns: PhotoColumns, rows: Int64, vectors: Float32, rule: Rule, groups: Groups
) -> None:
    """Join photos of one chunk, best first."""
    cosines = np.triu(vectors @ vectors.T, 1)
    for place in np.flatnonzero((cosines >= rule.cosine).any(1)).tolist():
        if groups.kept[rows[place]] == rows[place]:
            near = np.flatnonzero(cosines[place] >= rule.cosine)
            near = near[groups.is_kept(rows[near])]
            _take(columns, int(rows[place]), rows[near], cosines[place, near], rule, groups)


def _take(
    columns: PhotoColumns, row: int, others: Int64, cosines: Float32, rule: Rule, groups: Groups
) -> None:
    groups.take(row, others, cosines, rule.kinds(int(columns.taken[row]), columns.taken[others], cosines))


def vector_ids_to_compare(columns: PhotoColumns, groups: Groups) -> Ids:
    """Ids, int64[n], of the vectors of photos that are not exact copies of another."""
    rows = np.arange(len(columns))
    ids: Ids = columns.vector_ids[groups.is_kept(rows) & (columns.vector_ids > 0)]
    return ids
