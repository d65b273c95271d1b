"""Files written whole or not at all, and lines of CSV."""

import csv
import io
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from clipsight.core.errors import ClipsightError, LibraryError


@contextmanager
def atomic_write(file: Path, *, error: type[ClipsightError] = LibraryError) -> Iterator[Path]:
    """Yield a temporary path beside `file`; on success, sync it to disk and rename it to `file`.

    Whatever happens, the temporary file is gone afterwards, and `file` has its old or its new content,
    also after a power cut. A symbolic link is followed. The caller creates the temporary file, in a
    folder that exists. An OSError, the caller's included, becomes `error` with one line.
    """
    target = Path(os.path.realpath(file))
    temporary = target.with_name(f".clipsight-{secrets.token_hex(8)}.tmp")
    try:
        yield temporary
        sync(temporary)
        temporary.replace(target)
    except OSError as problem:
        raise error(f"can't write {file}: {problem.strerror or problem}") from problem
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
    with suppress(OSError):  # file systems without it, and folders that may be written but not read
        sync(target.parent)


def csv_line(cells: Iterable[object]) -> str:
    """One line of CSV, without its line end.

    Written with csv's own line end, "\\r\\n", so that a lone CR, as in a file name, is quoted.
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
