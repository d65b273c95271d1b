"""Fitting of a probe to labelled photos, and a report of its metrics on held-out photos."""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import clipsight
from clipsight.classification.dataset import LabelledVectors, read_labelled
from clipsight.classification.prompts import TemplateSet, load_templates
from clipsight.classification.splits import sample_shots, train_test_split
from clipsight.core.arguments import whole_number
from clipsight.core.errors import LabelError
from clipsight.core.extras import require
from clipsight.core.files import atomic_write
from clipsight.core.paths import expand
from clipsight.core.text import to_json
from clipsight.metrics.classification import ClassificationMetrics, classification_metrics
from clipsight.probe.embedding import embed_labelled, evaluation_library_for
from clipsight.probe.few_shot import MAX_REPEATS, CurvePoint, few_shot_curve, shots_up_to, to_csv
from clipsight.probe.file import Probe
from clipsight.probe.head import Head, zero_shot_head
from clipsight.probe.logistic import Alpha, Fit, check_alpha, fit_head

if TYPE_CHECKING:
    from clipsight.core.progress import ProgressLike
    from clipsight.indexing.report import Observer
    from clipsight.library import Library
    from clipsight.models.encoder import Encoder

PathLike = str | os.PathLike[str]


@dataclass(frozen=True, eq=False)
class Report:
    """A probe, its hyperparameters, and its metrics on the test photos next to those of zero-shot."""

    probe: Probe
    fit: Fit
    scores: ClassificationMetrics
    zero_shot: ClassificationMetrics
    photos: int
    """Number of training photos."""
    failures: tuple[tuple[Path, str], ...] = ()
    """Photos that could not be read, with the reason."""
    curve: tuple[CurvePoint, ...] = ()
    """The few-shot curve, with `repeats`."""

    def to_dict(self) -> dict[str, Any]:
        """The report for JSON."""
        return {
            "model": self.probe.model,
            "settings": dict(self.probe.settings),
            "test": self.scores.to_dict(),
            "zero_shot": self.zero_shot.to_dict(),
            "curve": [point.to_dict() for point in self.curve],
            "failures": [{"path": str(path), "reason": reason} for path, reason in self.failures],
        }

    def save(self, folder: PathLike) -> None:
        """Write report.json and confusion.png, and curve.csv and curve.png if there is a curve.

        The folder is created if it does not exist. Needs matplotlib. Raises `LabelError`.
        """
        from clipsight.probe.plots import confusion_png, curve_png

        title = f"probe on {self.probe.model}"
        files = {
            "report.json": to_json(self.to_dict()).encode(),
            "confusion.png": confusion_png(self.scores, title),
        }
        if self.curve:
            files["curve.csv"] = to_csv(self.curve).encode()
            files["curve.png"] = curve_png(self.curve, title)
        target = expand(folder)
        try:
            target.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LabelError(f"can't make the folder {target}: {error.strerror}") from error
        for name, content in files.items():
            with atomic_write(target / name, error=LabelError) as temporary:
                temporary.write_bytes(content)


def fit(
    source: PathLike,
    library: "Library",
    *,
    test: PathLike | None = None,
    alpha: Alpha = None,
    shots: int | None = None,
    repeats: int | None = None,
    templates: TemplateSet | None = None,
    seed: int = 0,
    progress: "Observer | ProgressLike" = None,
    on_point: Callable[[CurvePoint], None] = lambda point: None,
) -> Report:
    """Fit a probe to `source`, class folders or a CSV, and test it on held-out photos.

    The photos are embedded by the model of `library`, but not added to it. A fifth of every class is held out
    for testing, unless `test` is another collection of the same classes. `shots` is the number of training
    photos per class (default: all). With `alpha`, from 0 (zero-shot) to 1 or "auto", the probe starts from
    the zero-shot weights of `templates` (default: "simple"). `repeats` adds the few-shot curve, up to
    `shots`, with that many random samples per point; `on_point` is called with each point. Needs
    scikit-learn. Raises `LabelError`.
    """
    require("probe", "sklearn", "safetensors")  # raises before indexing, which may take an hour
    check_alpha(alpha)
    whole_number(shots, "shots", minimum=1, error=LabelError)
    whole_number(repeats, "repeats", minimum=1, maximum=MAX_REPEATS, error=LabelError)
    whole_number(seed, "seed", required=True, error=LabelError)
    templates = templates or load_templates("simple")
    labelled = read_labelled(expand(source))
    labelled_test = read_labelled(expand(test)) if test is not None else None
    with evaluation_library_for(library) as separate:
        photos = embed_labelled(labelled, separate, progress=progress)
        test_photos = embed_labelled(labelled_test, separate, progress=progress) if labelled_test else None
    if test_photos is None:
        train, held_out = train_test_split(photos, seed=seed)
    else:
        train, held_out = photos, test_photos.with_classes(photos.classes)
    curve_shots = shots_up_to(train, shots) if repeats is not None else ()
    report = fit_and_test(train, held_out, library.encoder, templates, alpha=alpha, shots=shots, seed=seed)
    if repeats is None:
        return report
    zero_shot = zero_shot_head(train.classes, library.encoder, templates)
    points = []
    for point in few_shot_curve(train, held_out, zero_shot, curve_shots, repeats, seed=seed):
        on_point(point)
        points.append(point)
    return replace(report, curve=tuple(points))


def fit_and_test(
    train: LabelledVectors,
    test: LabelledVectors,
    encoder: "Encoder",
    templates: TemplateSet,
    *,
    alpha: Alpha = None,
    shots: int | None = None,
    seed: int = 0,
) -> Report:
    """Fit a probe to `train`, or to `shots` photos per class of it, and test it on `test`.

    Both must have the same classes. Raises `LabelError` for more shots than photos.
    """
    zero_shot = zero_shot_head(train.classes, encoder, templates)
    sample = train if shots is None else sample_shots(train, shots, seed=seed)[0]
    fitted = fit_head(sample.vectors, sample.labels, zero_shot, alpha, seed=seed)
    scores = classification_metrics(fitted.head.logits(test.vectors), test.labels, test.classes)
    figures = {name: value for name, value in scores.to_dict().items() if name != "confusion"}
    settings = {
        "C": fitted.C,
        "alpha": fitted.alpha,
        "templates": None if alpha is None else list(templates.templates),
        "shots": shots,
        "photos": len(sample),
        "validation_photos": fitted.validation_photos,
        "seed": seed,
        "clipsight": clipsight.__version__,
    }
    head = Head(fitted.head.weights.astype(np.float32), fitted.head.bias.astype(np.float32))
    folder = encoder.folder
    probe = Probe(train.classes, head, folder.name, folder.fingerprint(), settings, figures)
    zero_shot_scores = classification_metrics(zero_shot.logits(test.vectors), test.labels, test.classes)
    return Report(probe, fitted, scores, zero_shot_scores, len(sample), (*train.failures, *test.failures))
