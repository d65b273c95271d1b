"""Resumable, verified and atomic downloads of model folders from the hub.

Files are downloaded to `.partial/NAME`, beside the final folder; when all have the right checksum, that
folder is renamed. A later attempt resumes at the last byte. (huggingface_hub's own downloads restart after an
interruption, since version 2.)
"""

import errno
import fcntl
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from clipsight.core.errors import ModelError
from clipsight.core.files import total_size
from clipsight.models.folder import ModelFolder
from clipsight.models.hub import (
    HubError,
    RemoteFile,
    RepoListing,
    as_hub_error,
    is_transient,
    network_errors,
    stream_file,
)

# Consecutive attempts without progress before a download fails, and the first pause between them.
_MAX_ATTEMPTS = 4
_PAUSE_SECONDS = 0.5


def install(listing: RepoListing, folder: Path, *, progress: bool = True) -> Path:
    """Download the files of `listing`, verify them, and create `folder` with all of them at once.

    Resumes an earlier attempt, and waits for another process that downloads the same model. With
    `progress`, a bar is shown on stderr if that is a terminal. Raises HubError.
    """
    try:
        with _locked(_partial(folder)):
            if not os.path.isdir(folder):
                _install(listing, folder, progress)
    except _DiskError as error:
        raise _disk_error(error.cause, folder) from error
    except OSError as error:
        raise _disk_error(error, folder) from error
    return folder


def partial_bytes(folder: Path) -> int:
    """Size in bytes of the unfinished download of the model `folder`."""
    return total_size(_partial(folder))


@contextmanager
def new_folder(folder: Path, size: int) -> Iterator[Path]:
    """Yield a path at which the caller creates a folder of `size` bytes, or a link; rename it to `folder`.

    Waits for another process that creates the same model. After an error in the block, the new folder is
    removed. Raises ModelError if `folder` exists, and HubError for errors of the disk.
    """
    try:
        with _locked(_partial(folder)):
            if os.path.lexists(folder):
                raise ModelError(f"{folder} exists already: delete that folder, or choose another `name`")
            _check_free_space(folder, size)
            new = _partial(folder).with_name(f"{folder.name}.new")
            _remove(new)  # left by an interrupted process
            try:
                yield new
                new.rename(folder)
            finally:
                _remove(new)
                with suppress(OSError):  # not empty after an unfinished download
                    _partial(folder).rmdir()
    except OSError as error:
        raise _disk_error(error, folder) from error


def _remove(path: Path) -> None:
    if path.is_symlink():
        path.unlink()
    elif os.path.exists(path):
        shutil.rmtree(path)


def _install(listing: RepoListing, folder: Path, progress: bool) -> None:
    partial = _partial(folder)
    targets = {partial / file.name: file for file in listing.files}
    _clear(partial, {*targets, *(_part(target, file) for target, file in targets.items())})
    present = sum(_downloaded_bytes(target, file) for target, file in targets.items())
    _check_free_space(folder, listing.size - present)
    with _progress_bar(folder.name, listing.size, present, progress) as advance:
        for target, file in targets.items():
            if not (os.path.isfile(target) and file.matches(target)):
                _fetch(listing, file, target, advance)
    try:
        ModelFolder.read(partial)
    except ModelError as error:
        shutil.rmtree(partial)
        problem = str(error).replace(str(partial), listing.repo)
        raise HubError(f"{listing.repo} can't be used ({problem})", "choose another model") from error
    partial.rename(folder)


def _fetch(listing: RepoListing, file: RemoteFile, target: Path, advance: Callable[[int], None]) -> None:
    """Download the rest of one file and verify it."""
    part = _part(target, file)
    part.parent.mkdir(parents=True, exist_ok=True)
    with part.open("ab", buffering=0) as stream:
        failed = 0
        while (have := stream.tell()) < file.size:
            reason: Exception = EOFError("the connection was closed early")
            try:
                _receive(listing, file, stream, advance)
            except network_errors() as error:
                reason = error
            if stream.tell() >= file.size:
                break
            failed = 0 if stream.tell() > have else failed + 1
            if failed == _MAX_ATTEMPTS or not is_transient(reason):
                raise as_hub_error(reason, listing.repo, listing.endpoint) from reason
            time.sleep(_PAUSE_SECONDS * 2**failed)
        os.fsync(stream.fileno())
    if not file.matches(part):
        part.unlink()
        damage = f"{file.name} of {listing.repo} arrived damaged (wrong checksum) and was removed"
        raise HubError(damage, "run the command again")
    part.rename(target)


def _receive(
    listing: RepoListing, file: RemoteFile, stream: BinaryIO, advance: Callable[[int], None]
) -> None:
    """Append the rest of the file to `stream`, in one attempt."""
    start = stream.tell()
    with stream_file(listing, file, start) as (offset, blocks):
        if offset < start:
            stream.truncate(0)
            stream.seek(0)
            advance(-start)
        for block in blocks:
            _write(stream, block)
            advance(len(block))
            if stream.tell() > file.size:  # not the listed file: its checksum will differ
                return


def _write(stream: BinaryIO, block: bytes) -> None:
    rest = memoryview(block)
    try:
        while rest:
            rest = rest[stream.write(rest) :]
    except OSError as error:
        raise _DiskError(error) from error


class _DiskError(Exception):
    """An OSError of this machine's disk, as opposed to the network's."""

    def __init__(self, cause: OSError) -> None:
        super().__init__(cause)
        self.cause = cause


@contextmanager
def _locked(partial: Path) -> Iterator[None]:
    """Hold the lock on the model that is downloaded to `partial`; wait for another process to release it."""
    partial.mkdir(parents=True, exist_ok=True)
    with partial.with_name(f"{partial.name}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # The previous holder has renamed this folder if it finished.
        partial.mkdir(exist_ok=True)
        yield


def _partial(folder: Path) -> Path:
    return folder.parent / ".partial" / folder.name


def _part(target: Path, file: RemoteFile) -> Path:
    # The checksum in the name separates the versions of a file.
    return target.with_name(f"{target.name}.{file.checksum[:16]}.part")


def _downloaded_bytes(target: Path, file: RemoteFile) -> int:
    for path in (target, _part(target, file)):
        if os.path.isfile(path):
            return min(path.stat().st_size, file.size)
    return 0


def _clear(partial: Path, kept: Iterable[Path]) -> None:
    """Remove all files but `kept`, such as those of another version of the model."""
    keep = set(kept)
    for path in list(partial.rglob("*")):
        if os.path.isfile(path) and path not in keep:
            path.unlink()


def _check_free_space(folder: Path, needed: int) -> None:
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
def _progress_bar(name: str, total: int, present: int, enabled: bool) -> Iterator[Callable[[int], None]]:
    """Show a progress bar if stderr is a terminal; yield the function that advances it by some bytes."""
    if not (enabled and sys.stderr.isatty()):
        yield lambda count: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress("{task.description}", *columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(f"downloading {name}", total=total, completed=present)
        yield lambda count: bar.advance(task, count)
