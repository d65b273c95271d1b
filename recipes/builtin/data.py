"""Photos and captions of all sources, and their splits.

Each photo has a few captions, a split and, in some sources, a label. The split is a hash of the seed and the
file name, so that it does not depend on the order of files or on other sources.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from clipsight.training.datasets import open_dataset

from .errors import RecipeError
from .everyday import load_everyday, read_rows
from .words import class_captions, clothing_captions, product_captions, scene_captions

SEED = 20240
"""Fixes the split, the initial weights and the order of batches."""


@dataclass(frozen=True)
class Photo:
    """One photo of the training collection."""

    path: str
    """Relative to the data folder."""
    source: str
    """flickr, coco, products, clothing, scenes, imagenet, or a set of everyday/."""
    split: str
    """train, dev (for choosing and calibrating) or test (looked at once, at the end)."""
    captions: tuple[str, ...]
    label: str
    """Photos with equal labels match the same captions; the path of a photo without a label."""


HELD_OUT = {
    "flickr": (1000, 500),
    "coco": (100, 40),
    "products": (600, 200),
    "clothing": (300, 150),
    "scenes": (180, 90),
    "imagenet": (0, 0),
}
"""Photos of each source held out for test and for dev."""


def assign_splits(names: Iterable[str], source: str, seed: int = SEED) -> dict[str, str]:
    """Map each name to its split: the first HELD_OUT names in the order of their seeded hash."""
    test, dev = HELD_OUT[source]
    ordered = sorted(names, key=lambda name: hashlib.sha256(f"{seed}/{source}/{name}".encode()).digest())
    return {
        name: "test" if i < test else "dev" if i < test + dev else "train" for i, name in enumerate(ordered)
    }


def _captioned(data: Path) -> list[Photo]:
    source = open_dataset(data / "captioned" / "captions.csv")
    captions = {Path(source.name(i)).name: source.captions(i) for i in range(len(source))}
    photos = []
    for collection in ("flickr", "coco"):
        names = [name for name in captions if name.startswith(collection)]
        for name, split in assign_splits(names, collection).items():
            photos.append(Photo(f"captioned/{name}", collection, split, captions[name], name))
    return photos


def _products(data: Path) -> list[Photo]:
    rows = read_rows(
        data / "products" / "products.csv", {"filepath", "name", "gender", "article_type", "colour"}
    )
    splits = assign_splits((row["filepath"] for row in rows), "products")
    return [
        Photo(
            f"products/{row['filepath']}",
            "products",
            splits[row["filepath"]],
            product_captions(row),
            f"{row['colour']} {row['article_type']}".lower(),
        )
        for row in rows
    ]


def _folders(data: Path, source: str) -> list[Photo]:
    """`clothing` and `scenes`: one folder per class."""
    files = sorted((data / source).glob("*/*.jpg"))
    names = {f"{file.parent.name}/{file.name}": file.parent.name for file in files}
    splits = assign_splits(names, source)
    compose = clothing_captions if source == "clothing" else scene_captions
    return [
        Photo(f"{source}/{name}", source, splits[name], compose(label), label)
        for name, label in names.items()
    ]


def class_names(data: Path) -> tuple[str, ...]:
    """ImageNet's 1,000 class names in the classifier's order, from the sample photos' file names."""
    files = sorted((data / "imagenet_samples").glob("n*.jpg"))
    if len(files) != 1000:
        raise RecipeError(
            f"{data / 'imagenet_samples'} holds {len(files)} photos instead of one per class (1000)"
        )
    return tuple(file.stem.split("_", 1)[1].replace("_", " ") for file in files)


def _imagenet(data: Path) -> list[Photo]:
    files = sorted((data / "imagenet_samples").glob("n*.jpg"))
    return [
        Photo(f"imagenet_samples/{file.name}", "imagenet", "train", class_captions(i, name), name)
        for i, (file, name) in enumerate(zip(files, class_names(data), strict=True))
    ]


def load_photos(data: Path) -> list[Photo]:
    """The first edition's photos in a fixed order. Raises RecipeError if a part of the data is missing."""
    if not data.is_dir():
        raise RecipeError(f"no data folder at {data}: give the folder that holds captioned/ with --data")
    for part in ("captioned/captions.csv", "products/products.csv", "clothing", "scenes", "imagenet_samples"):
        if not (data / part).exists():
            raise RecipeError(f"{data} has no {part}: give the folder that holds captioned/ with --data")
    photos = _captioned(data) + _products(data) + _folders(data, "clothing") + _folders(data, "scenes")
    return sorted(photos + _imagenet(data), key=lambda photo: photo.path)


def load_photos_with_everyday(data: Path) -> list[Photo]:
    """The photos of `load_photos` and of `everyday/`. Raises RecipeError if a part of the data is missing."""
    everyday = [
        Photo(photo.path, photo.source, photo.split, photo.captions, photo.label)
        for photo in load_everyday(data, SEED)
    ]
    return sorted(load_photos(data) + everyday, key=lambda photo: photo.path)


def load_sentences(data: Path) -> list[str]:
    """COCO captions without photos, for the text tower only."""
    path = data / "coco_val2017_captions.txt"
    if not path.is_file():
        raise RecipeError(f"{data} has no {path.name}: give the folder that holds captioned/ with --data")
    return [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
