"""Labels of photos, stored in the catalog by classification, as a filter for searches.

A photo has at most one label of each *label set* (the labels of one classification, such as "cat" and
"dog"): the last one stored. Labels refer to the vector that was classified, and are deleted with it when the
photo's content changes or its model is deleted.
"""

import json
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from clipsight.core.arrays import Ids
from clipsight.core.errors import LabelError
from clipsight.core.text import nfc
from clipsight.store.database import Database
from clipsight.store.records import Model, State

_MAX_NAMED = 12


@dataclass(frozen=True, slots=True)
class PhotoLabel:
    """A photo's label and its probability; the label is None if no label fits."""

    photo_id: int
    label: str | None
    probability: float


@dataclass(frozen=True, slots=True)
class LabelCount:
    """A label and the number of photos that have it, in any label set."""

    label: str
    photos: int


def store_labels(
    database: Database, model: Model, labels: Sequence[str], photo_labels: Iterable[PhotoLabel]
) -> None:
    """Store the labels of photos, replacing their earlier labels of the same set, in one transaction.

    `labels` is the label set, in any order. Photos without a vector of `model` are skipped: they are not in
    the library (id 0), or were deleted meanwhile.
    """
    rows = list(photo_labels)
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


def give_label(database: Database, model: Model, label: str, photo_ids: Sequence[int]) -> int:
    """Give photos a label by hand, beside those that they have; returns the number of photos that got it.

    Photos without a vector of `model` are skipped.
    """
    label = nfc(label)
    before = len(_ids(database, model, label))
    new = [each for each in dict.fromkeys(photo_ids) if label not in labels_of_photo(database, model, each)]
    store_labels(database, model, [label], [PhotoLabel(each, label, 1.0) for each in new])
    return len(_ids(database, model, label)) - before


def take_label(database: Database, model: Model, label: str, photo_ids: Sequence[int]) -> int:
    """Take a label from photos, whoever gave it; returns the number of photos that lost it."""
    chosen = [
        photo_id
        for photo_id in dict.fromkeys(photo_ids)
        if nfc(label) in labels_of_photo(database, model, photo_id)
    ]
    forms = (label, nfc(label), unicodedata.normalize("NFD", label))
    with database.transaction():
        database.run_many(
            "DELETE FROM labels WHERE label IN (?, ?, ?) AND vector_id IN "
            "(SELECT id FROM vectors WHERE photo_id = ? AND model_id = ?)",
            [(*forms, photo_id, model.id) for photo_id in chosen],
        )
    return len(chosen)


def count_labels(database: Database, model: Model) -> list[LabelCount]:
    """The labels in NFC, without those of missing photos only, the most frequent first."""
    photos = (
        "count(DISTINCT v.photo_id) FROM label_sets s JOIN labels l ON l.set_id = s.id "
        "JOIN vectors v ON v.id = l.vector_id JOIN photos p ON p.id = v.photo_id "
        "WHERE s.model_id = ? AND p.state != ?"
    )
    counts: dict[str, int] = {}
    rows = database.rows(f"SELECT l.label, {photos} GROUP BY l.label", (model.id, State.MISSING))
    for label, count in rows:
        composed = nfc(label)
        if composed in counts:  # libraries of earlier versions have labels as they were typed
            forms = [other for other, _ in rows if nfc(other) == composed]
            marks = ", ".join("?" * len(forms))
            sql = f"SELECT {photos} AND l.label IN ({marks})"
            count = int(database.value(sql, (model.id, State.MISSING, *forms)))
        counts[composed] = count
    return [LabelCount(*each) for each in sorted(counts.items(), key=lambda each: (-each[1], each[0]))]


def labels_of_photo(database: Database, model: Model, photo_id: int) -> tuple[str, ...]:
    """The labels of one photo in NFC, of all label sets, sorted."""
    rows = database.rows(
        "SELECT DISTINCT l.label FROM vectors v JOIN labels l ON l.vector_id = v.id "
        "WHERE v.photo_id = ? AND v.model_id = ? ORDER BY 1",
        (photo_id, model.id),
    )
    return tuple(sorted({nfc(label) for (label,) in rows}))


def vector_ids_labelled(database: Database, model: Model, labels: Sequence[str]) -> Ids:
    """Ids, int64[n] ascending, of the vectors of photos that have any of `labels`.

    Raises `LabelError`, which lists the existing labels, for a label that no photo has.
    """
    found = [_ids(database, model, label) for label in labels]
    for label, ids in zip(labels, found, strict=True):
        if not len(ids):
            raise LabelError(_no_photo_has(label, count_labels(database, model)))
    return np.unique(np.concatenate([np.empty(0, np.int64), *found]))


def _ids(database: Database, model: Model, label: str) -> Ids:
    rows = database.rows(
        "SELECT l.vector_id FROM label_sets s CROSS JOIN labels l ON l.set_id = s.id "  # there are few sets
        "WHERE s.model_id = ? AND l.label IN (?, ?, ?)",  # earlier versions stored labels as typed
        (model.id, label, nfc(label), unicodedata.normalize("NFD", label)),
    )
    return np.fromiter((id_ for (id_,) in rows), dtype=np.int64, count=len(rows))


def _no_photo_has(label: str, existing: Sequence[LabelCount]) -> str:
    if not existing:
        return f"no photo has a label yet, so none is {label!r}: clipsight classify gives labels"
    names = ", ".join(count.label for count in existing[:_MAX_NAMED])
    more = f" and {len(existing) - _MAX_NAMED} more" if len(existing) > _MAX_NAMED else ""
    return f"no photo has the label {label!r}: there are {names}{more}"


def _set_id(database: Database, model: Model, labels: Sequence[str]) -> int:
    values = (model.id, json.dumps(sorted(labels), ensure_ascii=False))
    database.run("INSERT OR IGNORE INTO label_sets (model_id, labels) VALUES (?, ?)", values)
    return int(database.value("SELECT id FROM label_sets WHERE model_id = ? AND labels = ?", values))
