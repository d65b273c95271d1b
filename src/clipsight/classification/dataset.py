"""Photos with known classes, for training and evaluation: a folder with one folder per class, or a CSV file.

pets/cat/1.jpg, pets/dog/7.jpg, ...     the names of the folders are the classes
labels.csv: filepath,label              paths are relative to the CSV file's folder
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from clipsight.core.errors import LabelError
from clipsight.core.paths import expand
from clipsight.core.tables import read_table
from clipsight.core.text import nfc
from clipsight.indexing.scan import photos_in


@dataclass(frozen=True)
class LabelledFiles:
    """Photo files with one class each, sorted by path."""

    classes: tuple[str, ...]
    """Sorted class names; at least two."""
    paths: tuple[Path, ...]
    labels: npt.NDArray[np.int64]
    """int64[n], indices into `classes`."""

    def __len__(self) -> int:
        return len(self.paths)


@dataclass(frozen=True)
class LabelledVectors:
    """Embedded photos with one class each."""

    classes: tuple[str, ...]
    paths: tuple[Path, ...]
    vectors: npt.NDArray[np.float32]
    """float32[n, dim], unit length."""
    labels: npt.NDArray[np.int64]
    """int64[n], indices into `classes`."""
    failures: tuple[tuple[Path, str], ...] = ()
    """Photos that could not be read, with the reason."""

    def __len__(self) -> int:
        return len(self.paths)

    def subset(self, rows: npt.NDArray[np.int64]) -> "LabelledVectors":
        """The photos in `rows`, int64[k]; classes and failures stay the same."""
        paths = tuple(self.paths[row] for row in rows.tolist())
        return LabelledVectors(self.classes, paths, self.vectors[rows], self.labels[rows], self.failures)

    def with_classes(self, classes: Sequence[str]) -> "LabelledVectors":
        """The photos with labels that index `classes`. Raises `LabelError` for a class that is not in it."""
        # Probes saved by earlier versions may have class names that are not in NFC.
        places = {nfc(name): place for place, name in enumerate(classes)}
        for name in self.classes:
            if name not in places:
                raise LabelError(f"the class {name!r} of the test photos is not one of the trained classes")
        index = np.array([places[name] for name in self.classes])
        return LabelledVectors(tuple(classes), self.paths, self.vectors, index[self.labels], self.failures)


def read_labelled(source: Path) -> LabelledFiles:
    """Read a folder of class folders (each scanned as in indexing), or a CSV with `filepath` and `label`.

    Raises `LabelError` if `source` does not exist, has fewer than two classes, or a class has no photo.
    """
    try:
        if os.path.isdir(source):
            found = _from_folders(source)
        elif os.path.isfile(source):
            found = _from_csv(source)
        else:
            raise LabelError(f"no such folder or CSV file: {source}")
    except OSError as error:
        raise LabelError(f"can't read {source}: {error.strerror or error}") from error
    found = [(path, nfc(label)) for path, label in found]
    classes = sorted({label for _, label in found})
    if len(classes) < 2:
        raise LabelError(f"{source} has {len(classes)} classes: two or more are needed")
    found.sort()
    number = {name: index for index, name in enumerate(classes)}
    labels = np.array([number[label] for _, label in found], dtype=np.int64)
    return LabelledFiles(tuple(classes), tuple(path for path, _ in found), labels)


def _from_folders(source: Path) -> list[tuple[Path, str]]:
    found = []
    for folder in sorted(path for path in source.iterdir() if os.path.isdir(path) and path.name[0] != "."):
        photos = photos_in(folder)
        if not photos:
            raise LabelError(f"the class folder {folder} has no photo: add photos or remove the folder")
        found += [(photo, folder.name) for photo in photos]
    return found


def _from_csv(source: Path) -> list[tuple[Path, str]]:
    found: dict[Path, str] = {}
    for line, filepath, label in read_table(source, ("filepath", "label"), error=LabelError):
        if not filepath or not label:
            raise LabelError(f"{source}, line {line}: filepath or label is empty")
        path = expand(filepath)
        if nfc(found.setdefault(path, label)) != nfc(label):
            raise LabelError(f"{source}, line {line}: {path} has two labels, {found[path]} and {label}")
        if not os.path.isfile(path):
            raise LabelError(f"{source}, line {line}: no such photo: {path}")
    return list(found.items())
