"""From a labelled collection to a probe with its report: what `clipsight probe fit` does."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from clipsight.classification.dataset import read_labelled
from clipsight.classification.prompts import TemplateSet, load_templates
from clipsight.core.extras import require
from clipsight.probe.few_shot import Point, curve, shots_up_to
from clipsight.probe.head import zero_shot_head
from clipsight.probe.labelled_vectors import embed_labelled
from clipsight.probe.report import Alpha, Report, check_alpha, fit_and_test, same_classes, split

if TYPE_CHECKING:
    from clipsight.indexing.indexer import Observer
    from clipsight.library import Library

PathLike = str | os.PathLike[str]


def fit_probe(
    source: PathLike,
    library: "Library",
    *,
    test: PathLike | None = None,
    alpha: Alpha = None,
    shots: int | None = None,
    repeats: int | None = None,
    templates: TemplateSet | None = None,
    seed: int = 0,
    observer: "Observer | None" = None,
    told: Callable[[Point], None] = lambda point: None,
) -> Report:
    """Learn the classes of `source`, a folder a class or a CSV, and test them on photos held out.

    The photos are indexed in `library` first. A fifth of every class is held out, or `test` is another
    collection of the same classes. `shots` learns from so many photos a class only. `alpha` starts from
    zero-shot classification with `templates`: a number from 0 (that) to 1 (what the photos make of it),
    or "auto". `repeats` adds the few-shot curve with so many draws, up to `shots`; `told` hears of each
    of its points. Raises `LabelError`.
    """
    require("probe", "sklearn", "safetensors")  # before indexing, which may take an hour
    check_alpha(alpha)
    prompts = templates or load_templates("simple")
    labelled = read_labelled(Path(source).expanduser())
    labelled_test = read_labelled(Path(test).expanduser()) if test is not None else None
    photos = embed_labelled(labelled, library, observer=observer)
    if labelled_test is None:
        train, unseen = split(photos, seed=seed)
    else:
        train = photos
        unseen = same_classes(embed_labelled(labelled_test, library, observer=observer), photos.classes)
    up_to = shots_up_to(train, shots) if repeats is not None else ()
    report = fit_and_test(train, unseen, library.encoder, prompts, alpha=alpha, shots=shots, seed=seed)
    if repeats is None:
        return report
    words = zero_shot_head(train.classes, library.encoder, prompts)
    points = []
    for point in curve(train, unseen, words, up_to, repeats, seed=seed):
        told(point)
        points.append(point)
    return replace(report, curve=tuple(points))
