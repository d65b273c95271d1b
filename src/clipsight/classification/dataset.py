"""Photos with known classes, to learn from or to measure by: a folder a class, or a CSV file.

    pets/cat/1.jpg, pets/dog/7.jpg, ...     a folder of folders: their names are the classes
    labels.csv: filepath,label              paths are relative to the CSV file's folder

Called by `probe`, `evaluation` and the comparison of prompt templates.
"""

import csv
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from clipsight.core.errors import LabelError
from clipsight.indexing.scan import photos_in


@dataclass(frozen=True)
class Labelled:
    """Files with one class each, in the order of their paths."""

    classes: tuple[str, ...]
    """Sorted names; at least two."""
    paths: tuple[Path, ...]
    labels: npt.NDArray[np.int64]
    """int64[n], indices into `classes`"""

    def __len__(self) -> int:
        return len(self.paths)


@dataclass(frozen=True)
class LabelledVectors:
    """Embedded photos with one class each."""

    classes: tuple[str, ...]
    paths: tuple[Path, ...]
    vectors: npt.NDArray[np.float32]
    """float32[n, dim]"""
    labels: npt.NDArray[np.int64]
    """int64[n], indices into `classes`"""
    failures: tuple[tuple[Path, str], ...] = ()
    """Photos that could not be read, with the reason."""

    def __len__(self) -> int:
        return len(self.paths)


def read_labelled(source: Path) -> Labelled:
    """Read a folder of class folders (each walked as indexing does), or a CSV with `filepath` and `label`.

    Raises `LabelError` where nothing is there, fewer than two classes, or a class has no photo.
    """
    try:
        if source.is_dir():
            found = _from_folders(source)
        elif source.is_file():
            found = _from_csv(source)
        else:
            raise LabelError(f"no such folder or CSV file: {source}")
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise LabelError(f"can't read {source}: {reason}") from error
    classes = sorted({label for _, label in found})
    if len(classes) < 2:
        raise LabelError(f"{source} has {len(classes)} classes: two or more are needed")
    found.sort()
    number = {name: index for index, name in enumerate(classes)}
    labels = np.array([number[label] for _, label in found], dtype=np.int64)
    return Labelled(tuple(classes), tuple(path for path, _ in found), labels)


def _from_folders(source: Path) -> list[tuple[Path, str]]:
    found = []
    for folder in sorted(path for path in source.iterdir() if path.is_dir() and path.name[0] != "."):
        photos = photos_in(folder)
        if not photos:
            raise LabelError(f"the class folder {folder} has no photo: fill it or take it away")
        found += [(photo, folder.name) for photo in photos]
    return found


def _from_csv(source: Path) -> list[tuple[Path, str]]:
    found: dict[Path, str] = {}
    with source.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        if not {"filepath", "label"} <= set(reader.fieldnames or ()):
            raise LabelError(f"{source} needs the columns filepath and label")
        for number, row in enumerate(reader, start=2):
            name, label = (row["filepath"] or "").strip(), (row["label"] or "").strip()
            if not name or not label:
                raise LabelError(f"{source}, line {number}: filepath or label is empty")
            path = Path(os.path.abspath(source.parent / name))
            if found.setdefault(path, label) != label:
                raise LabelError(f"{source}, line {number}: {name} has two labels, {found[path]} and {label}")
            if not path.is_file():
                raise LabelError(f"{source}, line {number}: no such photo: {path}")
    return list(found.items())
