"""Removal of what was created in a folder that photos were sorted into."""

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
    """Remove what `organize` created in `destination`: unchanged files, then empty folders.

    A copy is removed only if its original still has the same content, a hard link only if its original still
    is the same file, so that no photo is lost. Kept files can be tried again. Raises `LibraryError` if
    nothing was sorted into `destination`, or a file can't be removed.
    """
    destination = Path(os.path.abspath(os.path.expanduser(destination)))
    if not (destination / journal.NAME).is_file():
        raise LibraryError(f"nothing to undo: clipsight has not sorted photos into {destination}")
    kept = {}
    removed = 0
    with destination_errors(destination), closing(Journal(destination)) as held:
        finish_last(destination)
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


def finish_last(destination: Path) -> None:
    """Remove the temporary file and the empty file that a killed run may have left of its last copy."""
    last: Line = {}
    for line in journal.read(destination):
        last = line
    if last.get("how") == Method.COPY.value:
        target = destination / last["file"]
        target.with_name(PART).unlink(missing_ok=True)
        if target.is_file() and not target.is_symlink() and target.stat().st_size == 0:
            target.unlink()


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
            same = not target.is_symlink() and same_content(source, target)
            return "" if same else f"it no longer has the content of {source}"


def _remove_if_empty(folder: Path) -> None:
    with suppress(FileNotFoundError, NotADirectoryError):
        try:
            folder.rmdir()
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
