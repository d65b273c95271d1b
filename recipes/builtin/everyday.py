"""The photos of everyday things: sets with one label a photo, and sets with the photo's name as its caption.

Splits are fixed by a hash, label by label, so that every label keeps photos for training and for measuring.
"""

from __future__ import annotations

import csv
import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from .errors import RecipeError
from .words import article

LABELLED = (
    "caltech101",
    "grocery",
    "instruments",
    "food10",
    "tools",
    "rooms",
    "trash",
    "drawn_sketch",
    "drawn_cartoon",
    "drawn_art_painting",
)
"""Sets with a `labels.csv`: many photos of each label."""

NAMED = ("recipes", "homecooked", "dishes_cn_home", "dishes_cn_studio", "kids", "stamps")
"""Sets with a `captions.csv` that gives each photo a name of its own."""

DOCUMENTS = ("signs", "receipts", "screenshots")
"""Sets whose captions describe a kind of picture; their text is read by OCR, not by this model."""

_TEST, _DEV = 0.2, 0.1
"""Shares of each label's (or of a named set's) photos held out."""

_DRAWN = ("pencil sketch of", "cartoon of", "painting of")


@dataclass(frozen=True)
class EverydayPhoto:
    """A photo of one set, before it becomes a `data.Photo`."""

    path: str
    """Relative to the data folder."""
    source: str
    split: str
    captions: tuple[str, ...]
    """In English; the label or name comes first."""
    label: str


def _digest(seed: int, source: str, name: str) -> bytes:
    return hashlib.sha256(f"{seed}/{source}/{name}".encode()).digest()


def split_label(names: Iterable[str], source: str, seed: int) -> dict[str, str]:
    """Map the photos of one label to their splits; of five or more photos at least one is for testing."""
    ordered = sorted(names, key=lambda name: _digest(seed, source, name))
    test = round(len(ordered) * _TEST)
    dev = round(len(ordered) * _DEV)
    return {
        name: "test" if i < test else "dev" if i < test + dev else "train" for i, name in enumerate(ordered)
    }


def label_captions(label: str) -> tuple[str, ...]:
    """Captions of a photo with one label: the bare label first, then as people write it."""
    if label.startswith(_DRAWN):
        kind, _, thing = label.partition(" of ")
        noun = thing.removeprefix("a ").removeprefix("an ")
        return (label, f"a {label}", thing, noun, f"{noun} {kind}", f"a drawing of {thing}")
    return (label, article(label), f"a photo of {article(label)}", f"a photo of {label}")


def name_captions(name: str) -> tuple[str, ...]:
    """Captions of a photo with a name of its own; articles are kept where the name has one."""
    bare = name[:1].lower() + name[1:]
    for start in ("a ", "an ", "the "):
        if bare.startswith(start):
            return (name, bare.removeprefix(start), f"a photo of {bare}")
    return (name, f"a photo of {name}", f"a picture of {name}")


def read_rows(path: Path, columns: Iterable[str]) -> list[dict[str, str]]:
    """Rows of a CSV file. Raises RecipeError if a column is missing."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    missing = set(columns) - set(rows[0] if rows else {})
    if missing:
        raise RecipeError(f"{path} has no column {', '.join(sorted(missing))}: is it the right data folder?")
    return rows


def _labelled(data: Path, source: str, seed: int) -> list[EverydayPhoto]:
    rows = read_rows(data / "everyday" / source / "labels.csv", ("filepath", "label"))
    of: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        of[row["label"]].append(row["filepath"])
    splits: dict[str, str] = {}
    for names in of.values():
        splits |= split_label(names, source, seed)
    return [
        EverydayPhoto(
            f"everyday/{source}/{row['filepath']}",
            source,
            splits[row["filepath"]],
            label_captions(row["label"]),
            row["label"],
        )
        for row in rows
    ]


def _captioned(data: Path, source: str, seed: int) -> list[EverydayPhoto]:
    rows = read_rows(data / "everyday" / source / "captions.csv", ("filepath", "caption"))
    splits = split_label((row["filepath"] for row in rows), source, seed)
    photos = []
    for row in rows:
        captions = name_captions(row["caption"])
        photos.append(
            EverydayPhoto(
                f"everyday/{source}/{row['filepath']}",
                source,
                splits[row["filepath"]],
                captions,
                row["caption"].lower(),
            )
        )
    return photos


def load_everyday(data: Path, seed: int) -> list[EverydayPhoto]:
    """All photos of `everyday/`. Raises RecipeError if a set is missing."""
    for source in (*LABELLED, *NAMED, *DOCUMENTS):
        if not (data / "everyday" / source).is_dir():
            raise RecipeError(f"{data} has no everyday/{source}: give the folder that holds it with --data")
    photos = [photo for source in LABELLED for photo in _labelled(data, source, seed)]
    return photos + [photo for source in (*NAMED, *DOCUMENTS) for photo in _captioned(data, source, seed)]


def chinese_names(data: Path) -> Mapping[str, str]:
    """The Chinese names of dishes, by photo path."""
    return {
        f"everyday/{source}/{row['filepath']}": row["caption"]
        for source in ("dishes_cn_home", "dishes_cn_studio")
        for row in read_rows(data / "everyday" / source / "captions_zh.csv", ("filepath", "caption"))
    }


def held_out_names(photos: Iterable[EverydayPhoto], seed: int) -> frozenset[str]:
    """A fifth of the names of every labelled set, for the control run that never trains on them."""
    of: dict[str, set[str]] = defaultdict(set)
    for photo in photos:
        if photo.source in LABELLED:
            of[photo.source].add(photo.label)
    chosen: set[str] = set()
    for source, labels in of.items():
        ordered = sorted(labels, key=lambda label: _digest(seed, f"names/{source}", label))
        chosen.update(ordered[: max(1, round(len(ordered) / 5))])
    return frozenset(chosen)
