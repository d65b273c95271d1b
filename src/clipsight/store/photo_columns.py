"""Photos by column, compact enough to compare a million of them: NumPy arrays instead of records."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from clipsight.core.arrays import Bool, Ids, Int64
from clipsight.store.database import Database
from clipsight.store.path_ranges import under
from clipsight.store.records import Model, State

UNKNOWN = -(1 << 62)
"""The date of a photo whose moment is not known, far before any other."""

_CHUNK = 20_000
_MOMENTS = ("exif", "xmp", "png", "sidecar", "takeout")
"""Sources of dates that tell the moment, not only the day, and of the photo, not of a file or a message."""


@dataclass(frozen=True, slots=True)
class PhotoColumns:
    """Columns of n photos, in the order of their ids; missing photos are left out."""

    ids: Ids
    """photo ids, int64[n]"""
    vector_ids: Ids
    """int64[n]; 0 for a photo without a vector"""
    contents: Ids
    """int64[n]: equal for files with the same content"""
    widths: Int64
    """pixels, int64[n]; 0 if unknown"""
    heights: Int64
    sizes: Int64
    """bytes, int64[n]"""
    taken: Int64
    """seconds since 1970 in local time, int64[n]; `UNKNOWN` for dates of files, names, and days alone"""
    formats: tuple[str | None, ...]
    """names of formats, which `format_codes` are indices of"""
    format_codes: Int64
    has_camera: Bool
    is_whole: Bool
    """False for photos of which only a part could be decoded"""
    is_present: Bool
    """False for photos whose folder can't be read now"""

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def read(cls, database: Database, model: Model, folders: Sequence[bytes] = ()) -> "PhotoColumns":
        """The photos in and below `folders` (default: all), with their vectors of `model`."""
        names: dict[str | None, int] = {}
        chunks = [_empty()]
        last = 0
        while rows := database.rows(*_statement(model, folders, last)):
            last = rows[-1][0]
            chunks.append(
                np.array(
                    [(*row[:7], names.setdefault(row[7], len(names)), *row[8:]) for row in rows], np.int64
                )
            )
        columns = np.concatenate(chunks).T
        ids, vector_ids, contents, widths, heights, sizes, taken, codes, camera, whole, present = columns
        return cls(
            ids,
            vector_ids,
            contents,
            widths,
            heights,
            sizes,
            taken,
            tuple(names),
            codes,
            camera.astype(np.bool_),
            whole.astype(np.bool_),
            present.astype(np.bool_),
        )


def _empty() -> Int64:
    return np.empty((0, 11), np.int64)


def _statement(model: Model, folders: Sequence[bytes], last: int) -> tuple[str, list[object]]:
    """The statement, with its arguments, for the next photos with ids above `last`."""
    conditions = [under(folder, "p.folder") for folder in folders]
    inside = " OR ".join(condition for condition, _ in conditions) or "1"
    moments = ", ".join(f"'{source}'" for source in _MOMENTS)
    sql = (
        "SELECT p.id, coalesce(v.id, 0), "
        "coalesce((SELECT min(same.id) FROM photos same WHERE same.hash = p.hash), p.id), "
        "coalesce(p.width, 0), coalesce(p.height, 0), p.size, "
        f"coalesce(CASE WHEN p.taken_source IN ({moments}) AND p.taken NOT LIKE '%T00:00:00' "
        f"THEN CAST(strftime('%s', p.taken) AS INTEGER) END, {UNKNOWN}), "
        "p.format, p.camera IS NOT NULL, p.partial IS NULL, p.state = ? "
        "FROM photos p LEFT JOIN vectors v ON v.photo_id = p.id AND v.model_id = ? "
        f"WHERE p.id > ? AND p.state != ? AND ({inside}) ORDER BY p.id LIMIT ?"
    )
    bounds = [bound for _, arguments in conditions for bound in arguments]
    return sql, [State.PRESENT, model.id, last, State.MISSING, *bounds, _CHUNK]
