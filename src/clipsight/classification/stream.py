"""Predictions that are computed while they are iterated over, with a preview for notebooks."""

from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

from clipsight.classification.predictions import Prediction, Predictions, best_labels
from clipsight.core.extras import require
from clipsight.search.notebook import SHOWN, Row, table

if TYPE_CHECKING:
    import pandas

_COLUMNS = 5
"""Labels up to which each has a column in a notebook; for more, the best of each photo are shown."""


class Peekable(Iterator[Predictions]):
    """An iterator of chunks that can read ahead the first `SHOWN` photos, and remembers them."""

    def __init__(self, chunks: Iterator[Predictions]) -> None:
        self._chunks = chunks
        self._ahead: deque[Predictions] = deque()
        self._first: list[Prediction] = []
        self._ended = False

    def __next__(self) -> Predictions:
        return self._ahead.popleft() if self._ahead else self._read()

    def first(self) -> tuple[list[Prediction], bool]:
        """The first photos, and True if there may be more. Iteration is not affected."""
        while len(self._first) <= SHOWN and not self._ended:
            try:
                self._ahead.append(self._read())
            except StopIteration:
                self._ended = True
        return self._first[:SHOWN], not self._ended or len(self._first) > SHOWN

    def _read(self) -> Predictions:
        chunk = next(self._chunks)
        for prediction in islice(chunk, SHOWN + 1 - len(self._first)):
            kept = prediction.probabilities.copy()  # a view of a row would keep the whole chunk in memory
            self._first.append(replace(prediction, probabilities=kept))
        return chunk


class StreamedPredictions:
    """Photos that are classified while this object, or `chunks`, is iterated over; this is possible once.

    A notebook shows the first photos, which are then classified; iteration still includes them.
    """

    chunks: Iterator[Predictions]

    def __post_init__(self) -> None:
        object.__setattr__(self, "chunks", Peekable(self.chunks))

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels, in the order of the probabilities."""
        raise NotImplementedError

    @property
    def summary(self) -> str:
        """Model and scoring, as part of a line."""
        raise NotImplementedError

    def __iter__(self) -> Iterator[Prediction]:
        for chunk in self.chunks:
            yield from chunk

    def to_dataframe(self) -> "pandas.DataFrame":
        """All photos as a pandas data frame: path, id, best label, its probability, then each label's.

        Photos that were iterated over before are not included. Raises `LibraryError` if pandas is not
        installed.
        """
        pandas = require("notebook", "pandas")
        photos = list(self)
        best = pandas.DataFrame(
            [(str(each.path), each.id, each.label, each.probability) for each in photos],
            columns=["path", "id", "label", "probability"],
        )
        rows = [each.probabilities for each in photos]
        labels = pandas.DataFrame(rows, columns=list(self.labels), dtype="float32")
        return pandas.concat([best, labels], axis=1)  # concat allows a label "path", too

    def _repr_html_(self) -> str:
        """The first photos with their labels, for notebooks."""
        assert isinstance(self.chunks, Peekable)
        first, more = self.chunks.first()
        if len(self.labels) <= _COLUMNS:
            header = self.labels
            cells = [tuple(f"{value:.3f}" for value in each.probabilities) for each in first]
        else:
            header = ("best labels",)
            cells = [(_best(each),) for each in first]
        rows = [Row(each.picture, row) for each, row in zip(first, cells, strict=True)]
        return table(self.summary, header, rows, more=more)


def _best(photo: Prediction) -> str:
    order = best_labels(photo.probabilities[None], _COLUMNS)[0].tolist()
    return ", ".join(f"{photo.labels[index]} {photo.probabilities[index]:.3f}" for index in order)
