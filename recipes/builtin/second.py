"""Build the second edition: `python -m recipes.builtin.second --data DATA --out FOLDER`.

It starts from the first edition and teaches its image head everyday things. Stages, each with its figures
printed: views of the photos, embeddings of the captions, the image head, the folder, the temperature, the
table. Finished ones are kept under --work, so that the same command resumes.
"""

from __future__ import annotations

import argparse
import copy
import hashlib
import shutil
import sys
from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from recipes.command import RESUMES, exit_code, log

from .__main__ import LICENSE
from .conse import conse_model
from .data import SEED, Photo, class_names, load_photos_with_everyday, load_sentences
from .evaluate import Bench, fit_scale
from .evaluate import figures as first_figures
from .everyday import held_out_names, load_everyday
from .export import blended_visual_graph, write_folder
from .features import frozen_runner, pooled_view
from .first_edition import read_first
from .heads import HeadConfig, HeadTrainer, Lessons, fold
from .joint import axes_of
from .licences import CHOICES, Choice, allowed
from .model import SHIPPED_WIDTH, Builtin
from .table import open_everyday, print_figures
from .texts import encode, tokenise
from .towers import check_packages
from .words import class_captions

FIRST = Path("build/builtin-model")
"""Where the README's first command writes the first edition."""

_PROVENANCE = (
    "EfficientNet-Lite2 and all-MiniLM-L6-v2, joined by ConSE and fine-tuned on Flickr8k, COCO, 16 sets of "
    "everyday things, and small product, clothing, scene and ImageNet samples; recipes/builtin/README.md is "
    "the model card"
)
_CAPTIONS = {"flickr": 3, "products": 2}
"""Captions a photo that are learnt from; of other sets, all."""

_LEARNT = ("flickr", "products", "clothing", "scenes")

_AXES = 4000
"""Sentences from which the axes of a start without the first edition are chosen."""

_CHUNK = 2048


def chosen_photos(photos: Sequence[Photo], unseen: Collection[str], choice: Choice) -> list[Photo]:
    """The same photos; those that may not be trained on get the split "left out".

    These are photos of sets that `choice` excludes, and photos with a name in `unseen`.
    """
    return [
        photo
        if photo.split != "train"
        or (allowed(photo.source, choice) and not {photo.label, *photo.captions}.intersection(unseen))
        else replace(photo, split="left out")
        for photo in photos
    ]


def all_and_chosen(data: Path, choice: Choice, *, control: bool) -> tuple[list[Photo], list[Photo]]:
    """All photos, and `chosen_photos`; for a `control` a fifth of the labelled sets' names are unseen."""
    everything = load_photos_with_everyday(data)
    unseen = held_out_names(load_everyday(data, SEED), SEED) if control else frozenset()
    return everything, chosen_photos(everything, unseen, choice)


def viewed(photos: Sequence[Photo], view: int) -> list[int]:
    """Photos that have this view: for training, and for augmented views of no set that the first edition
    learnt from at length.
    """
    return [
        i
        for i, photo in enumerate(photos)
        if photo.split == "train" and (view == 0 or photo.source not in _LEARNT)
    ]


