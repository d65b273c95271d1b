"""Build the builtin model: `python -m recipes.builtin --data ../shared/data [--out FOLDER] [--work FOLDER]`.

Stages, each with its figures printed: the English model, views of the photos, embeddings of the captions, the
image head, the folder, the temperature, the table. Finished ones are kept under --work, so that the same
command resumes after an interruption. With --multilingual, a second text tower for other languages is taught
where the first one puts texts.
"""

from __future__ import annotations

import argparse
import copy
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from recipes.command import RESUMES, exit_code, log

from .data import Photo
from .distil import DistilConfig
from .e5 import read_e5
from .english import trained_folder, untrained_model
from .english_folder import read_english
from .english_words import english_words
from .evaluate import figures as caption_figures
from .evaluate import fit_scale
from .export import blended_visual_graph, photo_identity, write_folder
from .export_student import write_multilingual
from .features import frozen_runner
from .heads import HeadConfig, HeadTrainer, blend, conse_vectors, fold, head_vectors
from .languages import PROMISED
from .lessons import choose_texts
from .licences import CHOICES, Choice
from .model import Builtin
from .multilingual import dev_recall, new_tower, teach
from .pictures import Pictures, all_and_chosen, read_pictures
from .table import LANGUAGES, open_everyday, print_figures
from .texts import caption_vectors
from .towers import check_packages, e5_file

OUT = Path(__file__).parents[2] / "src" / "clipsight" / "models" / "builtin"
LICENSE = "Apache-2.0 (both towers); the training photos and captions have their own terms: see provenance"
PROVENANCE = (
    "EfficientNet-Lite2 and all-MiniLM-L6-v2, joined by ConSE and fine-tuned on Flickr8k, COCO, 16 sets of "
    "everyday things, and small product, clothing, scene and ImageNet samples; recipes/builtin/README.md is "
    "the model card"
)

Writer = Callable[[Path, float, dict[str, Any]], None]
"""Writes a model folder with a logit scale, and with more for the block "clipsight" of config.json."""


@dataclass(frozen=True)
class Options:
    """What the command is asked for."""

    data: Path
    out: Path
    work: Path
    english: Path | None = None
    """A finished English model, instead of its stages."""
    licences: Choice = "all"
    control: bool = False
    """Leave a fifth of the labelled sets' names out of training."""
    multilingual: bool = False

    @property
    def shared(self) -> Path:
        """Folder of the stages that runs with these licences share."""
        return self.work / self.licences

    @property
    def own(self) -> Path:
        """Folder of this run's other stages."""
        return self.work / f"{self.licences}-control" if self.control else self.shared


def run(options: Options) -> None:
    """Run all stages. Raises RecipeError for missing data or packages."""
    check_packages()
    everything, photos = all_and_chosen(options.data, options.licences, control=options.control)
    log(f"{sum(photo.split == 'train' for photo in photos)} photos to train on")
    source = None
    if options.licences == "all":
        source = options.english or trained_folder(options.data, options.work / "english")
    model = untrained_model(options.data) if source is None else read_english(source)
    for folder in (options.shared, options.own):
        folder.mkdir(parents=True, exist_ok=True)
    config = HeadConfig()
    frozen = cache(lambda: frozen_runner(model.image))
    # All runs share the views, so they are made of every photo that some run trains on.
    pictures = read_pictures(options.data, photos, everything, config.views, options.shared, frozen, log)
    vectors = _english_vectors(model, pictures.texts(), options)
    taught, known = _trained_head(model, pictures, vectors, config)
    visual = blended_visual_graph(taught, known, config.conse)
    add = None
    if options.multilingual:
        add = _multilingual(options, model, photos, _images(taught, known, pictures, config))

    def write(folder: Path, scale: float, about: dict[str, Any]) -> None:
        write_folder(taught, folder, scale, about, visual, 8 if add is None else 4)
        if add is not None:
            add(folder)
        elif source is not None:  # to the last bit: weights that are rounded again may differ by one
            shutil.copytree(source / "textual", folder / "textual", dirs_exist_ok=True)

    _write(options, write, config)


