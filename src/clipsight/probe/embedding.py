"""Embeddings of labelled photos, computed and stored by a library of their own."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from clipsight.classification.dataset import LabelledFiles, LabelledVectors
from clipsight.core import paths
from clipsight.core.errors import LabelError

if TYPE_CHECKING:
    from clipsight.core.progress import ProgressLike
    from clipsight.indexing.report import Observer
    from clipsight.library import Library
    from clipsight.models.folder import ModelFolder


def evaluation_library(
    model: "ModelFolder",
    *,
    device: str = "cpu",
    threads: int | None = None,
    note: Callable[[str], None] = lambda line: None,
) -> "Library":
    """Open the library for training and test photos of probes and evaluations; each model has its own.

    It is separate, so that such photos do not become part of the user's library. Raises `LibraryError`.
    """
    from clipsight.library import Library

    name = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in model.name)
    path = paths.measured_folder() / f"{name}-{model.fingerprint()[:8]}"
    return Library.open(path, str(model.path), device=device, threads=threads, note=note)


def evaluation_library_for(library: "Library") -> "Library":
    """Open the evaluation library for the model of `library`."""
    return evaluation_library(
        library.encoder.folder, device=library.device, threads=library.threads, note=library.note
    )


def embed_labelled(
    labelled: LabelledFiles, library: "Library", *, progress: "Observer | ProgressLike" = None
) -> LabelledVectors:
    """Index the photos' folders in `library` and return the photos with their vectors.

    Interrupted indexing continues in the next call. Raises `LabelError` if no photo of a class can be read.
    """
    paths, vectors, failures = embed_files(labelled.paths, library, progress=progress)
    label_of = dict(zip(labelled.paths, labelled.labels.tolist(), strict=True))
    labels = np.array([label_of[path] for path in paths], dtype=np.int64)
    counts = np.bincount(labels, minlength=len(labelled.classes))
    if not counts.all():
        empty = labelled.classes[int(counts.argmin())]
        path, reason = next(each for each in failures if label_of[each[0]] == counts.argmin())
        raise LabelError(f"no photo of the class {empty!r} can be read: the first is {path}, {reason}")
    return LabelledVectors(labelled.classes, paths, vectors, labels, failures)


def embed_files(
    files: Sequence[Path], library: "Library", *, progress: "Observer | ProgressLike" = None
) -> tuple[tuple[Path, ...], npt.NDArray[np.float32], tuple[tuple[Path, str], ...]]:
    """Index the folders of `files` (absolute paths) in `library`, and return the files' vectors.

    Returns the files that could be read, in order, their vectors float32[n, dim], and the other files with
    the reason.
    """
    folders = _topmost({path.parent for path in files})
    library.index(*folders, progress=progress)
    wanted = set(files)
    vector_of = {
        path: vector
        for chunk in library.embeddings(*folders)
        for path, vector in zip(chunk.paths, chunk.vectors, strict=True)
        if path in wanted
    }
    found = tuple(path for path in files if path in vector_of)
    vectors = np.array([vector_of[path] for path in found], dtype=np.float32)
    reasons = {Path(os.fsdecode(failure.path)): failure.reason for failure in library.status().failures}
    failures = tuple(
        (path, reasons.get(path, "left out of the index: missing, hidden, excluded or not a photo"))
        for path in files
        if path not in vector_of
    )
    return found, vectors, failures


def _topmost(folders: set[Path]) -> list[Path]:
    """Those of `folders` that are not below another one of them."""
    return sorted(folder for folder in folders if not any(parent in folders for parent in folder.parents))
