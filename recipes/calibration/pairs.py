"""Pairs of photo and text to be judged: the best photos of queries, and the best labels of photos."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from clipsight.search.confidence import SURE_DEPTH, Spread, features

from .data import LABELLED_SETS, Photos, Vectors, bucket
from .queries import FITS, FITS_NOT, UNKNOWN, Query, load_things

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

FOLDS = 5
LIBRARY = 300
"""Captioned photos of a library, as a small album has."""

_DEALT = {"captioned": 4, "mixed": 1}
"""Libraries of each kind; of each set with labels there is one."""


_TASKS = 400
_PHOTOS_OF_TASK = 150
_MOST_LABELS = 12
_TOP_OF_DOUBT = 3


@dataclass(frozen=True, eq=False)
class Asked:
    """Queries with their unit vectors, float32[n, dim]."""

    queries: tuple[Query, ...]
    vectors: Vectors

    def folds(self) -> Ints:
        """Fold of each query, by a hash of its thing."""
        return np.array([bucket(query.thing, FOLDS) for query in self.queries])

    def forms(self) -> npt.NDArray[np.str_]:
        return np.array([query.form for query in self.queries])

    def languages(self) -> npt.NDArray[np.str_]:
        return np.array([query.language for query in self.queries])

    def truth(self) -> npt.NDArray[np.int8]:
        """int8[photos, queries]"""
        return np.stack([query.truth for query in self.queries], axis=1)


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs, one an entry; in `best_photos` those of a query in a library follow each other, best first."""

    features: Floats
    photo: Ints
    query: Ints
    group: Ints
    """Library or set of labels."""
    kind: npt.NDArray[np.str_]
    """captioned, mixed or the set with labels"""
    truth: npt.NDArray[np.int8]
    fitting: Ints
    """Photos of the library that fit the query, or labels that fit the photo; -1 where nobody can tell"""
    choices: Ints
    """Labels among which the best was chosen; 1 for queries"""

    def __len__(self) -> int:
        return len(self.query)

    def where(self, chosen: npt.NDArray[np.bool_]) -> Pairs:
        return Pairs(*(getattr(self, name)[chosen] for name in self.__dataclass_fields__))

    @staticmethod
    def joined(parts: Sequence[Pairs]) -> Pairs:
        return Pairs(
            *(np.concatenate([getattr(part, name) for part in parts]) for name in Pairs.__dataclass_fields__)
        )


def best_photos(photos: Photos, asked: Asked, half: int, spreads: tuple[Spread, Spread]) -> Pairs:
    """The best photos of every query in libraries of one half of the photos."""
    truth = asked.truth()
    parts = []
    for group, (kind, rows) in enumerate(_libraries(photos, half)):
        cosines = photos.vectors[rows] @ asked.vectors.T
        count = min(SURE_DEPTH, len(rows))
        best = np.argsort(-cosines, axis=0, kind="stable")[:count]
        local = truth[rows]
        fitting = (local == FITS).sum(axis=0)
        doubtful = (np.take_along_axis(local, best[:_TOP_OF_DOUBT], 0) == UNKNOWN).any(axis=0)
        fitting = np.where(doubtful & (fitting == 0), -1, fitting)
        judged = np.flatnonzero((local != UNKNOWN).any(axis=0) & (fitting >= 0))
        query = np.repeat(judged, count)
        chosen = rows[best[:, judged].T.ravel()]
        parts.append(
            Pairs(
                features(*spreads, photos.vectors, asked.vectors, chosen, query),
                chosen,
                query,
                np.full(len(query), group),
                np.full(len(query), kind),
                truth[chosen, query],
                fitting[query],
                np.ones(len(query), np.int64),
            )
        )
    return Pairs.joined(parts)


def best_labels(photos: Photos, asked: Asked, half: int, spreads: tuple[Spread, Spread]) -> Pairs:
    """The best label of photos that have one of some labels, and of strangers, of one half of the photos."""
    random = np.random.default_rng(half)
    truth = asked.truth()
    forms, folds = asked.forms(), asked.folds()
    nouns = np.isin(forms, ("noun", "a noun"))
    subjects = {thing.name for thing in load_things() if thing.subject}
    own = photos.half == half
    usual = np.flatnonzero(
        nouns
        & np.array([query.thing in subjects for query in asked.queries])
        & (truth[own & photos.captioned] == FITS).any(axis=0)
    )
    of_set = {
        kind: np.flatnonzero(nouns & (truth[photos.sources == kind] == FITS).any(axis=0))
        for kind in LABELLED_SETS
    }
    parts = []
    for group in range(_TASKS):
        kind = "captioned" if random.random() < 0.5 else str(random.choice(LABELLED_SETS))
        fold = int(random.integers(FOLDS))  # all labels of a task are fitted, or measured, together
        pool = usual if kind == "captioned" else of_set[kind]
        if kind in ("captioned", "caltech101"):
            pool = pool[folds[pool] == fold]
        labels = _distinct(random.permutation(pool), asked)[: int(random.integers(2, _MOST_LABELS + 1))]
        if len(labels) < 2:
            continue
        local = truth[:, labels]
        known = np.flatnonzero(own & ((local == FITS).sum(axis=1) == 1))
        strange = np.flatnonzero(own & (local == FITS_NOT).all(axis=1))
        rows = np.concatenate([random.permutation(some)[:_PHOTOS_OF_TASK] for some in (known, strange)])
        if not len(rows):
            continue
        best = labels[(photos.vectors[rows] @ asked.vectors[labels].T).argmax(axis=1)]
        parts.append(
            Pairs(
                features(*spreads, photos.vectors, asked.vectors, rows, best),
                rows,
                best,
                np.full(len(rows), group),
                np.full(len(rows), kind),
                truth[rows, best],
                (local[rows] == FITS).sum(axis=1),
                np.full(len(rows), len(labels)),
            )
        )
    return Pairs.joined(parts)


def _libraries(photos: Photos, half: int) -> Iterator[tuple[str, Ints]]:
    random = np.random.default_rng(half)
    own = photos.half == half
    captioned = np.flatnonzero(own & photos.captioned)
    others = np.flatnonzero(own & ~photos.captioned)
    for _ in range(_DEALT["captioned"]):
        yield "captioned", random.permutation(captioned)[:LIBRARY]
    for _ in range(_DEALT["mixed"]):
        yield "mixed", np.concatenate([random.permutation(rows)[:LIBRARY] for rows in (captioned, others)])
    for kind in LABELLED_SETS:
        yield kind, np.flatnonzero(own & (photos.sources == kind))


def _distinct(labels: Ints, asked: Asked) -> Ints:
    """The first label of each thing."""
    _, first = np.unique([asked.queries[label].thing for label in labels], return_index=True)
    return labels[np.sort(first)]
