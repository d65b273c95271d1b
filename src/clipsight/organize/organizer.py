"""Sort photos into folders by label: copies or links of them in DEST/<label>/, and back again.

Photos are never moved, changed or overwritten. Before anything is made, a line in a manifest in DEST says
what it will be, so that `undo` can take it back even after a run was killed. A copy gets its name only when
it is complete. Called by `cli` with the predictions of `classify` or of a probe.
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
from clipsight.organize.journal import Line, Manifest

_PART = ".clipsight-part"

_UNSAFE = re.compile(r'[\x00-\x1f\x7f/\\:*?"<>|]')
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
_LONGEST = 200  # bytes of a folder's name; file systems take 255


class How(Enum):
    """What is made of a photo."""

    COPY = "copy"
    SYMLINK = "symlink"
    HARDLINK = "hardlink"


@dataclass(frozen=True, slots=True)
class Placed:
    """A photo, the label it belongs under, and how likely that is."""

    path: Path
    label: str
    probability: float


class Fate(Enum):
    """What became of a photo."""

    MADE = "made"
    THERE = "already there"
    UNLIKELY = "below the least probability"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Placement:
    """What became of one photo: `target` is where it can be found (None for those left out)."""

    source: Path
    fate: Fate
    target: Path | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Organized:
    """What a run did, or in a dry run would have done."""

    made: int
    there: int
    unlikely: int
    failures: tuple[Placement, ...]


@dataclass(frozen=True, slots=True)
class Undone:
    """How many files `undo` removed, and which it kept and why."""

    removed: int
    kept: tuple[tuple[Path, str], ...]


def organize(
    predictions: Iterable[Placed],
    destination: Path,
    how: How,
    *,
    dry_run: bool = False,
    min_probability: float = 0.0,
    photo_folders: Sequence[Path] = (),
    observer: Callable[[Placement], None] = lambda placement: None,
) -> Organized:
    """Make a copy or link of every photo in `destination`/<label>/; `observer` hears of each.

    Labels are changed as far as file systems demand it. Where a name is taken, the photo gets a number
    (`a-2.jpg`), or is left alone if the same content is there already. `dry_run` changes nothing and tells
    the same. A photo that can't be read is told in `failures`. Raises `LibraryError` if `destination` is
    or lies in one of `photo_folders`, which are only ever read, or can't be written, and while another
    process sorts into it.
    """
    destination = Path(os.path.abspath(destination.expanduser()))
    _refuse_photo_folders(destination, photo_folders)
    fates = dict.fromkeys(Fate, 0)
    failures = []
    folders: dict[str, Path] = {}
    with closing(_Planner(destination) if dry_run else _Maker(destination)) as sorter:
        for photo in predictions:
            if photo.probability < min_probability:
                placement = Placement(photo.path, Fate.UNLIKELY)
            else:
                if photo.label not in folders:
                    folder = sorter.choose_folder(photo.label)
                    _refuse_photo_folders(folder, photo_folders)
                    sorter.make_folder(folder, photo.label)
                    folders[photo.label] = folder
                placement = sorter.place(Path(os.path.abspath(photo.path)), folders[photo.label], how)
            fates[placement.fate] += 1
            if placement.fate is Fate.FAILED:
                failures.append(placement)
            observer(placement)
    return Organized(fates[Fate.MADE], fates[Fate.THERE], fates[Fate.UNLIKELY], tuple(failures))


def undo(destination: Path) -> Undone:
    """Remove what `organize` made in `destination`: files that are as they were made, and then empty folders.

    A copy goes only if its original still has the same content, a hard link only if its original still is
    the same file, so that nothing is lost. What is kept can be tried again. Raises `LibraryError` where
    nothing was sorted into, or a file can't be removed.
    """
    destination = Path(os.path.abspath(destination.expanduser()))
    if not (destination / journal.NAME).is_file():
        raise LibraryError(f"nothing to undo: clipsight has not sorted photos into {destination}")
    kept = {}
    removed = 0
    with _explained(destination), closing(Manifest(destination)) as held:
        _finish_last(destination)
        for line in journal.read(destination):
            target = destination / line.get("file", "")
            if "file" in line and os.path.lexists(target):
                reason = _why_keep(target, line)
                if reason:
                    kept[target] = reason
                else:
                    target.unlink()
                    kept.pop(target, None)  # an earlier line told of a photo that could not be read
                    removed += 1
        made = [line for line in journal.read(destination) if line.get("made")]
        for line in made:
            if "folder" in line:
                _remove_if_empty(destination / line["folder"])
        if not kept:
            held.remove()
            if any("folder" not in line for line in made):
                _remove_if_empty(destination)
    return Undone(removed, tuple(kept.items()))


def folder_name(label: str) -> str:
    """The label as every common file system takes it: a name, not hidden, of 200 bytes at most."""
    name = _UNSAFE.sub("_", unicodedata.normalize("NFC", label))
    name = name.encode("utf-8", "ignore").strip(b" .")[:_LONGEST].decode("utf-8", "ignore").strip(" .")
    return f"{name}_" if not name or _RESERVED.fullmatch(name) else name


class _Planner:
    """Decides where photos go, and makes nothing: a dry run."""

    def __init__(self, destination: Path) -> None:
        if destination.exists() and not destination.is_dir():
            raise LibraryError(f"{destination} is a file: name a folder to sort into")
        self._destination = destination
        self._planned: dict[Path, Path] = {}
        self._folders: dict[str, str] = {
            line["label"]: line["folder"] for line in journal.read(destination) if "folder" in line
        }

    def close(self) -> None:
        """Nothing is held."""

    def choose_folder(self, label: str) -> Path:
        """The folder of a label: the same in later runs, and no other label's."""
        if label not in self._folders:
            taken = {name.casefold() for name in self._folders.values()}
            self._folders[label] = next(
                name
                for name in _numbered(folder_name(label), extension=False)
                if name.casefold() not in taken and _may_be_folder(self._destination / name)
            )
        return self._destination / self._folders[label]

    def make_folder(self, folder: Path, label: str) -> None:
        """Make the folder if it is not there."""

    def place(self, source: Path, folder: Path, how: How) -> Placement:
        """Find, or make, the photo's place in `folder`."""
        try:
            with source.open("rb"):
                pass
            for name in _numbered(source.name):
                target = folder / name
                if target in self._planned or os.path.lexists(target):
                    if _same_content(source, self._planned.get(target, target)):
                        return Placement(source, Fate.THERE, target)
                else:
                    self._make(source, target, how)
                    return Placement(source, Fate.MADE, target)
        except PhotoError as error:
            return Placement(source, Fate.FAILED, reason=str(error))
        except OSError as error:
            return Placement(source, Fate.FAILED, reason=error.strerror or str(error))
        raise AssertionError("there is always another number")

    def _make(self, source: Path, target: Path, how: How) -> None:
        self._planned[target] = source


