"""Photos sorted into folders by label, as copies or links in DEST/<label>/, and undoing that.

Photos are never moved, changed or overwritten. Each file and folder is recorded in a journal in DEST before
it is created, so that `undo` can remove it even after a killed run. A copy gets its name when it is complete.
"""

import errno
import filecmp
import os
import re
import shutil
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from itertools import count
from pathlib import Path

from clipsight.core.errors import LibraryError, PhotoError
from clipsight.organize import journal
from clipsight.organize.journal import Journal, Line

_PART = ".clipsight-part"

_UNSAFE = re.compile(r'[\x00-\x1f\x7f/\\:*?"<>|]')
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
_MAX_NAME_BYTES = 200  # of a folder; file systems allow 255


class Method(Enum):
    """Kind of file that is created for a photo."""

    COPY = "copy"
    SYMLINK = "symlink"
    HARDLINK = "hardlink"


@dataclass(frozen=True, slots=True)
class LabelledPhoto:
    """A photo with its label, and the label's probability."""

    path: Path
    label: str
    probability: float


class Outcome(Enum):
    """Result for one photo."""

    CREATED = "created"
    EXISTING = "already there"
    BELOW_THRESHOLD = "below min_probability"
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
    """Numbers of photos by outcome; in a dry run, of what would be done."""

    created: int
    existing: int
    below_threshold: int
    failures: tuple[Placement, ...]


@dataclass(frozen=True, slots=True)
class UndoResult:
    """Number of files that `undo` removed, and the files that it kept, with the reason."""

    removed: int
    kept: tuple[tuple[Path, str], ...]


def organize(
    predictions: Iterable[LabelledPhoto],
    destination: Path,
    method: Method = Method.COPY,
    *,
    dry_run: bool = False,
    min_probability: float = 0.0,
    photo_folders: Sequence[Path] = (),
    observer: Callable[[Placement], None] = lambda placement: None,
) -> OrganizeResult:
    """Create a copy or link of every photo in `destination`/<label>/; `observer` is called with each outcome.

    Characters that file systems do not allow are replaced in labels. If a name is taken, the photo gets a
    number (`a-2.jpg`), or is skipped if the existing file has the same content. `dry_run` changes nothing and
    returns the same. Photos that can't be read are in `failures`. Raises `LibraryError` if `destination` is
    or lies in one of `photo_folders`, can't be written, or is in use by another process.
    """
    destination = Path(os.path.abspath(destination.expanduser()))
    _refuse_photo_folders(destination, photo_folders)
    counts = dict.fromkeys(Outcome, 0)
    failures = []
    folders: dict[str, Path] = {}
    with closing(_DryRun(destination) if dry_run else _Sorter(destination)) as sorter:
        for photo in predictions:
            if photo.probability < min_probability:
                placement = Placement(photo.path, Outcome.BELOW_THRESHOLD)
            else:
                if photo.label not in folders:
                    folder = sorter.choose_folder(photo.label)
                    _refuse_photo_folders(folder, photo_folders)
                    sorter.make_folder(folder, photo.label)
                    folders[photo.label] = folder
                placement = sorter.place(Path(os.path.abspath(photo.path)), folders[photo.label], method)
            counts[placement.outcome] += 1
            if placement.outcome is Outcome.FAILED:
                failures.append(placement)
            observer(placement)
    return OrganizeResult(
        counts[Outcome.CREATED], counts[Outcome.EXISTING], counts[Outcome.BELOW_THRESHOLD], tuple(failures)
    )


