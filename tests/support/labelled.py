"""Labelled collections for the tests of classes and probes: vectors around known directions, and photos."""

import shutil
from pathlib import Path

import numpy as np

from clipsight.classification.dataset import LabelledVectors
from clipsight.probe.head import Head
from tests.support.arrays import unit
from tests.support.samples import SAMPLES

DIM = 8

WORDS = Head(20 * np.eye(3, DIM), np.zeros(3))
"""What a text tower would say of `points`: right as far as the noise lets it be."""


def points(per_class: int, classes: int = 3, noise: float = 0.6, seed: int = 0) -> LabelledVectors:
    """Unit vectors around one direction a class."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(classes), per_class)
    vectors = np.eye(classes, DIM)[labels] + noise * rng.standard_normal((len(labels), DIM))
    names = tuple(f"class {number}" for number in range(classes))
    paths = tuple(Path(f"/{number}.jpg") for number in range(len(labels)))
    return LabelledVectors(names, paths, unit(vectors).astype(np.float32), labels)


def make_collection(folder: Path) -> Path:
    """Make `folder` with two classes of real photos, one of them in a folder of its class's folder."""
    for name in ("astronaut.png", "cat.png", "coffee.png"):
        put_sample(folder / "indoors" / name)
    for name in ("rocket.jpg", "temple.jpg"):
        put_sample(folder / "outdoors" / "more" / name)
    return folder


def put_sample(path: Path) -> Path:
    """Put the sample photo of this name at `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(SAMPLES[path.name], path)
    return path


def write_text(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path