class _Maker(_Planner):
    """Makes what it decides, each after a line in the manifest."""

    def __init__(self, destination: Path) -> None:
        with _explained(destination):
            made = not os.path.lexists(destination)
            if made:
                destination.mkdir(parents=True)
            super().__init__(destination)
            self._manifest = Manifest(destination)
            _finish_last(destination)
            self._manifest.begin(made=made)

    def close(self) -> None:
        self._manifest.close()

    def make_folder(self, folder: Path, label: str) -> None:
        made = not folder.is_dir()
        with _explained(self._destination):
            self._manifest.write({"folder": folder.name, "label": label, "made": made})
            if made:
                folder.mkdir()

    def _make(self, source: Path, target: Path, how: How) -> None:
        with _explained(self._destination, how):
            name = str(target.relative_to(self._destination))
            self._manifest.write({"file": name, "how": how.value, "source": str(source)})
            match how:
                case How.COPY:
                    _copy(source, target)
                case How.SYMLINK:
                    target.symlink_to(source)
                case How.HARDLINK:
                    target.hardlink_to(source.resolve())


def _finish_last(destination: Path) -> None:
    """Clear away what a killed run may have left of its last copy: a part, and a name that is still empty."""
    last: Line = {}
    for line in journal.read(destination):
        last = line
    if last.get("how") == How.COPY.value:
        target = destination / last["file"]
        target.with_name(_PART).unlink(missing_ok=True)
        if target.is_file() and not target.is_symlink() and target.stat().st_size == 0:
            target.unlink()


