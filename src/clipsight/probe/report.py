"""Labelled vectors become a probe and a report of what it gets right on photos it has not seen.

Called by `learn`, `curve`, `evaluation.shift` and benchmarks.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

import clipsight
from clipsight.classification.dataset import LabelledVectors
from clipsight.core.errors import LabelError
from clipsight.metrics.classification import ClassificationMetrics, classification_metrics
from clipsight.probe.file import Probe
from clipsight.probe.head import Head, zero_shot_head
from clipsight.probe.logistic import Fit, Ints, fit

if TYPE_CHECKING:
    from clipsight.classification.prompts import TemplateSet
    from clipsight.models.encoder import Encoder
    from clipsight.probe.few_shot import Point

Alpha = float | Literal["auto"] | None
"""None: a plain probe; a number or "auto": one that starts from the words and is interpolated with them."""

TEST_SHARE = 0.2


@dataclass(frozen=True, eq=False)
class Report:
    """A probe, how it was fitted, and how it and zero-shot classification do on the test photos."""

    probe: Probe
    fit: Fit
    scores: ClassificationMetrics
    zero_shot: ClassificationMetrics
    photos: int
    """How many it was fitted on."""
    failures: tuple[tuple[Path, str], ...] = ()
    """Photos that could not be read, with the reason."""
    curve: "tuple[Point, ...]" = ()
    """The few-shot curve, where it was asked for."""

    def to_dict(self) -> dict[str, Any]:
        """The report as `--json` prints it."""
        return {
            "model": self.probe.model,
            "settings": dict(self.probe.settings),
            "test": self.scores.to_dict(),
            "zero_shot": self.zero_shot.to_dict(),
            "curve": [point.to_dict() for point in self.curve],
            "failures": [{"path": str(path), "reason": reason} for path, reason in self.failures],
        }


def fit_and_test(
    train: LabelledVectors,
    test: LabelledVectors,
    encoder: "Encoder",
    templates: "TemplateSet",
    *,
    alpha: Alpha = None,
    shots: int | None = None,
    seed: int = 0,
) -> Report:
    """Fit on `train`, or on `shots` photos a class of it, and judge on `test`, which has the same classes.

    `split` makes the two of one collection. Raises `LabelError` for more shots than photos.
    """
    words = zero_shot_head(train.classes, encoder, templates)
    chosen = train if shots is None else take(train, few(train, shots, np.random.default_rng(seed)))
    found = fit_head(chosen, words, alpha, seed=seed)
    scores = classification_metrics(found.head.logits(test.vectors), test.labels, test.classes)
    figures = {name: value for name, value in scores.to_dict().items() if name != "confusion"}
    settings = {
        "C": found.C,
        "alpha": found.alpha,
        "templates": None if alpha is None else list(templates.templates),
        "shots": shots,
        "photos": len(chosen),
        "validation_photos": found.judged,
        "seed": seed,
        "clipsight": clipsight.__version__,
    }
    head = Head(found.head.weights.astype(np.float32), found.head.bias.astype(np.float32))
    folder = encoder.folder
    probe = Probe(train.classes, head, folder.name, folder.fingerprint(), settings, figures)
    zero_shot = classification_metrics(words.logits(test.vectors), test.labels, test.classes)
    return Report(probe, found, scores, zero_shot, len(chosen), (*train.failures, *test.failures))


def fit_head(train: LabelledVectors, words: Head, alpha: Alpha, *, seed: int = 0) -> Fit:
    """The plain probe, or the one between `words`, the zero-shot head, and what the photos make of it."""
    if alpha is None:
        return fit(train.vectors, train.labels, seed=seed)
    check_alpha(alpha)
    return fit(train.vectors, train.labels, words, None if alpha == "auto" else alpha, seed=seed)


def check_alpha(alpha: Alpha) -> None:
    """Raises `LabelError` for a number that is not from 0 to 1."""
    if isinstance(alpha, float | int) and not 0 <= alpha <= 1:
        raise LabelError(f"alpha is {alpha:g}: choose a number from 0 (zero-shot) to 1, or auto")


def split(
    photos: LabelledVectors, share: float = TEST_SHARE, seed: int = 0
) -> tuple[LabelledVectors, LabelledVectors]:
    """Photos to learn from and photos to test on, `share` of every class and at least one.

    Raises `LabelError` for a class of a single photo.
    """
    rng = np.random.default_rng(seed)
    test: list[int] = []
    for label, name in enumerate(photos.classes):
        rows = rng.permutation(np.flatnonzero(photos.labels == label))
        if len(rows) < 2:
            raise LabelError(
                f"the class {name!r} has one readable photo: one to learn from and one to test on are needed "
                "(or another collection to test on: `test`)"
            )
        test += rows[: min(max(1, round(share * len(rows))), len(rows) - 1)].tolist()
    unseen = np.zeros(len(photos), bool)
    unseen[test] = True
    held_out = replace(take(photos, np.flatnonzero(unseen)), failures=())  # told once, by the others
    return take(photos, np.flatnonzero(~unseen)), held_out


def take(photos: LabelledVectors, rows: Ints) -> LabelledVectors:
    """Some of the photos; the failures are those of all."""
    paths = tuple(photos.paths[row] for row in rows.tolist())
    return LabelledVectors(photos.classes, paths, photos.vectors[rows], photos.labels[rows], photos.failures)


def few(photos: LabelledVectors, shots: int, rng: np.random.Generator) -> Ints:
    """Rows of `shots` photos of every class, drawn at random. Raises `LabelError` if a class has fewer."""
    check_shots(photos, shots)
    drawn = [rng.permutation(np.flatnonzero(photos.labels == label)) for label in range(len(photos.classes))]
    return np.sort(np.concatenate([rows[:shots] for rows in drawn]))


def check_shots(photos: LabelledVectors, shots: int) -> None:
    """Raises `LabelError` if a class has fewer photos than `shots`."""
    counts = np.bincount(photos.labels, minlength=len(photos.classes))
    if shots < 1 or shots > counts.min():
        least = photos.classes[int(counts.argmin())]
        raise LabelError(
            f"{shots} shots are asked for, but the class {least!r} has {counts.min()} photos to learn from"
        )


def same_classes(test: LabelledVectors, classes: Sequence[str]) -> LabelledVectors:
    """The photos with `classes` for theirs. Raises `LabelError` for a class that isn't among them."""
    for name in test.classes:
        if name not in classes:
            raise LabelError(f"the class {name!r} of the test photos is none of those to learn")
    number = np.array([list(classes).index(name) for name in test.classes])
    return LabelledVectors(tuple(classes), test.paths, test.vectors, number[test.labels], test.failures)
