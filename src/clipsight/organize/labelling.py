"""Photos of a library with the labels by which they are sorted: best class, month or camera."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict, get_args

from clipsight.classification.predictions import NONE, Predictions
from clipsight.core.arguments import number, texts
from clipsight.core.errors import LabelError, LibraryError
from clipsight.organize.files import Method
from clipsight.organize.organizer import LabelledPhoto, OrganizeResult, organize
from clipsight.search.connection import Connection
from clipsight.store.records import EmbeddedPhoto, PhotoInfo

if TYPE_CHECKING:
    from clipsight.classification.prompts import TemplateSet
    from clipsight.classification.zero_shot import Classification

By = Literal["label", "date", "camera"]


class OrganizeKeywords(TypedDict, total=False):
    """Keyword arguments for the fields of `OrganizeOptions`."""

    by: By
    labels: Sequence[str]
    templates: "TemplateSet | str"
    unknown: bool
    min_probability: float
    method: str
    dry_run: bool


@dataclass(frozen=True, slots=True)
class OrganizeOptions:
    """Criterion and method by which photos are sorted. Raises `LibraryError` or `LabelError` if invalid."""

    by: By = "label"
    """"label": the most probable of `labels`; "date": the month of the photo, as 2024-05; "camera" """
    labels: Sequence[str] = ()
    templates: "TemplateSet | str" = "simple"
    """prompt templates of the labels, as for `Library.classify`"""
    unknown: bool = False
    """leave out photos that no label fits"""
    min_probability: float = 0.0
    """minimum probability of a label"""
    method: str = "copy"
    """"copy", "symlink" or "hardlink" """
    dry_run: bool = False
    """only return what would be done"""

    def __post_init__(self) -> None:
        if self.by not in get_args(By):
            raise LibraryError(f"can't sort photos `by` {self.by!r}: choose label, date or camera")
        Method.named(self.method)
        number(self.min_probability, "min_probability", minimum=0, maximum=1, error=LibraryError)
        object.__setattr__(self, "labels", texts(self.labels, "labels", error=LabelError))
        if self.labels and self.by != "label":
            raise LabelError(f"`labels` are for sorting by label, not by {self.by}")


def organize_indexed(
    opened: "Connection[Any]",
    classify: "Callable[..., Classification]",
    folders: "str | os.PathLike[str] | Iterable[str | os.PathLike[str]]",
    destination: "str | os.PathLike[str]",
    options: OrganizeOptions,
) -> OrganizeResult:
    """Sort the indexed photos in and below `folders` (none: all of the library) into `destination`.

    `classify` is `Library.classify`. Raises `LabelError`, and `LibraryError` as `organizer.organize` does and
    for a folder that has not been indexed.
    """
    inside = texts(folders, "folders", error=LibraryError, paths=True)
    (folder,) = texts(destination, "destination", error=LibraryError, paths=True)
    known = opened.snapshot.known_folders(inside)
    if options.by == "label":
        found = classify(
            options.labels,
            *inside,
            templates=options.templates,
            unknown=options.unknown,
            keep=not options.dry_run,
        )
        photos = by_label(found.chunks)
    else:
        found_photos = opened.catalog.iter_embedded_photos(opened.model, known or None)
        photos = _by_metadata(found_photos, _LABELS[options.by])
    return organize(
        photos,
        Path(folder),
        Method.named(options.method),
        dry_run=options.dry_run,
        min_probability=options.min_probability,
        photo_folders=[Path(os.fsdecode(root.path)) for root in opened.catalog.roots()],
    )


def by_label(chunks: Iterable[Predictions]) -> Iterator[LabelledPhoto]:
    """Yield classified photos with their most probable label; None if no label fits."""
    for chunk in chunks:
        for each in chunk:
            yield LabelledPhoto(each.path, None if each.label == NONE else each.label, each.probability)
        for path, reason in chunk.failures:
            yield LabelledPhoto(path, None, problem=reason)


def _by_metadata(
    photos: Iterable[EmbeddedPhoto], label_of: Callable[[PhotoInfo], str | None]
) -> Iterator[LabelledPhoto]:
    for photo in photos:
        yield LabelledPhoto(Path(os.fsdecode(photo.path)), label_of(photo.info))


_LABELS: dict[str, Callable[[PhotoInfo], str | None]] = {
    "date": lambda info: info.taken and info.taken[: len("2024-05")],
    "camera": lambda info: info.camera,
}
