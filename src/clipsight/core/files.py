"""How files are written: whole or not at all, and lines of CSV that any reader takes apart again."""

import csv
import io
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from clipsight.core.errors import ClipsightError, LibraryError


@contextmanager
def replacing(file: Path, *, error: type[ClipsightError] = LibraryError) -> Iterator[Path]:
    """A path beside `file`, to be written, that takes its name if all goes well and else leaves nothing.

    A link is followed. Where the system refuses, raises `error` with one line.
    """
    target = Path(os.path.realpath(file))
    temporary = target.with_name(f".clipsight-{secrets.token_hex(8)}.tmp")
    try:
        yield temporary
        temporary.replace(target)
    except OSError as problem:
        raise error(f"can't write {file}: {problem.strerror or problem}") from problem
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def csv_line(cells: Iterable[object]) -> str:
    """One line of CSV, without its end.

    Written with csv's own line end, which makes it quote a lone CR too: file names may hold one.
    """
    out = io.StringIO()
    csv.writer(out).writerow(cells)
    return out.getvalue().removesuffix("\r\n")


def sync(path: Path) -> None:
    """Have the file or folder on disk, as far as the system can tell."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
