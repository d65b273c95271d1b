"""Sorts photos into folders by label, as copies or links in DEST/<label>/.

Photos are never moved, changed or overwritten. Each file and folder is recorded in a journal in DEST before
it is created, so that `undo` can remove it even after a killed run. A copy has another name until it is
complete.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from clipsight.core.arguments import number
from clipsight.core.errors import LibraryError, PhotoError
from clipsight.organize import journal
from clipsight.organize.files import Method, create, destination_errors, folder_name, numbered, same_content
from clipsight.organize.journal import Journal
from clipsight.organize.undo import remove_unfinished_copy


@dataclass(frozen=True, slots=True)
class LabelledPhoto:
    """A photo with the label that names its folder (None: no label), and the label's probability."""

    path: Path
    label: str | None
    probability: float = 1.0
    problem: str = ""
    """The reason if the photo can't be read, else empty."""


class Outcome(Enum):
    """Result for one photo."""

    CREATED = "created"
    EXISTING = "already there"
    BELOW_THRESHOLD = "below min_probability"
    UNLABELLED = "without a label"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Placement:
    """Outcome for one photo; `target` is its file in the destination, None if it has none."""

    source: Path
    outcome: Outcome
    target: Path | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class OrganizeResult:
    """Numbers of photos by outcome, those of a dry run as if it had been done."""

    created: int
    existing: int
    below_threshold: int
    unlabelled: int
    failures: tuple[Placement, ...]
    folders: tuple[tuple[Path, int], ...]
    """Each folder with the number of photos that this run has created or found there."""


def organize(
    predictions: Iterable[LabelledPhoto],
    destination: str | os.PathLike[str],
    method: Method = Method.COPY,
    *,
    dry_run: bool = False,
    min_probability: float = 0.0,
    photo_folders: Sequence[Path] = (),
    observer: Callable[[Placement], None] = lambda placement: None,
) -> OrganizeResult:
    """Create a copy or link of every photo in `destination`/<label>/; `observer` is called with each outcome.

    Characters that file systems do not allow are replaced in labels. If a file with the photo's name exists,
    the photo is skipped if the content is the same, otherwise it gets a number (`a-2.jpg`). `dry_run` changes
    nothing and returns the same result. Photos without a label are left out; those that can't be read are in
    `failures`. Raises `LibraryError` if `destination` is or lies in one of `photo_folders`, can't be written,
    or is used by another process.
    """
    number(min_probability, "min_probability", minimum=0, maximum=1, error=LibraryError)
    destination = Path(os.path.abspath(os.path.expanduser(destination)))
    _refuse_photo_folders(destination, photo_folders)
    counts = dict.fromkeys(Outcome, 0)
    failures = []
    folders: dict[str, Path] = {}
    photos_in: Counter[Path] = Counter()
    with closing(_DryRun(destination) if dry_run else _Sorter(destination)) as sorter:
        for photo in predictions:
            if photo.problem:
                placement = Placement(photo.path, Outcome.FAILED, reason=photo.problem)
            elif photo.label is None:
                placement = Placement(photo.path, Outcome.UNLABELLED)
            elif photo.probability < min_probability:
                placement = Placement(photo.path, Outcome.BELOW_THRESHOLD)
            else:
                if photo.label not in folders:
                    folder = sorter.choose_folder(photo.label)
                    _refuse_photo_folders(folder, photo_folders)
                    sorter.make_folder(folder, photo.label)
                    folders[photo.label] = folder
                placement = sorter.place(Path(os.path.abspath(photo.path)), folders[photo.label], method)
            counts[placement.outcome] += 1
            if placement.target is not None:
                photos_in[placement.target.parent] += 1
            if placement.outcome is Outcome.FAILED:
                failures.append(placement)
            observer(placement)
    return OrganizeResult(
        created=counts[Outcome.CREATED],
        existing=counts[Outcome.EXISTING],
        below_threshold=counts[Outcome.BELOW_THRESHOLD],
        unlabelled=counts[Outcome.UNLABELLED],
        failures=tuple(failures),
        folders=tuple(sorted(photos_in.items())),
    )


class _DryRun:
    """Chooses the folder and name of photos, without creating anything."""

    def __init__(self, destination: Path) -> None:
        if os.path.exists(destination) and not os.path.isdir(destination):
            raise LibraryError(f"{destination} is a file: name a folder to sort into")
        self._destination = destination
        self._planned: dict[Path, Path] = {}
        self._folders: dict[str, str] = {
            line["label"]: line["folder"] for line in journal.read(destination) if "folder" in line
        }

    def close(self) -> None:
        """Do nothing."""

    def choose_folder(self, label: str) -> Path:
        """The folder of a label: the same as in earlier runs, and different from those of other labels."""
        if label not in self._folders:
            taken = {name.casefold() for name in self._folders.values()}
            self._folders[label] = next(
                name
                for name in numbered(folder_name(label), extension=False)
                if name.casefold() not in taken and not _is_taken(self._destination / name)
            )
        return self._destination / self._folders[label]

    def make_folder(self, folder: Path, label: str) -> None:
        """Do nothing."""

    def place(self, source: Path, folder: Path, method: Method) -> Placement:
        """Find a file with the photo's content in `folder`, or create one under an unused name."""
        try:
            with source.open("rb"):
                pass
            for name in numbered(source.name):
                target = folder / name
                if target in self._planned or os.path.lexists(target):
                    if same_content(source, self._planned.get(target, target)):
                        return Placement(source, Outcome.EXISTING, target)
                else:
                    self._create(source, target, method)
                    return Placement(source, Outcome.CREATED, target)
        except PhotoError as error:
            return Placement(source, Outcome.FAILED, reason=str(error))
        except OSError as error:
            return Placement(source, Outcome.FAILED, reason=error.strerror or str(error))
        raise AssertionError("numbered() never ends")

    def _create(self, source: Path, target: Path, method: Method) -> None:
        self._planned[target] = source


class _Sorter(_DryRun):
    """Creates files and folders, each after a line in the journal."""

    def __init__(self, destination: Path) -> None:
        with destination_errors(destination):
            made = not os.path.lexists(destination)
            if made:
                destination.mkdir(parents=True)
            super().__init__(destination)
            self._journal = Journal(destination)
            remove_unfinished_copy(destination)
            self._journal.begin(made=made)

    def close(self) -> None:
        self._journal.close()

    def make_folder(self, folder: Path, label: str) -> None:
        made = not os.path.isdir(folder)
        with destination_errors(self._destination):
            self._journal.write({"folder": folder.name, "label": label, "made": made})
            if made:
                folder.mkdir()

    def _create(self, source: Path, target: Path, method: Method) -> None:
        with destination_errors(self._destination, method):
            name = str(target.relative_to(self._destination))
            self._journal.write({"file": name, "how": method.value, "source": str(source)})
            create(source, target, method)


def _refuse_photo_folders(folder: Path, photo_folders: Sequence[Path]) -> None:
    resolved = folder.resolve()
    for photos in photo_folders:
        if resolved.is_relative_to(photos.resolve()):
            raise LibraryError(
                f"{folder} is in the photo folder {photos}, which clipsight never changes: choose another"
            )


def _is_taken(path: Path) -> bool:
    return os.path.lexists(path) and not os.path.isdir(path)
