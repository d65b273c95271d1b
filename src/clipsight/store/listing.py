"""All photos in one order, for browsing a library without a query."""

import numpy as np

from clipsight.core.arrays import Ids
from clipsight.store.database import Database
from clipsight.store.records import Model, State


def newest_first(
    database: Database, model: Model, *, allowed: Ids | None = None, duplicates: bool = False
) -> Ids:
    """Ids of the vectors of all photos but missing ones, int64[n]: newest first, undated last, ties by path.

    `allowed` are the vector ids to choose among, ascending; None for all. Without `duplicates`, photos with
    the same content are one photo, as in a search: the first that can be reached.
    """
    rows = database.rows(
        "SELECT v.id, p.hash, p.state FROM photos p CROSS JOIN vectors v "
        "ON v.photo_id = p.id AND v.model_id = ? WHERE p.state != ? ORDER BY p.taken DESC, p.folder, p.name",
        (model.id, State.MISSING),
    )
    if allowed is not None:
        ids = np.fromiter((row[0] for row in rows), np.int64, len(rows))
        rows = [rows[place] for place in np.flatnonzero(np.isin(ids, allowed))]
    if not duplicates:
        rows = _without_copies(rows)
    return np.fromiter((row[0] for row in rows), np.int64, len(rows))


def _without_copies(rows: list[tuple[int, bytes | None, int]]) -> list[tuple[int, bytes | None, int]]:
    chosen: dict[bytes | int, tuple[int, bytes | None, int]] = {}
    for row in rows:
        content = row[1] or row[0]
        kept = chosen.setdefault(content, row)
        if kept[2] != State.PRESENT and row[2] == State.PRESENT:
            chosen[content] = row
    return list(chosen.values())
