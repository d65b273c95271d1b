"""Names, copies and links in the destination folder; existing files are never replaced."""

import errno
import filecmp
import os
import re
import shlex
import shutil
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from itertools import count
from pathlib import Path

from clipsight.core.errors import LibraryError, PhotoError
from clipsight.core.files import open_regular

PART = ".clipsight-part"
"""Name of an incomplete copy."""

_UNSAFE = re.compile(r'[\x00-\x1f\x7f/\\:*?"<>|]')
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
_MAX_NAME_BYTES = 200  # of a folder; file systems allow 255


class Method(Enum):
    """Kind of file that is created for a photo."""

    COPY = "copy"
    SYMLINK = "symlink"
    HARDLINK = "hardlink"

    @classmethod
    def named(cls, name: str) -> "Method":
        """The method "copy", "symlink" or "hardlink". Raises `LibraryError` for another name."""
        try:
            return cls(name)
        except ValueError as error:
            names = ", ".join(each.value for each in cls)
            raise LibraryError(f"there is no `method` {name!r}: choose {names}") from error


def folder_name(label: str) -> str:
    """Convert a label to a valid folder name on common file systems: not hidden, at most 200 bytes."""
    name = _UNSAFE.sub("_", unicodedata.normalize("NFC", label))
    name = name.encode("utf-8", "ignore").strip(b" .")[:_MAX_NAME_BYTES].decode("utf-8", "ignore").strip(" .")
    return f"{name}_" if not name or _RESERVED.fullmatch(name) else name


def numbered(name: str, *, extension: bool = True) -> Iterator[str]:
    """Yield `a.jpg`, `a-2.jpg`, `a-3.jpg` and so on, each of 255 bytes at most."""
    stem, suffix = os.path.splitext(name) if extension else (name, "")
    yield name
    for number in count(2):
        ending = f"-{number}{suffix}"
        yield os.fsdecode(os.fsencode(stem)[: 255 - len(os.fsencode(ending))]) + ending


def create(source: Path, target: Path, method: Method) -> None:
    """Create `target`, a copy of `source` or a link to it.

    Raises `PhotoError` for a photo that can't be read, and OSError for errors of the destination.
    """
    match method:
        case Method.COPY:
            _copy(source, target)
        case Method.SYMLINK:
            target.symlink_to(source)
        case Method.HARDLINK:
            target.hardlink_to(source.resolve())


def same_content(source: Path, there: Path) -> bool:
    """True if the file `there` (or the target of a link) is the file `source` or has the same content."""
    try:
        if os.path.samefile(source, there):
            return True
        return os.path.isfile(there) and filecmp.cmp(source, there, shallow=False)
    except OSError:
        return False  # a dangling link, or a file without permission to read


@contextmanager
def destination_errors(destination: Path, method: Method | None = None) -> Iterator[None]:
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
                f"clipsight organize --undo {shlex.quote(str(destination))}"
            )
        raise LibraryError(problem) from error


def _copy(source: Path, target: Path) -> None:
    """Copy content and dates to `target` atomically; raise FileExistsError if it exists."""
    part = target.with_name(PART)
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
        with open_regular(source) as file:
            while chunk := file.read(1 << 20):
                yield chunk
    except OSError as error:
        raise PhotoError(error.strerror or str(error)) from error
