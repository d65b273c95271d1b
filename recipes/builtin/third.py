"""Build the third edition, in work: `python -m recipes.builtin.third --data DATA --out FOLDER`.

Stages, each with its figure printed: views of the photos, the English teacher, the multilingual tower, the
folder, the temperature, the table. Finished ones are kept under --work, so that the same command resumes.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from recipes.command import RESUMES, exit_code, log

from .__main__ import LICENSE
from .data import SEED, Photo, class_names, load_sentences
from .distil import DistilConfig
from .e5 import read_e5
from .evaluate import fit_scale
from .features import View, cached_view, frozen_runner
from .joint import Parts, axes_of
from .licences import Choice
from .model import FROZEN_WIDTH, Builtin
from .multilingual import Sources, dev_recall, prepare, teach, write
from .second import all_and_chosen, argument_parser
from .table import open_everyday, print_figures
from .teacher import Teacher
from .texts import class_vectors, encode, tokenise
from .towers import (
    PINNED_MULTILINGUAL,
    check_packages,
    e5_file,
    load_image_tower,
    load_text_tower,
)
from .train import TrainConfig, Trainer, TrainingData
from .words import class_captions

_SENTENCES = 4000
"""Sentences from which the caption part's axes are chosen, beside the photos."""

_PROVENANCE = (
    "EfficientNet-Lite2, all-MiniLM-L6-v2 and multilingual-e5-small, joined by ConSE and trained on "
    "captioned, labelled and parallel data; recipes/builtin/README.md is the model card"
)


def run(data: Path, out: Path, work: Path, choice: Choice, *, control: bool) -> None:
    """Run all stages. Raises RecipeError for missing data or packages."""
    check_packages(PINNED_MULTILINGUAL)
    everything, photos = all_and_chosen(data, choice, control=control)
    run_work = work / (f"{choice}-control" if control else choice)
    run_work.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(SEED)
    log(f"{sum(photo.split == 'train' for photo in photos)} photos to train on")
    config, distil = TrainConfig(), DistilConfig()
    image = load_image_tower()
    frozen = cache(lambda: frozen_runner(image))
    # All runs share the views, so they are made of every photo.
    views = [cached_view(data, everything, view, work, frozen, log) for view in range(config.views)]
    teacher = _english(data, photos, views, run_work, config)
    pooled = [_pooled(teacher.model, view) for view in views]

    sources = Sources(data, photos, choice)
    tower = prepare(sources, teacher, pooled, read_e5(e5_file()), distil)
    log(f"{len(tower.vocabulary.pieces)} pieces, {sum(map(len, tower.lessons.texts.values()))} texts")
    teach(tower, distil, run_work / "student.pt", log)
    images = teacher.photos(torch.from_numpy(pooled[0]))
    for language in ("en", "zh", "de", "fr", "ar"):
        found = dev_recall(tower, sources, images, language)
        log(f"dev recall at 1, 5, 10 in {language}: {found}")

    partial = run_work / "model.partial"
    shutil.rmtree(partial, ignore_errors=True)
    about = {"license": LICENSE, "provenance": _PROVENANCE}
    write(partial, teacher, tower, {"logit_scale": distil.scale, **about})
    scale = fit_scale(open_everyday(data, partial))
    rows = print_figures(open_everyday(data, partial), "test")
    write(partial, teacher, tower, {"logit_scale": round(scale, 3), **about, "figures": {"test": rows}})
    shutil.copytree(partial, out, dirs_exist_ok=True)
    log(f"wrote {out}")


def _english(
    data: Path, photos: Sequence[Photo], views: Sequence[View], work: Path, config: TrainConfig
) -> Teacher:
    """Train the English model, and choose the axes of its caption part."""
    text, names = load_text_tower(), class_names(data)
    classes = class_vectors(text, names)
    model = Builtin(load_image_tower(), text, classes, config.hidden, config.dropout)
    captions = [class_captions(i, name) for i, name in enumerate(names)]
    sentences = load_sentences(data)
    Trainer(model, TrainingData(photos, views, sentences, captions), config, log).run(work / "training.pt")
    dev = [i for i, photo in enumerate(photos) if photo.split == "dev"]
    with torch.no_grad():
        texts = encode(model, tokenise(sentences[:_SENTENCES]))
        images = model.encode_pooled(torch.from_numpy(_pooled(model, views[0])[dev]))
    parts = Parts()
    axes = axes_of(torch.cat([F.normalize(texts, dim=1), images]), parts.caption)
    return Teacher(model, load_text_tower(), parts, axes)


@torch.no_grad()
def _pooled(model: Builtin, view: View, size: int = 256) -> np.ndarray:
    """Pooled features after the trained blocks, float32[photos,FEATURES]."""
    parts = []
    for start in range(0, len(view.pooled), size):
        maps = torch.from_numpy(np.array(view.maps[start : start + size])).float()
        frozen = torch.from_numpy(view.pooled[start : start + size, :FROZEN_WIDTH])
        parts.append(model.pool_maps(maps, frozen).numpy())
    return np.concatenate(parts)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the recipe; return 0, or 2 with one line on stderr for a user's error or an interruption."""
    options = argument_parser("third", __doc__.splitlines()[0]).parse_args(arguments)
    return exit_code(
        lambda: run(options.data, options.out, options.work, options.licences, control=options.control),
        interrupted=RESUMES,
    )


if __name__ == "__main__":
    sys.exit(main())
