"""The few-shot curve: accuracy on unseen photos over photos a class, beside zero-shot classification.

Figure 6 of Radford et al. 2021 on one's own photos, with the probe that starts from the words beside the
plain one. Called by `cli` and benchmarks.
"""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from clipsight.classification.dataset import LabelledVectors
from clipsight.core.errors import LabelError
from clipsight.probe.head import Head
from clipsight.probe.report import check_shots, few, fit_head, take

MOST_SHOTS = 16


@dataclass(frozen=True)
class Point:
    """Accuracies on the test photos after so many photos a class, one a draw; shares from 0 to 1."""

    shots: int | None
    """None: all photos, which is one draw."""
    photos: int
    """In all classes together."""
    zero_shot: float
    probe: tuple[float, ...]
    tuned: tuple[float, ...]
    """Of the probe that starts from zero-shot, with alpha "auto"."""

    def to_dict(self) -> dict[str, Any]:
        """A row of the CSV: means, and standard deviations over the draws."""
        return {
            "shots": "all" if self.shots is None else self.shots,
            "photos": self.photos,
            "draws": len(self.probe),
            "zero_shot": round(self.zero_shot, 6),
            "probe": round(float(np.mean(self.probe)), 6),
            "probe_std": round(float(np.std(self.probe)), 6),
            "tuned": round(float(np.mean(self.tuned)), 6),
            "tuned_std": round(float(np.std(self.tuned)), 6),
        }


def shots_up_to(train: LabelledVectors, most: int | None = None) -> tuple[int, ...]:
    """1, 2, 4, ... and `most` itself; by default 16, or what the smallest class has if that is less.

    Raises `LabelError` for more shots than photos.
    """
    if most is None:
        least = int(np.bincount(train.labels, minlength=len(train.classes)).min())
        most = min(MOST_SHOTS, least)
    check_shots(train, most)
    powers = (2**exponent for exponent in range(most.bit_length()))
    return tuple(sorted({*powers, most}))


def curve(
    train: LabelledVectors,
    test: LabelledVectors,
    words: Head,
    shots: Sequence[int],
    repeats: int,
    *,
    seed: int = 0,
) -> Iterator[Point]:
    """One point for each number of shots, with `repeats` draws, and one for all photos, as they are done.

    `words` is the zero-shot head. Everything is chosen from the photos drawn alone.
    """
    if repeats < 1:
        raise LabelError(f"repeats is {repeats}: one draw or more are needed")
    zero_shot = _accuracy(words, test)
    for number in shots:
        draws = []
        for repeat in range(repeats):
            rng = np.random.default_rng([seed, number, repeat])
            draws.append(take(train, few(train, number, rng)))
        yield _point(number, draws, test, words, zero_shot, seed)
    yield _point(None, [train], test, words, zero_shot, seed)


def to_csv(points: Sequence[Point]) -> str:
    """The curve as CSV, one line a point."""
    rows = [point.to_dict() for point in points]
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def _point(
    shots: int | None,
    draws: Sequence[LabelledVectors],
    test: LabelledVectors,
    words: Head,
    zero_shot: float,
    seed: int,
) -> Point:
    plain = tuple(_accuracy(fit_head(draw, words, None, seed=seed).head, test) for draw in draws)
    tuned = tuple(_accuracy(fit_head(draw, words, "auto", seed=seed).head, test) for draw in draws)
    return Point(shots, len(draws[0]), zero_shot, plain, tuned)


def _accuracy(head: Head, test: LabelledVectors) -> float:
    return float((head.logits(test.vectors).argmax(1) == test.labels).mean())
