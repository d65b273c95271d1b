"""The English model, the first stages of the recipe: both towers, trained on captioned photos.

Its text tower ships, its image tower with another head. Where it may not be trained on the captioned photos,
the towers stay as they were published.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import torch

from recipes.command import log

from .conse import conse_model
from .data import SEED, Photo, class_names, load_photos, load_sentences
from .evaluate import axes_of, open_bench
from .export import write_folder
from .features import cached_view, frozen_runner
from .metrics import principal_axes
from .model import SHIPPED_WIDTH, Builtin
from .texts import class_vectors, encode, tokenise
from .towers import load_image_tower, load_text_tower
from .train import TrainConfig, Trainer, TrainingData
from .words import class_captions

_AXES = 4000
"""Sentences from which the axes of untrained towers are chosen."""


def trained_folder(data: Path, work: Path) -> Path:
    """The English model's folder, which is made if it is not there. Raises RecipeError for missing data."""
    folder = work / "model"
    if not folder.is_dir():
        _make(data, work, folder, TrainConfig())
    return folder


def _make(data: Path, work: Path, folder: Path, config: TrainConfig) -> None:
    photos = load_photos(data)
    work.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(SEED)
    log(f"English model: {len(photos)} photos")
    model = _train(data, photos, work, config)
    partial = work / "model.partial"
    shutil.rmtree(partial, ignore_errors=True)
    scale = model.log_scale.exp().item()
    write_folder(model, partial, scale, {})
    log("choosing the vectors' axes on the dev split")
    model.shorten(torch.from_numpy(axes_of(open_bench(data, partial), SHIPPED_WIDTH)))
    write_folder(model, partial, scale, {})
    partial.rename(folder)


def _train(data: Path, photos: Sequence[Photo], work: Path, config: TrainConfig) -> Builtin:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    image, text = load_image_tower(), load_text_tower().to(device)
    frozen = cache(lambda: frozen_runner(image))  # only if a view is not cached yet
    views = [cached_view(data, photos, view, work, frozen, log) for view in range(config.views)]
    names = class_names(data)
    captions = [class_captions(i, name) for i, name in enumerate(names)]
    classes = class_vectors(text, names)
    model = Builtin(image, text, classes, config.hidden, config.dropout).to(device)
    training_data = TrainingData(photos, views, load_sentences(data), captions)
    Trainer(model, training_data, config, log).run(work / "training.pt")
    return model.cpu()


def untrained_model(data: Path) -> Builtin:
    """ConSE in SHIPPED_WIDTH numbers: a start that was trained on no photo of ours."""
    model = conse_model(data)
    with torch.no_grad():
        sentences = encode(model, tokenise(load_sentences(data)[:_AXES]))
    vectors = torch.cat([sentences, model.classes]).numpy()
    model.shorten(torch.from_numpy(principal_axes(vectors, SHIPPED_WIDTH)))
    return model
