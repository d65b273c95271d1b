"""Removal of the files and folders that `organize` created in a destination folder."""

import errno
import os
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from clipsight.core.errors import LibraryError
from clipsight.organize import journal
from clipsight.organize.files import PART, Method, destination_errors, same_content
from clipsight.organize.journal import Journal, Line


@dataclass(frozen=True, slots=True)
class UndoResult:
    """Number of files that `undo` removed, and the files that it kept, with the reason."""

    removed: int
    kept: tuple[tuple[Path, str], ...]


def undo(destination: str | os.PathLike[str]) -> UndoResult:
    """Remove the unchanged files, then the empty folders, that `organize` created in `destination`.

    A copy is removed only if its original still has the same content, and a hard link only if its original is
    still the same file, so that no photo is lost. `undo` can be called again for the files it kept. Raises
    `LibraryError` if nothing was sorted into `destination`, or a file can't be removed.
    """
    destination = Path(os.path.abspath(os.path.expanduser(destination)))
    if not os.path.isfile(destination / journal.NAME):
        raise LibraryError(f"nothing to undo: clipsight has not sorted photos into {destination}")
    kept = {}
    removed = 0
    with destination_errors(destination), closing(Journal(destination)) as locked:
        remove_unfinished_copy(destination)
        for line in journal.read(destination):
            target = destination / line.get("file", "")
            if "file" in line and os.path.lexists(target):
                reason = _reason_to_keep(target, line)
                if reason:
                    kept[target] = reason
                else:
                    target.unlink()
                    kept.pop(target, None)  # recorded twice: the first attempt to copy it failed
                    removed += 1
        made = [line for line in journal.read(destination) if line.get("made")]
        for line in made:
            if "folder" in line:
                _remove_if_empty(destination / line["folder"])
        if not kept:
            locked.remove()
            if any("folder" not in line for line in made):
                _remove_if_empty(destination)
    return UndoResult(removed, tuple(kept.items()))


def remove_unfinished_copy(destination: Path) -> None:
    """Remove the incomplete copy, and the empty file of its name, that a killed run may have left."""
    last: Line = {}
    for line in journal.read(destination):
        last = line
    if last.get("how") == Method.COPY.value:
        target = destination / last["file"]
        target.with_name(PART).unlink(missing_ok=True)
        if os.path.isfile(target) and not target.is_symlink() and target.stat().st_size == 0:
            target.unlink()


def _reason_to_keep(target: Path, line: Line) -> str:
    """Reason why `undo` must not remove this file; empty if it may."""
    source = Path(line["source"])
    match Method(line["how"]):
        case Method.SYMLINK:
            same = target.is_symlink() and os.readlink(target) == line["source"]
            return "" if same else "it is no longer the link that was created"
        case Method.HARDLINK:
            same = not target.is_symlink() and os.path.exists(source) and os.path.samefile(source, target)
            return "" if same else f"it is no longer the same file as {source}"
        case Method.COPY:
            same = not target.is_symlink() and same_content(source, target)
            return "" if same else f"it no longer has the content of {source}"


def _remove_if_empty(folder: Path) -> None:
    with suppress(FileNotFoundError, NotADirectoryError):
        try:
            folder.rmdir()
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