def undo(destination: Path) -> UndoResult:
    """Remove what `organize` created in `destination`: unchanged files, then empty folders.

    A copy is removed only if its original still has the same content, a hard link only if its original still
    is the same file, so that no photo is lost. Kept files can be tried again. Raises `LibraryError` if
    nothing was sorted into `destination`, or a file can't be removed.
    """
    destination = Path(os.path.abspath(destination.expanduser()))
    if not (destination / journal.NAME).is_file():
        raise LibraryError(f"nothing to undo: clipsight has not sorted photos into {destination}")
    kept = {}
    removed = 0
    with _library_errors(destination), closing(Journal(destination)) as held:
        _finish_last(destination)
        for line in journal.read(destination):
            target = destination / line.get("file", "")
            if "file" in line and os.path.lexists(target):
                reason = _reason_to_keep(target, line)
                if reason:
                    kept[target] = reason
                else:
                    target.unlink()
                    kept.pop(target, None)  # an earlier line was of a photo that could not be read
                    removed += 1
        made = [line for line in journal.read(destination) if line.get("made")]
        for line in made:
            if "folder" in line:
                _remove_if_empty(destination / line["folder"])
        if not kept:
            held.remove()
            if any("folder" not in line for line in made):
                _remove_if_empty(destination)
    return UndoResult(removed, tuple(kept.items()))


def folder_name(label: str) -> str:
    """The label as a valid folder name on common file systems: not hidden, at most 200 bytes."""
    name = _UNSAFE.sub("_", unicodedata.normalize("NFC", label))
    name = name.encode("utf-8", "ignore").strip(b" .")[:_MAX_NAME_BYTES].decode("utf-8", "ignore").strip(" .")
    return f"{name}_" if not name or _RESERVED.fullmatch(name) else name


class _DryRun:
    """Decides the folder and name of photos, and creates nothing."""

    def __init__(self, destination: Path) -> None:
        if destination.exists() and not destination.is_dir():
            raise LibraryError(f"{destination} is a file: name a folder to sort into")
        self._destination = destination
        self._planned: dict[Path, Path] = {}
        self._folders: dict[str, str] = {
            line["label"]: line["folder"] for line in journal.read(destination) if "folder" in line
        }

    def close(self) -> None:
        """Release nothing."""

    def choose_folder(self, label: str) -> Path:
        """The folder of a label: the same in later runs, different from those of other labels."""
        if label not in self._folders:
            taken = {name.casefold() for name in self._folders.values()}
            self._folders[label] = next(
                name
                for name in _numbered(folder_name(label), extension=False)
                if name.casefold() not in taken and _may_be_folder(self._destination / name)
            )
        return self._destination / self._folders[label]

    def make_folder(self, folder: Path, label: str) -> None:
        """Create nothing."""

    def place(self, source: Path, folder: Path, method: Method) -> Placement:
        """Find the file of the photo in `folder`, or create it under a free name."""
        try:
            with source.open("rb"):
                pass
            for name in _numbered(source.name):
                target = folder / name
                if target in self._planned or os.path.lexists(target):
                    if _same_content(source, self._planned.get(target, target)):
                        return Placement(source, Outcome.EXISTING, target)
                else:
                    self._create(source, target, method)
                    return Placement(source, Outcome.CREATED, target)
        except PhotoError as error:
            return Placement(source, Outcome.FAILED, reason=str(error))
        except OSError as error:
            return Placement(source, Outcome.FAILED, reason=error.strerror or str(error))
        raise AssertionError("there is always another number")

    def _create(self, source: Path, target: Path, method: Method) -> None:
        self._planned[target] = source


class _Sorter(_DryRun):
    """Creates files and folders, each after a line in the journal."""

    def __init__(self, destination: Path) -> None:
        with _library_errors(destination):
            made = not os.path.lexists(destination)
            if made:
                destination.mkdir(parents=True)
            super().__init__(destination)
            self._journal = Journal(destination)
            _finish_last(destination)
            self._journal.begin(made=made)

    def close(self) -> None:
        self._journal.close()

    def make_folder(self, folder: Path, label: str) -> None:
        made = not folder.is_dir()
        with _library_errors(self._destination):
            self._journal.write({"folder": folder.name, "label": label, "made": made})
            if made:
                folder.mkdir()

    def _create(self, source: Path, target: Path, method: Method) -> None:
        with _library_errors(self._destination, method):
            name = str(target.relative_to(self._destination))
            self._journal.write({"file": name, "how": method.value, "source": str(source)})
            match method:
                case Method.COPY:
                    _copy(source, target)
                case Method.SYMLINK:
                    target.symlink_to(source)
                case Method.HARDLINK:
                    target.hardlink_to(source.resolve())


