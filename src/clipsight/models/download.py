"""Installing a model folder from the hub: resumed, checked, and there as a whole or not at all.

The files wait in `.partial/NAME`, beside the folder to be, until every one has arrived with the right
checksum; then that folder is renamed. A later attempt goes on from the last byte. (huggingface_hub's own
downloads start again after a break, since its version 2.)
"""

import errno
import fcntl
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from clipsight.core.errors import ModelError
from clipsight.models.folder import ModelFolder
from clipsight.models.hub import (
    HubError,
    Listing,
    RemoteFile,
    hub_error,
    may_pass,
    network_errors,
    open_blocks,
)

# Attempts in a row that bring nothing before a download gives up, and the first pause between them.
_ATTEMPTS = 4
_PAUSE = 0.5


def install(listing: Listing, folder: Path, *, progress: bool = True) -> Path:
    """Fetch the files of `listing` and let them appear together as `folder`, complete and checked.

    Goes on where an earlier attempt stopped; if another process is at it, waits for that one. With
    `progress`, a bar is shown on stderr if that is a terminal. Raises HubError.
    """
    try:
        with _alone(_partial(folder)):
            if not folder.is_dir():
                _install(listing, folder, progress)
    except _DiskError as error:
        raise _disk_error(error.cause, folder) from error
    except OSError as error:
        raise _disk_error(error, folder) from error
    return folder


def partial_bytes(folder: Path) -> int:
    """How much of the model `folder` an unfinished download has already brought."""
    return sum(file.stat().st_size for file in _partial(folder).rglob("*") if file.is_file())


def _install(listing: Listing, folder: Path, progress: bool) -> None:
    waiting = _partial(folder)
    targets = {waiting / file.name: file for file in listing.files}
    _clear(waiting, {*targets, *(_part(target, file) for target, file in targets.items())})
    present = sum(_present(target, file) for target, file in targets.items())
    _check_room(folder, listing.size - present)
    with _bar(folder.name, listing.size, present, progress) as arrived:
        for target, file in targets.items():
            if not (target.is_file() and file.matches(target)):
                _fetch(listing, file, target, arrived)
    try:
        ModelFolder.read(waiting)
    except ModelError as error:
        shutil.rmtree(waiting)
        problem = str(error).replace(str(waiting), listing.repo)
        raise HubError(f"{listing.repo} can't be used ({problem})", "choose another model") from error
    waiting.rename(folder)


def _fetch(listing: Listing, file: RemoteFile, target: Path, arrived: Callable[[int], None]) -> None:
    """Bring one file, from the byte where it stopped before, and check it."""
    part = _part(target, file)
    part.parent.mkdir(parents=True, exist_ok=True)
    with part.open("ab", buffering=0) as stream:
        failed = 0
        while (have := stream.tell()) < file.size:
            reason: Exception = EOFError("the connection was closed early")
            try:
                _receive(listing, file, stream, arrived)
            except network_errors() as error:
                reason = error
            if stream.tell() >= file.size:
                break
            failed = 0 if stream.tell() > have else failed + 1
            if failed == _ATTEMPTS or not may_pass(reason):
                raise hub_error(reason, listing.repo, listing.endpoint) from reason
            time.sleep(_PAUSE * 2**failed)
        os.fsync(stream.fileno())
    if not file.matches(part):
        part.unlink()
        damage = f"{file.name} of {listing.repo} arrived damaged (wrong checksum) and was removed"
        raise HubError(damage, "run the command again")
    part.rename(target)


def _receive(listing: Listing, file: RemoteFile, stream: BinaryIO, arrived: Callable[[int], None]) -> None:
    """Append what the hub sends, from the end of `stream` on."""
    start = stream.tell()
    with open_blocks(listing, file, start) as (offset, blocks):
        if offset < start:
            stream.truncate(0)
            stream.seek(0)
            arrived(-start)
        for block in blocks:
            _write(stream, block)
            arrived(len(block))
            if stream.tell() > file.size:  # not the file that was listed; its checksum will say so
                return


def _write(stream: BinaryIO, block: bytes) -> None:
    rest = memoryview(block)
    try:
        while rest:
            rest = rest[stream.write(rest) :]
    except OSError as error:
        raise _DiskError(error) from error


class _DiskError(Exception):
    """An OSError of this machine's disk, kept apart from those of the network."""

    def __init__(self, cause: OSError) -> None:
        super().__init__(cause)
        self.cause = cause


@contextmanager
def _alone(waiting: Path) -> Iterator[None]:
    """Hold the right to download this model; a second process waits here for the first to end."""
    waiting.mkdir(parents=True, exist_ok=True)
    with waiting.with_name(f"{waiting.name}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # The holder before us has renamed its folder if it came to the end.
        waiting.mkdir(exist_ok=True)
        yield


def _partial(folder: Path) -> Path:
    return folder.parent / ".partial" / folder.name


def _part(target: Path, file: RemoteFile) -> Path:
    # The checksum in the name keeps the bytes of two versions of a file apart.
    return target.with_name(f"{target.name}.{file.checksum[:16]}.part")


def _present(target: Path, file: RemoteFile) -> int:
    for path in (target, _part(target, file)):
        if path.is_file():
            return min(path.stat().st_size, file.size)
    return 0


def _clear(waiting: Path, kept: Iterable[Path]) -> None:
    """Remove what is not `kept`: files, and parts of files, of another version."""
    keep = set(kept)
    for path in list(waiting.rglob("*")):
        if path.is_file() and path not in keep:
            path.unlink()


def _check_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder.parent).free
    if needed > free:
        raise HubError(
            f"{folder.name} needs {needed / 1e6:,.0f} MB and {folder.parent} has {free / 1e6:,.0f} MB free",
            "make room, or set CLIPSIGHT_HOME to a folder on another disk",
        )


def _disk_error(error: OSError, folder: Path) -> HubError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return HubError(
            f"the disk of {folder.parent} is full, so {folder.name} could not be completed",
            "make room, or set CLIPSIGHT_HOME to a folder on another disk (what has arrived is kept)",
        )
    return HubError(
        f"{folder.name} can't be written to {folder.parent} ({error.strerror or error})",
        "set CLIPSIGHT_HOME to a folder that can be written",
    )


@contextmanager
def _bar(name: str, total: int, present: int, wanted: bool) -> Iterator[Callable[[int], None]]:
    """A progress bar on stderr, where that is a terminal; yields what to tell the arrived bytes."""
    if not (wanted and sys.stderr.isatty()):
        yield lambda count: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress("{task.description}", *columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(f"downloading {name}", total=total, completed=present)
        yield lambda count: bar.advance(task, count)
