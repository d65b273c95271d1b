"""Metrics of the model card, from a model folder: `python -m recipes.builtin.evaluate --data DATA
--model FOLDER`.

Runs the shipped model (ONNX Runtime through clipsight's Encoder), never the training code. `--split dev` is
for choosing hyperparameters, `--split test` for the model card.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from clipsight.models.encoder import Encoder
from clipsight.models.folder import ModelFolder
from recipes.command import exit_code

from .data import SEED, Photo, load_photos, load_sentences
from .metrics import (
    Question,
    Vectors,
    accuracy,
    calibrated_scale,
    calibration_error,
    percent_recall,
    principal_axes,
    shorten,
    softmax,
)
from .prompts import PROMPTS, choices

SIZES = (64, 128, 192, 256)
_SENTENCES = 2000
_CHUNK = 16
_OPTIONS = 10
_PROBE_C = 3.0  # inverse regularisation strength; the best of 3, 10, 30 and 100 on dev

Change = Callable[[Image.Image], Image.Image]
"""A change of an RGB photo before it is preprocessed."""


class Bench:
    """Benchmark of one model: embeds photos on demand and returns cosines for each task."""

    def __init__(self, encoder: Encoder, data: Path, photos: Sequence[Photo]):
        self.encoder, self.data, self.photos = encoder, data, photos
        self._images: dict[str, Vectors] = {}

    def of(self, source: str, split: str) -> tuple[list[Photo], Vectors]:
        """Photos of one source and split, and their embeddings, unit float32[n,embed_dim]."""
        chosen = [photo for photo in self.photos if photo.source == source and photo.split == split]
        missing = [photo.path for photo in chosen if photo.path not in self._images]
        self._images.update(zip(missing, self.embed(missing), strict=True))
        return chosen, np.stack([self._images[photo.path] for photo in chosen])

    def embed(self, names: Sequence[str], change: Change | None = None) -> Vectors:
        """Unit embeddings of photos, float32[n,embed_dim], each changed first if `change` is given."""
        chunks = [names[start : start + _CHUNK] for start in range(0, len(names), _CHUNK)]
        with ThreadPoolExecutor(self.encoder.workers) as pool:
            parts = list(pool.map(lambda chunk: self._embed(chunk, change), chunks))
        return np.concatenate([np.empty((0, self.encoder.dim), np.float32), *parts])

    def _embed(self, names: Sequence[str], change: Change | None) -> Vectors:
        images = []
        for name in names:
            with Image.open(self.data / name) as opened:
                image = opened.convert("RGB")
                images.append(change(image) if change else image)
        return self.encoder.encode_images(images)

    def captions(self, source: str, split: str) -> tuple[Vectors, Vectors, list[int]]:
        """Image embeddings, caption embeddings, and the image index of each caption."""
        photos, images = self.of(source, split)
        texts = self.encoder.encode_texts([caption for photo in photos for caption in photo.captions])
        return images, texts, [i for i, photo in enumerate(photos) for _ in photo.captions]

    def labels(self, source: str, split: str) -> Question:
        """Zero-shot classification: cosines with the prompt of every class, and the correct class."""
        photos, images = self.of(source, split)
        names = sorted({photo.label for photo in self.photos if photo.source == source})
        texts = self.encoder.encode_texts([PROMPTS[source].format(name) for name in names])
        return images @ texts.T, [names.index(photo.label) for photo in photos]

    def choices(self, source: str, split: str) -> Question:
        """Cosines with the first caption of each photo and those of nine others, as in `classify`."""
        photos, images = self.of(source, split)
        texts = self.encoder.encode_texts([photo.captions[0] for photo in photos])
        rng = np.random.default_rng(SEED)
        rows = []
        for i in range(len(photos)):
            others = rng.choice([j for j in range(len(photos)) if j != i], _OPTIONS - 1, replace=False)
            rows.append(images[i] @ texts[[i, *others]].T)
        return np.stack(rows), [0] * len(rows)

    def colours(self, split: str) -> Question:
        """Cosines of products with "a photo of {colour} {article}" for its ten commonest colours."""
        photos, images = self.of("products", split)
        found = choices(self.data, photos)
        listing = list(dict.fromkeys(text for prompts, _ in found.values() for text in prompts))
        texts = dict(zip(listing, self.encoder.encode_texts(listing), strict=True))
        cosines = [
            np.stack([texts[each] for each in prompts]) @ images[i] for i, (prompts, _) in found.items()
        ]
        return np.stack(cosines), [right for _, right in found.values()]

    def probes(self, split: str) -> dict[str, float]:
        """Accuracy of logistic regression on frozen embeddings of clothing: 16 photos per class, and all."""
        from sklearn.linear_model import LogisticRegression

        photos, images = self.of("clothing", "train")
        test_photos, unseen = self.of("clothing", split)
        labels, right = np.array([p.label for p in photos]), [p.label for p in test_photos]
        order = np.random.default_rng(SEED).permutation(len(photos))
        few = np.concatenate([order[labels[order] == label][:16] for label in np.unique(labels)])
        scores = {}
        for name, chosen in (("16_shot", few), ("all", order)):
            probe = LogisticRegression(C=_PROBE_C, max_iter=2000).fit(images[chosen], labels[chosen])
            scores[name] = round(100 * float(probe.score(unseen, right)), 1)
        return scores


def calibration_questions(bench: Bench, split: str) -> list[Question]:
    """Tasks for fitting and evaluating the temperature: two sets of classes, and captions."""
    labelled = [bench.labels("clothing", split), bench.labels("scenes", split)]
    return [*labelled, bench.choices("flickr", split)]


def mean_calibration_error(questions: Sequence[Question], scale: float) -> float:
    """Mean expected calibration error over `questions`, in per cent."""
    errors = [calibration_error(softmax(scale * cosines), right) for cosines, right in questions]
    return round(float(np.mean(errors)), 1)


def figures(bench: Bench, split: str, learned_scale: float | None) -> dict[str, Any]:
    """All metrics of one split, in per cent; `learned_scale` is the logit scale at the end of training."""
    result: dict[str, Any] = {}
    for source in ("flickr", "coco"):
        images, texts, owner = bench.captions(source, split)
        result[f"{source}_{len(images)}_photos"] = percent_recall(images, texts, owner)
    for source in ("clothing", "scenes"):
        result[f"{source}_zero_shot"] = accuracy(*bench.labels(source, split))
    result["clothing_probe"] = bench.probes(split)
    result["colour_first_of_ten"] = accuracy(*bench.colours(split))
    questions = calibration_questions(bench, split)
    result["calibration_error"] = mean_calibration_error(questions, bench.encoder.logit_scale)
    if learned_scale:
        result["calibration_error_before"] = mean_calibration_error(questions, learned_scale)
    result["flickr_at_size"] = _sizes(bench, split)
    return result


def text_to_image(bench: Bench, split: str) -> list[float]:
    """Text-to-image recall of Flickr8k photos at 1, 5 and 10, in per cent."""
    return percent_recall(*bench.captions("flickr", split))["text_to_image"]


def axes_of(bench: Bench, size: int) -> Vectors:
    """First `size` principal axes of the dev split and of sentences: float32[size,width]."""
    images, texts, _ = bench.captions("flickr", "dev")
    sentences = bench.encoder.encode_texts(load_sentences(bench.data)[:_SENTENCES])
    others = [bench.of(source, "dev")[1] for source in ("coco", *PROMPTS)]
    return principal_axes(np.concatenate([images, texts, sentences, *others]), size)


def _sizes(bench: Bench, split: str) -> dict[str, list[float]]:
    """Text-to-image recall of Flickr8k photos after projection on the dev split's principal axes."""
    images, texts, owner = bench.captions("flickr", split)
    found = {str(images.shape[1]): percent_recall(images, texts, owner)["text_to_image"]}
    axes = axes_of(bench, max(SIZES))
    for size in (size for size in SIZES if size < images.shape[1]):
        short = (shorten(vectors, axes[:size]) for vectors in (images, texts))
        found[str(size)] = percent_recall(*short, owner)["text_to_image"]
    return found


def fit_scale(bench: Bench) -> float:
    """Logit scale for config.json, fitted on the dev split."""
    return calibrated_scale(calibration_questions(bench, "dev"))


def open_bench(data: Path, folder: Path, threads: int | None = None) -> Bench:
    """Open a benchmark of the model in `folder` on the photos in `data`."""
    return Bench(Encoder(ModelFolder.read(folder), threads=threads), data, load_photos(data))


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the metrics as JSON; return 0, or 2 with one line on stderr."""
    parser = argparse.ArgumentParser(
        prog="python -m recipes.builtin.evaluate", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--data", type=Path, required=True, help="the folder that holds captioned/")
    parser.add_argument("--model", type=Path, required=True, help="a model folder")
    parser.add_argument("--split", choices=("dev", "test"), default="test")
    options = parser.parse_args(arguments)
    return exit_code(lambda: _print_figures(options.data, options.model, options.split))


def _print_figures(data: Path, model: Path, split: str) -> None:
    bench = open_bench(data, model)
    learned = bench.encoder.folder.figures.get("learned_logit_scale")
    print(json.dumps(figures(bench, split, learned), indent=2))


if __name__ == "__main__":
    sys.exit(main())
