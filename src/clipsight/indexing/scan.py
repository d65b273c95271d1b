"""Photo files in a folder: a lazy walk that opens no file.

Rules of the walk:

- Directories come in sorted order, parents before children, each once (by device and inode).
- Links to directories are followed after all real directories have been visited, so a cycle ends and a
  directory within the folder keeps its real path. A link to a photo is listed under the link's name if its
  target is a regular file; sockets, FIFOs and devices are never listed.
- A raw file beside a photo of the same name, such as `a.CR2` beside `a.JPG`, is left out: the two are one
  photo, of which the camera has developed the other.
- Hidden names (with a leading dot) and excluded names are left out, except for the root itself.
- Errors are reported in `Directory.error`, never raised: photos indexed there may still exist.
"""

import errno
import fnmatch
import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from clipsight.core.files import mtime_ns
from clipsight.core.text import nfc
from clipsight.indexing.media.sidecars import SidecarFile, Sidecars, is_sidecar, stamp

RAW_SUFFIXES = frozenset(
    b"3fr arw cr2 cr3 crw dcr dng erf fff iiq kdc mef mos mrw nef nrw orf pef raf rw2 rwl "
    b"sr2 srf srw x3f".split()
)
"""Suffixes of raw files of cameras, lower case and without the dot."""

PHOTO_SUFFIXES = frozenset(
    b"jpg jpeg jpe jfif mpo png apng webp gif bmp dib tif tiff jp2 j2k j2c jpc jpf jpx "
    b"pnm ppm pgm pbm pam pfm avif avifs heic heics heif heifs hif jxl".split()
).union(RAW_SUFFIXES)
"""Suffixes of photo files, lower case and without the dot."""

DEFAULT_EXCLUDES = (
    "@eaDir",  # Synology's thumbnails
    "#recycle",
    "#snapshot",
    "@Recycle",  # QNAP's
    "@Recently-Snapshot",
    "$RECYCLE.BIN",  # Windows'
    "$Recycle.Bin",
    "System Volume Information",
    "lost+found",
    "__MACOSX",
    "._*",  # macOS's resource forks, named like the photo they belong to
    ".Trash*",
    ".thumbnails",
    ".git",
    "node_modules",
    "site-packages",
)
"""Names that are always left out: recycle bins, snapshots and thumbnails that systems create."""

_WRITTEN_WITH_RAW = frozenset(b"jpg jpeg jpe heic heif hif".split())
"""Suffixes of photos that cameras write beside raw files."""

_NO_FILE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
"""A file deleted since its directory was read, or a broken link: neither counts as an error."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One photo file as the walk found it; names are bytes, `size` is bytes."""

    folder: bytes
    """Absolute path of its directory."""
    name: bytes
    size: int
    mtime_ns: int
    device: int
    """`st_dev` of the file, which distinguishes an unmounted disk from deleted photos"""
    sidecars: tuple[bytes, ...] = ()
    """Names of files beside it that may hold its date."""
    sidecar_stamp: int = 0
    """A number that changes with these files; 0 if there are none."""

    @property
    def path(self) -> bytes:
        """Absolute path of the file."""
        return os.path.join(self.folder, self.name)


@dataclass(frozen=True, slots=True)
class Directory:
    """One directory of the walk and the photos directly in it, sorted by name."""

    path: bytes
    device: int
    """`st_dev` of the directory; 0 if it could not be read"""
    files: tuple[Candidate, ...]
    error: str | None = None
    """reason why the directory or a part of it could not be read; its photos are then not marked missing"""

    @property
    def complete(self) -> bool:
        """False if files in or below the directory may not be listed."""
        return self.error is None


def walk(root: bytes, *, exclude: Sequence[str] = (), hidden: bool = False) -> Iterator[Directory]:
    """Yield `root` and every directory below it, lazily, in sorted order; errors are not raised.

    `exclude` adds shell patterns to `DEFAULT_EXCLUDES`. A pattern without a slash is matched against the name
    of a directory or file (`thumbs`, `*.gif`), one with a slash against the path relative to `root`
    (`2019/*`, `*/thumbs`; `*` also matches slashes). Names are compared in NFC, with case. A directory that
    matches is not entered. `hidden` includes directories and files whose names begin with a dot.
    """
    root = os.path.abspath(root)
    skipped = _skip_rule(root, exclude, hidden)
    seen: set[tuple[int, int]] = set()
    links: list[bytes] = []
    yield from _walk_real(root, skipped, seen, links)
    for link in links:  # grows while links lead to further links
        yield from _walk_real(link, skipped, seen, links)


def photos_in(folder: Path, *, exclude: Sequence[str] = ()) -> list[Path]:
    """Return the photos in and below `folder`, in the order of `walk`; unreadable directories are skipped."""
    directories = walk(os.fsencode(folder), exclude=exclude)
    return [Path(os.fsdecode(photo.path)) for directory in directories for photo in directory.files]


def has_photo_suffix(name: bytes) -> bool:
    """True for a file name with the suffix of a photo."""
    return name.rpartition(b".")[2].lower() in PHOTO_SUFFIXES and b"." in name