def _finish_last(destination: Path) -> None:
    """Remove the temporary file and the empty file that a killed run may have left of its last copy."""
    last: Line = {}
    for line in journal.read(destination):
        last = line
    if last.get("how") == Method.COPY.value:
        target = destination / last["file"]
        target.with_name(_PART).unlink(missing_ok=True)
        if target.is_file() and not target.is_symlink() and target.stat().st_size == 0:
            target.unlink()


def _copy(source: Path, target: Path) -> None:
    """Copy content and dates to `target` atomically; raise FileExistsError if it exists."""
    part = target.with_name(_PART)
    with part.open("xb") as out:
        try:
            for chunk in _chunks(source):
                out.write(chunk)
            out.flush()
            shutil.copystat(source, part)
            target.open("xb").close()  # reserves the name: `replace` would overwrite another file
            part.replace(target)
        except BaseException:
            part.unlink(missing_ok=True)
            raise


def _chunks(source: Path) -> Iterator[bytes]:
    """Yield the photo's content. Raises `PhotoError` if it can't be read."""
    try:
        with source.open("rb") as file:
            while chunk := file.read(1 << 20):
                yield chunk
    except OSError as error:
        raise PhotoError(error.strerror or str(error)) from error


def _numbered(name: str, *, extension: bool = True) -> Iterator[str]:
    """Yield `a.jpg`, `a-2.jpg`, `a-3.jpg` and so on, each of 255 bytes at most."""
    stem, suffix = os.path.splitext(name) if extension else (name, "")
    yield name
    for number in count(2):
        ending = f"-{number}{suffix}"
        yield os.fsdecode(os.fsencode(stem)[: 255 - len(os.fsencode(ending))]) + ending


def _may_be_folder(path: Path) -> bool:
    return path.is_dir() or not os.path.lexists(path)


def _same_content(source: Path, there: Path) -> bool:
    """True if the file `there`, or its link target, is the photo or has the same bytes."""
    try:
        if os.path.samefile(source, there):
            return True
        return there.is_file() and filecmp.cmp(source, there, shallow=False)
    except OSError:
        return False  # a dangling link, or a file without permission to read


def _reason_to_keep(target: Path, line: Line) -> str:
    """Reason why `undo` must not remove this file; empty if it may."""
    source = Path(line["source"])
    match Method(line["how"]):
        case Method.SYMLINK:
            same = target.is_symlink() and os.readlink(target) == line["source"]
            return "" if same else "it is no longer the link that was created"
        case Method.HARDLINK:
            same = not target.is_symlink() and source.exists() and os.path.samefile(source, target)
            return "" if same else f"it is no longer the same file as {source}"
        case Method.COPY:
            same = not target.is_symlink() and _same_content(source, target)
            return "" if same else f"it no longer has the content of {source}"


def _refuse_photo_folders(folder: Path, photo_folders: Sequence[Path]) -> None:
    resolved = folder.resolve()
    for photos in photo_folders:
        if resolved.is_relative_to(photos.resolve()):
            raise LibraryError(
                f"{folder} is in the photo folder {photos}, which clipsight never changes: choose another"
            )


def _remove_if_empty(folder: Path) -> None:
    with suppress(FileNotFoundError, NotADirectoryError):
        try:
            folder.rmdir()
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise


@contextmanager
def _library_errors(destination: Path, method: Method | None = None) -> Iterator[None]:
    """Raise `LibraryError` for errors of the destination's file system."""
    try:
        yield
    except OSError as error:
        linking = method in (Method.SYMLINK, Method.HARDLINK)
        if linking and error.errno == errno.EXDEV:
            problem = f"photos and {destination} are on different disks: make copies or symbolic links"
        elif linking and error.errno in (errno.EPERM, errno.EOPNOTSUPP):
            problem = f"the file system of {destination} can't make such links: make copies"
        else:
            problem = (
                f"can't write in {destination} ({error.strerror or error}); to remove what was created: "
                f"clipsight organize --undo {destination}"
            )
        raise LibraryError(problem) from error