def run(data: Path, first: Path, out: Path, work: Path, choice: Choice, *, control: bool) -> None:
    """Run all stages. Raises RecipeError for missing data or packages."""
    check_packages()
    everything, photos = all_and_chosen(data, choice, control=control)
    model = read_first(first) if choice == "all" else _untrained(data)
    kept = work / ("first" if choice == "all" else "published")
    kept.mkdir(parents=True, exist_ok=True)
    config = HeadConfig()
    log(f"{sum(photo.split == 'train' for photo in photos)} photos to train on")
    frozen = cache(lambda: frozen_runner(model.image))
    # All runs share the views, so they are made of every photo that some run trains on.
    views = [
        pooled_view(data, photos, viewed(everything, view), view, kept / f"view-{view}.npy", frozen, log)
        for view in range(config.views)
    ]
    names = [class_captions(i, name) for i, name in enumerate(class_names(data))]
    captions = [photo.captions[: _CAPTIONS.get(photo.source)] for photo in photos]
    learnt = [rows if photo.split == "train" else () for photo, rows in zip(photos, captions, strict=True)]
    listing = list(dict.fromkeys(text for rows in (*names, *learnt) for text in rows))
    texts = caption_vectors(model, listing, kept)
    row = {text: i for i, text in enumerate(listing)}
    known = F.normalize(torch.stack([texts[[row[text] for text in rows]].mean(0) for rows in names]), dim=1)

    lessons = Lessons(photos, views, texts, [[row[text] for text in rows] for rows in learnt])
    trainer = HeadTrainer(model, known, lessons, config)
    taught = copy.deepcopy(model)
    fold(taught.image_head, trainer.run(log), config.strength * trainer.unit)

    partial = kept / "model.partial"
    shutil.rmtree(partial, ignore_errors=True)
    visual = blended_visual_graph(taught, known, config.conse)
    about: dict[str, Any] = {"license": LICENSE, "provenance": _PROVENANCE}

    def write(scale: float) -> None:
        write_folder(taught, partial, scale, about, visual)
        if choice == "all":  # to the last bit: weights that are rounded again may differ by one
            shutil.copytree(first / "textual", partial / "textual", dirs_exist_ok=True)

    write(config.scale)
    bench = open_everyday(data, partial)
    scale = fit_scale(bench)
    log(f"temperature: a logit scale of {scale:.1f}")
    about["figures"] = {"test": _measured(bench, config)}
    write(scale)
    shutil.copytree(partial, out, dirs_exist_ok=True)
    log(f"wrote {out}")


def _measured(bench: Bench, config: HeadConfig) -> dict[str, object]:
    """Print the table, and return its rows beside the first edition's figures."""
    rows = print_figures(bench, "test")
    return {**first_figures(bench, "test", config.scale), "table": rows}


def caption_vectors(model: Builtin, texts: Sequence[str], folder: Path) -> Tensor:
    """Embeddings of texts, unit float[texts,width], kept in `folder`; an interrupted file is completed."""
    digest = hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]
    path, width = folder / f"texts-{digest}.npy", model.text_head.linear.out_features
    open_array = np.lib.format.open_memmap
    vectors = (
        open_array(path, "r+") if path.is_file() else open_array(path, "w+", np.float16, (len(texts), width))
    )
    for start in range(0, len(texts), _CHUNK):
        part = slice(start, start + _CHUNK)
        if not vectors[part].any(1).all():
            with torch.no_grad():
                vectors[part] = encode(model, tokenise(texts[part])).numpy()
            log(f"captions: {min(start + _CHUNK, len(texts))} of {len(texts)} texts")
    vectors.flush()
    return F.normalize(torch.from_numpy(np.asarray(vectors)).float(), dim=1)


def _untrained(data: Path) -> Builtin:
    """ConSE in SHIPPED_WIDTH numbers: a start that was trained on no photo of ours."""
    model = conse_model(data)
    with torch.no_grad():
        sentences = encode(model, tokenise(load_sentences(data)[:_AXES]))
    model.shorten(axes_of(torch.cat([sentences, model.classes]), SHIPPED_WIDTH))
    return model


def argument_parser(edition: str, description: str) -> argparse.ArgumentParser:
    """A parser of the arguments that the commands of all editions have but the first."""
    parser = argparse.ArgumentParser(prog=f"python -m recipes.builtin.{edition}", description=description)
    parser.add_argument("--data", type=Path, required=True, help="the folder that holds everyday/, text/ ...")
    parser.add_argument("--out", type=Path, required=True, help="the model folder to write")
    parser.add_argument("--work", type=Path, default=Path("build", edition), help="folder of finished stages")
    parser.add_argument(
        "--licences", choices=CHOICES, default="all", help="train on freely licensed sets alone"
    )
    parser.add_argument(
        "--control", action="store_true", help="leave a fifth of the labelled sets' names out of training"
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the recipe; return 0, or 2 with one line on stderr for a user's error or an interruption."""
    parser = argument_parser("second", __doc__.splitlines()[0])
    parser.add_argument(
        "--first", type=Path, default=FIRST, help=f"the first edition's folder (default: {FIRST})"
    )
    given = parser.parse_args(arguments)
    return exit_code(
        lambda: run(given.data, given.first, given.out, given.work, given.licences, control=given.control),
        interrupted=RESUMES,
    )


if __name__ == "__main__":
    sys.exit(main())
