"""Few-shot curve: accuracy on test photos by the number of training photos per class, next to zero-shot.

This is figure 6 of Radford et al. 2021 (arXiv:2103.00020) on the user's photos, for the plain probe and for
the one that starts from the zero-shot weights.
"""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from clipsight.classification.dataset import LabelledVectors
from clipsight.classification.splits import check_shots, sample_shots
from clipsight.core.errors import LabelError
from clipsight.probe.head import Head
from clipsight.probe.logistic import fit_head

MAX_SHOTS = 16
MAX_REPEATS = 1000
"""Maximum number of random samples per point: each is fitted twice, and all are in memory."""


@dataclass(frozen=True)
class CurvePoint:
    """Accuracies on the test photos, from 0 to 1, one per random sample of the training photos."""

    shots: int | None
    """Number of training photos per class; None: all photos, which is one sample."""
    photos: int
    """Number of training photos of all classes."""
    zero_shot: float
    probe: tuple[float, ...]
    tuned: tuple[float, ...]
    """Accuracies of the probe that starts from the zero-shot weights, with alpha "auto"."""

    def to_dict(self) -> dict[str, Any]:
        """A row of the CSV: means and standard deviations over the samples."""
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


def shots_up_to(train: LabelledVectors, shots: int | None = None) -> tuple[int, ...]:
    """Numbers of shots for the curve: 1, 2, 4, ... and `shots` (default: 16, or less for small classes).

    Raises `LabelError` as `check_shots` does.
    """
    if shots is None:
        smallest = int(np.bincount(train.labels, minlength=len(train.classes)).min())
        shots = min(MAX_SHOTS, smallest)
    check_shots(train, shots)
    powers = (2**exponent for exponent in range(shots.bit_length()))
    return tuple(sorted({*powers, shots}))


def few_shot_curve(
    train: LabelledVectors,
    test: LabelledVectors,
    zero_shot: Head,
    shots: Sequence[int],
    repeats: int,
    *,
    seed: int = 0,
) -> Iterator[CurvePoint]:
    """Yield a point for each number of shots, with `repeats` random samples, and one for all photos.

    `zero_shot` is the zero-shot head. C and alpha are chosen from the sampled photos alone. Raises
    `LabelError` if `repeats` is less than one, or for more shots than photos.
    """
    if repeats < 1:
        raise LabelError(f"`repeats` is {repeats}: it must be at least 1")
    for number in shots:
        samples = [sample_shots(train, number, seed=(seed, number, repeat))[0] for repeat in range(repeats)]
        yield _point(number, samples, test, zero_shot, seed)
    yield _point(None, [train], test, zero_shot, seed)


def to_csv(points: Sequence[CurvePoint]) -> str:
    """The curve as CSV, one line per point."""
    rows = [point.to_dict() for point in points]
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def _point(
    shots: int | None,
    samples: Sequence[LabelledVectors],
    test: LabelledVectors,
    zero_shot: Head,
    seed: int,
) -> CurvePoint:
    plain, tuned = (
        tuple(
            _accuracy(fit_head(sample.vectors, sample.labels, zero_shot, alpha, seed=seed).head, test)
            for sample in samples
        )
        for alpha in (None, "auto")
    )
    return CurvePoint(shots, len(samples[0]), _accuracy(zero_shot, test), plain, tuned)


def _accuracy(head: Head, test: LabelledVectors) -> float:
    return float((head.logits(test.vectors).argmax(1) == test.labels).mean())
