"""Regular files, atomic writes, marking and recognising written pictures, file sizes, and lines of CSV."""

import csv
import errno
import io
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal

from clipsight.core.errors import ClipsightError, LibraryError

if TYPE_CHECKING:
    from PIL.Image import Image

MARK = "clipsight"
"""Text in the metadata ("Software") of pictures that clipsight writes."""

_PICTURES = (
    *(b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"BM", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
    *(b"qoif", b"\xff\x0a", b"\0\0\0\x0cJXL ", b"8BPS", b"P4", b"P5", b"P6", b"P7", b"Pf", b"PF"),
)
"""Signatures at the start of picture files; WebP, and HEIF and AVIF, have theirs at byte 8 and 4."""


def open_regular(path: "str | bytes | os.PathLike[str]") -> BinaryIO:
    """Open a file for reading, never a pipe, which would block, or a device, which may have no end.

    Raises OSError, with "not a file" for what is no regular file.
    """
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    handle = os.open(path, flags)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "not a file", path)
    return os.fdopen(handle, "rb")


@contextmanager
def atomic_write(file: Path, *, error: type[ClipsightError] = LibraryError) -> Iterator[Path]:
    """Yield a temporary path beside `file`; on success, sync it to disk and rename it to `file`.

    The temporary file is always removed, and `file` has its old or its new content, even after a power cut.
    A symbolic link is followed. The caller creates the temporary file; the folder must exist. Raises `error`
    for an OSError, also one raised in the block, and if `file` is a picture that clipsight did not write.
    """
    target = Path(os.path.realpath(file))
    if is_foreign_picture(target):
        raise error(f"{file} is a picture that clipsight did not write: choose another name")
    temporary = target.with_name(f".clipsight-{os.urandom(8).hex()}.tmp")
    try:
        yield temporary
        sync(temporary)
        temporary.replace(target)
    except OSError as problem:
        raise error(f"can't write {file}: {problem.strerror or problem}") from problem
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
    with suppress(OSError):  # file systems without fsync of folders; folders that may not be read
        sync(target.parent)


def write_picture(draw: "Callable[[], Image]", file: Path, format_: Literal["JPEG", "PNG"]) -> None:
    """Write the picture that `draw` returns to `file`, atomically, with clipsight's mark in its metadata.

    `draw` is only called if the file can be written. Raises `LibraryError` if it can't, and if `file` is a
    picture that clipsight did not write.
    """
    from PIL.PngImagePlugin import PngInfo

    with atomic_write(file) as temporary, temporary.open("xb") as out:
        image = draw()
        if format_ == "JPEG":
            image.save(out, format_, quality=90, subsampling=0, comment=MARK.encode())
        else:
            metadata = PngInfo()
            metadata.add_text("Software", MARK)
            image.save(out, format_, pnginfo=metadata)


def is_foreign_picture(file: Path) -> bool:
    """True for an existing picture file, of any format, that clipsight did not write."""
    try:
        with open_regular(file) as content:
            head = content.read(1 << 16)
    except OSError:
        return False
    is_picture = head.startswith(_PICTURES) or head[8:12] == b"WEBP" or head[4:8] == b"ftyp"
    return is_picture and MARK.encode() not in head


def total_size(path: Path) -> int:
    """Size in bytes of a file, or of all files below a folder; files with several links count once.

    Symbolic links to folders are not followed. Files that can't be read, or no longer exist, count as 0.
    """
    files = {(found.st_dev, found.st_ino): found.st_size for found in map(_stat, _files_of(path)) if found}
    return sum(files.values())


def _files_of(path: Path) -> Iterator[str]:
    if not os.path.isdir(path):
        yield str(path)
    for folder, _, names in os.walk(path):
        yield from (os.path.join(folder, name) for name in names)


def _stat(file: str) -> os.stat_result | None:
    try:
        return os.stat(file)
    except OSError:
        return None


def mtime_ns(status: os.stat_result) -> int:
    """Modification time in ns since 1970, clamped to the 64 bits that SQLite stores: 1677 to 2262."""
    return max(-(2**63), min(status.st_mtime_ns, 2**63 - 1))


def csv_line(cells: Iterable[object]) -> str:
    r"""One line of CSV, without its line terminator.

    csv quotes a lone CR, as in a file name, only if its line terminator is "\r\n", its default.
    """
    out = io.StringIO()
    csv.writer(out).writerow(cells)
    return out.getvalue().removesuffix("\r\n")


def sync(path: Path) -> None:
    """Flush the file or folder to disk (fsync). Raises OSError."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