def _copy(source: Path, target: Path) -> None:
    """Copy content and dates to `target`, which must not exist, and which is never there half-written."""
    part = target.with_name(_PART)
    with part.open("xb") as out:
        try:
            for chunk in _chunks(source):
                out.write(chunk)
            out.flush()
            shutil.copystat(source, part)
            target.open("xb").close()  # ours from here on: `replace` overwrites nobody else's file
            part.replace(target)
        except BaseException:
            part.unlink(missing_ok=True)
            raise


def _chunks(source: Path) -> Iterator[bytes]:
    """The photo's content; PhotoError where it can't be read, which is not the destination's fault."""
    try:
        with source.open("rb") as file:
            while chunk := file.read(1 << 20):
                yield chunk
    except OSError as error:
        raise PhotoError(error.strerror or str(error)) from error


def _numbered(name: str, *, extension: bool = True) -> Iterator[str]:
    """`a.jpg`, `a-2.jpg`, `a-3.jpg` and so on, each of 255 bytes at most."""
    stem, suffix = os.path.splitext(name) if extension else (name, "")
    yield name
    for number in count(2):
        ending = f"-{number}{suffix}"
        yield os.fsdecode(os.fsencode(stem)[: 255 - len(os.fsencode(ending))]) + ending


def _may_be_folder(path: Path) -> bool:
    return path.is_dir() or not os.path.lexists(path)


def _same_content(source: Path, there: Path) -> bool:
    """Whether the file `there`, or what it links to, is the photo or has its bytes."""
    try:
        if os.path.samefile(source, there):
            return True
        return there.is_file() and filecmp.cmp(source, there, shallow=False)
    except OSError:
        return False  # a dangling link, or a file that may not be read: it is not ours to touch


def _why_keep(target: Path, line: Line) -> str:
    """Why `undo` must not remove this file; empty if it may."""
    source = Path(line["source"])
    match How(line["how"]):
        case How.SYMLINK:
            same = target.is_symlink() and os.readlink(target) == line["source"]
            return "" if same else "it is no longer the link that was made"
        case How.HARDLINK:
            same = not target.is_symlink() and source.exists() and os.path.samefile(source, target)
            return "" if same else f"it is no longer the same file as {source}"
        case How.COPY:
            same = not target.is_symlink() and _same_content(source, target)
            return "" if same else f"it no longer has the content of {source}"


def _refuse_photo_folders(folder: Path, photo_folders: Sequence[Path]) -> None:
    resolved = folder.resolve()
    for photos in photo_folders:
        if resolved.is_relative_to(photos.resolve()):
            raise LibraryError(
                f"{folder} is in the photo folder {photos}, which clipsight only ever reads: choose another"
            )


def _remove_if_empty(folder: Path) -> None:
    with suppress(FileNotFoundError, NotADirectoryError):
        try:
            folder.rmdir()
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise


@contextmanager
def _explained(destination: Path, how: How | None = None) -> Iterator[None]:
    """Turns errors of the destination's file system into one line for the user."""
    try:
        yield
    except OSError as error:
        linking = how in (How.SYMLINK, How.HARDLINK)
        if linking and error.errno == errno.EXDEV:
            problem = f"photos and {destination} are on different disks: make copies or symbolic links"
        elif linking and error.errno in (errno.EPERM, errno.EOPNOTSUPP):
            problem = f"the file system of {destination} can't make such links: make copies"
        else:
            problem = (
                f"can't write in {destination} ({error.strerror or error}); to take back what was made: "
                f"clipsight organize --undo {destination}"
            )
        raise LibraryError(problem) from error