def _walk_real(
    top: bytes, skipped: Callable[[bytes, bytes], bool], seen: set[tuple[int, int]], links: list[bytes]
) -> Iterator[Directory]:
    """Walk `top` without following links to directories, which are appended to `links`."""
    pending = [top]
    while pending:
        path = pending.pop()
        try:
            status = os.stat(path)
        except OSError as error:
            if path == top or error.errno != errno.ENOENT:  # a subfolder deleted meanwhile is not an error
                yield Directory(path, 0, (), _reason(error))
            continue
        if (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        directory, subfolders, linked = _list(path, status.st_dev, skipped)
        pending.extend(reversed(subfolders))
        links.extend(linked)
        yield directory


def _list(
    path: bytes, device: int, skipped: Callable[[bytes, bytes], bool]
) -> tuple[Directory, list[bytes], list[bytes]]:
    """Read one directory: its photos, its real sub-directories and its links to directories."""
    files: list[Candidate] = []
    sidecars: list[SidecarFile] = []
    subfolders: list[bytes] = []
    links: list[bytes] = []
    entries, failure = _entries(path)
    for entry in entries:
        name = entry.name
        if skipped(path, name):
            continue
        try:
            if entry.is_dir(follow_symlinks=False):
                subfolders.append(entry.path)
            elif entry.is_symlink() and _may_lead_to_directory(entry):
                links.append(entry.path)
            elif has_photo_suffix(name) and entry.is_file():
                status = entry.stat()
                files.append(Candidate(path, name, status.st_size, mtime_ns(status), status.st_dev))
            elif is_sidecar(name) and entry.is_file():
                status = entry.stat()
                sidecars.append((name, status.st_size, mtime_ns(status)))
        except OSError as refusal:
            if refusal.errno not in _NO_FILE:
                failure = failure or refusal
    error = None if failure is None else _reason(failure)
    files = _without_raw_twins(files)
    if sidecars:
        files = _with_sidecars(files, Sidecars(sidecars))
    return Directory(path, device, tuple(files), error), subfolders, links


def _without_raw_twins(files: Sequence[Candidate]) -> list[Candidate]:
    """The files without raw ones that lie beside a photo of the same name as cameras write it."""
    parts = [(file, *_stem_and_suffix(file.name)) for file in files]
    developed = {stem for _, stem, suffix in parts if suffix in _WRITTEN_WITH_RAW}
    return [file for file, stem, suffix in parts if suffix not in RAW_SUFFIXES or stem not in developed]


def _stem_and_suffix(name: bytes) -> tuple[bytes, bytes]:
    stem, _, suffix = name.rpartition(b".")
    return stem, suffix.lower()


def _with_sidecars(files: Sequence[Candidate], sidecars: Sidecars) -> list[Candidate]:
    found = [(file, sidecars.of(file.name)) for file in files]
    return [
        replace(file, sidecars=tuple(name for name, *_ in beside), sidecar_stamp=stamp(beside))
        for file, beside in found
    ]


def _entries(path: bytes) -> tuple[list[os.DirEntry[bytes]], OSError | None]:
    """Readable entries of a directory, sorted by name, and the error that ended the reading, if any."""
    entries: list[os.DirEntry[bytes]] = []
    failure = None
    try:
        with os.scandir(path) as listing:
            entries.extend(listing)
    except OSError as error:
        failure = error
    entries.sort(key=lambda entry: entry.name)
    return entries, failure


def _may_lead_to_directory(link: os.DirEntry[bytes]) -> bool:
    """True if a symbolic link must be visited as a directory.

    This includes a broken link without a photo's suffix: it may lead to an unmounted disk, and visiting it
    yields the error by which the photos there are kept as unreachable.
    """
    try:
        return stat.S_ISDIR(link.stat().st_mode)
    except OSError as error:
        return error.errno != errno.ELOOP and not has_photo_suffix(link.name)


def _skip_rule(root: bytes, exclude: Sequence[str], hidden: bool) -> Callable[[bytes, bytes], bool]:
    """Return a predicate of a directory's path and a name in it, which is True for names to leave out."""
    patterns = [*DEFAULT_EXCLUDES, *(nfc(pattern.rstrip("/")) for pattern in exclude)]
    excluded_name = _matcher([pattern for pattern in patterns if "/" not in pattern])
    relative = [pattern for pattern in patterns if "/" in pattern]
    excluded_path = _matcher([pattern.removeprefix("./").removeprefix("/") for pattern in relative])
    strip = len(os.path.join(root, b""))

    def skipped(folder: bytes, name: bytes) -> bool:
        if name.startswith(b".") and not hidden:
            return True
        if excluded_name(nfc(os.fsdecode(name))):
            return True
        return bool(relative) and excluded_path(nfc(os.fsdecode(os.path.join(folder, name)[strip:])))

    return skipped


def _matcher(patterns: Sequence[str]) -> Callable[[str], bool]:
    """Return a predicate that is True for names that match any of the shell patterns."""
    plain = {pattern for pattern in patterns if not re.search(r"[*?[]", pattern)}
    shell = [fnmatch.translate(pattern) for pattern in patterns if pattern not in plain]
    match = re.compile("|".join(shell)).match if shell else None
    return lambda name: name in plain or (match is not None and match(name) is not None)


def _reason(error: OSError) -> str:
    return error.strerror or str(error)
