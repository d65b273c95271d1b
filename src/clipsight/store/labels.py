"""Labels that classification gave to photos: kept in the catalog's file, a filter for searches.

Photos are labelled with one of a *label set*, such as "cat" and "dog", and keep one label of each set: the
last one given. Labels hang on the vector that was classified: where a photo's content changes, or its
vector or model is dropped, they go too. Called by `library`.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from clipsight.core.arrays import Ids
from clipsight.core.errors import LabelError
from clipsight.store.database import Database
from clipsight.store.records import Model, State

_NAMED = 12


@dataclass(frozen=True, slots=True)
class GivenLabel:
    """The label that a photo got, and with what probability; no label where none fits."""

    photo_id: int
    label: str | None
    probability: float


@dataclass(frozen=True, slots=True)
class LabelCount:
    """How many photos have a label, of whichever set."""

    label: str
    photos: int


def give_labels(database: Database, model: Model, labels: Sequence[str], given: Iterable[GivenLabel]) -> None:
    """Note which of `labels` photos got, in place of what they had of this set (order does not matter).

    Photos that have no vector of `model` get none: not in the library (id 0), or forgotten meanwhile.
    All are written or, where that fails, none.
    """
    rows = list(given)
    with database.transaction():
        set_id = _set_id(database, model, labels)
        database.run_many(
            "DELETE FROM labels WHERE set_id = ? AND vector_id IN "
            "(SELECT id FROM vectors WHERE photo_id = ? AND model_id = ?)",
            [(set_id, row.photo_id, model.id) for row in rows],
        )
        database.run_many(
            "INSERT OR REPLACE INTO labels (vector_id, set_id, label, probability) "
            "SELECT id, ?, ?, ? FROM vectors WHERE photo_id = ? AND model_id = ?",
            [
                (set_id, row.label, row.probability, row.photo_id, model.id)
                for row in rows
                if row.label is not None
            ],
        )


def count_labels(database: Database, model: Model) -> list[LabelCount]:
    """The labels that photos which may be shown have, the most frequent first."""
    rows = database.rows(
        "SELECT l.label, count(DISTINCT v.photo_id) FROM label_sets s JOIN labels l ON l.set_id = s.id "
        "JOIN vectors v ON v.id = l.vector_id JOIN photos p ON p.id = v.photo_id "
        "WHERE s.model_id = ? AND p.state != ? GROUP BY l.label ORDER BY 2 DESC, 1",
        (model.id, State.MISSING),
    )
    return [LabelCount(label, photos) for label, photos in rows]


def labels_of_photo(database: Database, model: Model, photo_id: int) -> tuple[str, ...]:
    """The labels of one photo, of all sets, in order."""
    rows = database.rows(
        "SELECT DISTINCT l.label FROM vectors v JOIN labels l ON l.vector_id = v.id "
        "WHERE v.photo_id = ? AND v.model_id = ? ORDER BY 1",
        (photo_id, model.id),
    )
    return tuple(label for (label,) in rows)


def vector_ids_labelled(database: Database, model: Model, labels: Sequence[str]) -> Ids:
    """Ids, int64[n] ascending, of the vectors of photos that have any of `labels`.

    Raises `LabelError` for a label that no photo has, saying which ones there are.
    """
    found = [_ids(database, model, label) for label in labels]
    for label, ids in zip(labels, found, strict=True):
        if not len(ids):
            raise LabelError(_no_photo_has(label, count_labels(database, model)))
    return np.unique(np.concatenate([np.empty(0, np.int64), *found]))


def _ids(database: Database, model: Model, label: str) -> Ids:
    rows = database.rows(
        "SELECT l.vector_id FROM label_sets s CROSS JOIN labels l ON l.set_id = s.id "  # sets are few
        "WHERE s.model_id = ? AND l.label = ?",
        (model.id, label),
    )
    return np.fromiter((id_ for (id_,) in rows), dtype=np.int64, count=len(rows))


def _no_photo_has(label: str, there: Sequence[LabelCount]) -> str:
    if not there:
        return f"no photo has a label yet, so none is {label!r}: clipsight classify gives labels"
    names = ", ".join(count.label for count in there[:_NAMED])
    more = f" and {len(there) - _NAMED} more" if len(there) > _NAMED else ""
    return f"no photo has the label {label!r}: there are {names}{more}"


def _set_id(database: Database, model: Model, labels: Sequence[str]) -> int:
    values = (model.id, json.dumps(sorted(labels), ensure_ascii=False))
    database.run("INSERT OR IGNORE INTO label_sets (model_id, labels) VALUES (?, ?)", values)
    return int(database.value("SELECT id FROM label_sets WHERE model_id = ? AND labels = ?", values))
