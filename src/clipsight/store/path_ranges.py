"""Folders as intervals of paths, so that an index of paths finds all folders below a folder.

Paths are bytes in byte order, intervals are half-open. The folders below `/a` are those from
`/a/` up to `/a0`, as "0" follows "/"; `/a b` and `/a.jpg` lie between `/a` and `/a/`.
"""

from collections.abc import Iterable

Interval = tuple[bytes, bytes]


def intervals_of(folder: bytes) -> list[Interval]:
    """Intervals that hold the paths of `folder` and of all folders below it."""
    base = folder.rstrip(b"/")
    below = (base + b"/", base + b"0")
    return [(base, base + b"\0"), below] if base else [below]


def merged(intervals: Iterable[Interval]) -> list[Interval]:
    """Intervals with the same paths that don't overlap, sorted."""
    joined: list[Interval] = []
    for low, high in sorted(intervals):
        if joined and low <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], high))
        else:
            joined.append((low, high))
    return joined


def gaps(intervals: list[Interval]) -> list[Interval]:
    """The complement: intervals of all other absolute paths. `intervals` must be `merged`."""
    ((start, end),) = intervals_of(b"/")
    bounds = [start, *(bound for interval in intervals for bound in interval), end]
    return [(low, high) for low, high in zip(bounds[::2], bounds[1::2], strict=True) if low < high]


def under(folder: bytes, column: str = "folder") -> tuple[str, list[bytes]]:
    """SQL condition, with its arguments, that `column` is `folder` or a folder below it."""
    intervals = intervals_of(folder)
    condition = " OR ".join(f"({column} >= ? AND {column} < ?)" for _ in intervals)
    return f"({condition})", [bound for interval in intervals for bound in interval]