def _english_vectors(model: Builtin, texts: Sequence[str], options: Options) -> dict[str, Tensor]:
    return dict(zip(texts, caption_vectors(model, texts, options.shared, log), strict=True))


def _trained_head(
    model: Builtin, pictures: Pictures, vectors: Mapping[str, Tensor], config: HeadConfig
) -> tuple[Builtin, Tensor]:
    """`model` with a head for these texts, and the class names' embeddings, unit float[1000,width]."""
    known, lessons = pictures.lessons(vectors)
    trainer = HeadTrainer(model, known, lessons, config)
    taught = copy.deepcopy(model)
    fold(taught.image_head, trainer.run(log), config.strength * trainer.unit)
    return taught, known


@torch.no_grad()
def _images(taught: Builtin, known: Tensor, pictures: Pictures, config: HeadConfig) -> Tensor:
    """Embeddings of all photos that have a view, unit float[photos,width]; other rows are worthless."""
    pooled = torch.from_numpy(pictures.views[0][:])
    return blend(head_vectors(taught, pooled), conse_vectors(taught, known, pooled), config.conse)


def _multilingual(
    options: Options, model: Builtin, photos: Sequence[Photo], images: Tensor
) -> Callable[[Path], None]:
    """Teach the multilingual tower; return a function that adds it to a model folder.

    `images` are the photos' embeddings; those of photos that are not for training or choosing are not read.
    """
    data = options.data
    chosen = choose_texts(data, photos, options.licences)
    english = chosen.texts[: chosen.english]
    teacher = torch.stack(list(_english_vectors(model, english, options).values()))
    tower = new_tower(read_e5(e5_file()), chosen.texts, teacher.shape[1])
    teach(tower, chosen, teacher, photos, images, DistilConfig(), options.own, log)
    for language in ("en", *LANGUAGES):
        found = dev_recall(tower, data, photos, images, language)
        log(f"dev recall at 1, 5, 10 in {language}: {found}")
    words = english_words(data, photos, options.licences)
    return lambda folder: write_multilingual(folder, tower, words)


def _write(options: Options, write: Writer, config: HeadConfig) -> None:
    """Write the folder, fit its temperature, measure, and write it again with the figures."""
    partial = options.own / "model.partial"
    shutil.rmtree(partial, ignore_errors=True)
    languages = ["en", *PROMISED] if options.multilingual else ["en"]
    about: dict[str, Any] = {"languages": languages, "license": LICENSE, "provenance": PROVENANCE}
    write(partial, config.scale, about)
    about |= photo_identity(options.out, partial)
    bench = open_everyday(options.data, partial)
    scale = fit_scale(bench)
    log(f"temperature: a logit scale of {scale:.1f}")
    rows = print_figures(bench, "test")
    about["figures"] = {"test": {**caption_figures(bench, "test", config.scale), "table": rows}}
    write(partial, scale, about)
    shutil.copytree(partial, options.out, dirs_exist_ok=True)
    log(f"wrote {options.out}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the recipe; return 0, or 2 with one line on stderr for a user's error or an interruption."""
    parser = argparse.ArgumentParser(prog="python -m recipes.builtin", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--data", type=Path, required=True, help="the folder that holds captioned/, everyday/, text/ ..."
    )
    parser.add_argument(
        "--out", type=Path, default=OUT, help="the model folder to write (default: the shipped one)"
    )
    parser.add_argument("--work", type=Path, default=Path("build/builtin"), help="folder of finished stages")
    parser.add_argument(
        "--english", type=Path, help="a finished English model's folder, instead of its stages"
    )
    parser.add_argument(
        "--licences", choices=CHOICES, default="all", help="train on freely licensed sets alone"
    )
    parser.add_argument(
        "--control", action="store_true", help="leave a fifth of the labelled sets' names out of training"
    )
    parser.add_argument("--multilingual", action="store_true", help="add a text tower for other languages")
    options = Options(**vars(parser.parse_args(arguments)))
    return exit_code(lambda: run(options), interrupted=RESUMES)


if __name__ == "__main__":
    sys.exit(main())
