"""Evaluation of a model on the user's photos: retrieval, zero-shot, linear probe, or distribution shift."""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clipsight.classification.dataset import LabelledVectors, read_labelled
from clipsight.classification.prompt_selection import TemplateComparison, select_templates
from clipsight.classification.prompts import TemplateSet, load_templates
from clipsight.classification.splits import train_test_split
from clipsight.core.arguments import whole_number
from clipsight.core.errors import LabelError
from clipsight.core.paths import expand
from clipsight.evaluation.retrieval import Retrieval, measure_retrieval
from clipsight.evaluation.robustness import Robustness, measure_shift
from clipsight.metrics.classification import ClassificationMetrics, classification_metrics
from clipsight.probe.embedding import embed_labelled, evaluation_library, evaluation_library_for
from clipsight.probe.fitting import Report, fit_and_test
from clipsight.probe.head import zero_shot_head
from clipsight.search.label_embeddings import LabelCache

if TYPE_CHECKING:
    from clipsight.core.progress import ProgressLike
    from clipsight.indexing.report import Observer
    from clipsight.library import Library
    from clipsight.models.encoder import Encoder

PathLike = str | os.PathLike[str]


@dataclass(frozen=True, eq=False)
class ZeroShot:
    """Zero-shot classification of labelled photos."""

    model: str
    templates: TemplateSet
    metrics: ClassificationMetrics
    failures: tuple[tuple[Path, str], ...] = ()
    """Photos that could not be read, with the reason."""

    def to_dict(self) -> dict[str, Any]:
        """The evaluation for JSON."""
        return {
            "model": self.model,
            "templates": list(self.templates.templates),
            **self.metrics.to_dict(),
            "failures": [{"path": str(path), "reason": reason} for path, reason in self.failures],
        }


@dataclass(frozen=True, eq=False)
class LinearProbe:
    """A linear probe, tested on a held-out fifth of the photos."""

    model: str
    report: Report

    @property
    def failures(self) -> tuple[tuple[Path, str], ...]:
        """Photos that could not be read, with the reason."""
        return self.report.failures

    def to_dict(self) -> dict[str, Any]:
        """The evaluation for JSON."""
        settings = dict(self.report.probe.settings)
        return {"model": self.model, **self.report.scores.to_dict(), "settings": settings}


Evaluation = Retrieval | ZeroShot | LinearProbe | Robustness


def evaluate(
    model: str = "builtin",
    *,
    retrieval: PathLike | None = None,
    zeroshot: PathLike | None = None,
    linear_probe: PathLike | None = None,
    shift: tuple[PathLike, PathLike] | None = None,
    templates: TemplateSet | None = None,
    seed: int = 0,
    device: str = "cpu",
    threads: int | None = None,
    progress: "Observer | ProgressLike" = None,
    note: Callable[[str], None] = lambda line: None,
) -> Evaluation:
    """Evaluate a model in one of four ways; exactly one of the first four arguments is given.

    `retrieval` is a CSV with `filepath` and `caption`. The others are class folders, or a CSV with `filepath`
    and `label`: `zeroshot` is classified with `templates` (default: "simple"); of `linear_probe`, a fifth of
    the photos, selected by `seed`, is held out; `shift` are two collections of the same classes. Vectors are
    stored in a separate library of the model, so that an interrupted evaluation continues; the user's library
    is not changed. `progress` and `note` are those of `Library`. Raises `LabelError` or `ModelError`.
    """
    from clipsight.models import registry
    from clipsight.models.folder import ModelFolder

    if sum(source is not None for source in (retrieval, zeroshot, linear_probe, shift)) != 1:
        raise LabelError("choose one of `retrieval`, `zeroshot`, `linear_probe` and `shift`")
    whole_number(seed, "seed", required=True, error=LabelError)
    templates = templates or load_templates("simple")
    folder = ModelFolder.read(registry.locate(model))
    with evaluation_library(folder, device=device, threads=threads, note=note) as library:

        def embed(source: PathLike) -> LabelledVectors:
            return embed_labelled(read_labelled(expand(source)), library, progress=progress)

        if retrieval is not None:
            return measure_retrieval(Path(retrieval), library, progress=progress)
        if zeroshot is not None:
            photos = embed(zeroshot)
            metrics = measure_zero_shot(photos, library.encoder, templates)
            return ZeroShot(library.model, templates, metrics, photos.failures)
        if linear_probe is not None:
            train, test = train_test_split(embed(linear_probe), seed=seed)
            return LinearProbe(
                library.model, fit_and_test(train, test, library.encoder, templates, seed=seed)
            )
        assert shift is not None
        a, b = (embed(source) for source in shift)
        return measure_shift(a, b, library.encoder, templates, seed=seed)


def measure_zero_shot(
    photos: LabelledVectors, encoder: "Encoder", templates: TemplateSet
) -> ClassificationMetrics:
    """Metrics of zero-shot classification, computed as in CLIP_benchmark.

    The prediction is the class whose label embedding is nearest; underscores in class names are replaced by
    spaces. Raises `LabelError`.
    """
    head = zero_shot_head(photos.classes, encoder, templates)
    return classification_metrics(head.logits(photos.vectors), photos.labels, photos.classes)


def compare_templates(
    source: PathLike,
    library: "Library",
    templates: TemplateSet | None = None,
    *,
    progress: "Observer | ProgressLike" = None,
    track: Callable[[Iterable[str]], Iterable[str]] = lambda templates: templates,
) -> TemplateComparison:
    """Measure prompt templates on class folders or a CSV, as `select_templates` does.

    The photos are embedded by the model of `library`, but not added to it. `templates` defaults to "imagenet"
    and "{}". Raises `LabelError`.
    """
    candidates = templates or load_templates("imagenet", ("{}",))
    labelled = read_labelled(expand(source))
    with evaluation_library_for(library) as separate:
        photos = embed_labelled(labelled, separate, progress=progress)
    return select_templates(photos, candidates, library.encoder, LabelCache(library.path), track=track)
