"""The manifest of a folder that photos were sorted into: what was there before, and what has been made since.

JSON lines, each written before what it tells of is done: after a kill at any moment everything that was made
is in it, and at most one line tells of something that was not. Called by `organize`.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from clipsight.core.errors import LibraryError

NAME = ".clipsight-organized.jsonl"

Line = dict[str, Any]

_FORMAT = 1


class Manifest:
    """The manifest in `folder`, made if there is none, held by this process alone until it is closed.

    Raises `LibraryError` while another process holds it, and as `read` does; OSError if it can't be written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._file = (folder / NAME).open("ab")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._file.truncate(sum(len(line) for line in _complete(folder)))  # without a torn last line
        except BlockingIOError as error:
            self.close()
            raise LibraryError(
                f"another clipsight is sorting into {folder}: wait for it to finish"
            ) from error
        except BaseException:
            self.close()
            raise

    def begin(self, *, made: bool) -> None:
        """Write the first line, if there is none: whether `folder` was made to be sorted into."""
        if not os.fstat(self._file.fileno()).st_size:
            self.write({"clipsight": _FORMAT, "made": made})

    def write(self, line: Line) -> None:
        """Append a line; it is in the file, whatever becomes of this process, when this returns."""
        self._file.write(json.dumps(line).encode() + b"\n")
        self._file.flush()

    def remove(self) -> None:
        """Delete the manifest."""
        (self.folder / NAME).unlink()

    def close(self) -> None:
        """Let other processes have it."""
        self._file.close()


def read(folder: Path) -> Iterator[Line]:
    """The lines of the manifest in `folder`; none where there is no manifest.

    Raises `LibraryError` for a file that is no manifest: what it tells of is going to be deleted.
    """
    try:
        for number, text in enumerate(_complete(folder)):
            line = json.loads(text)
            if number == 0 and line["clipsight"] != _FORMAT:
                raise ValueError("written by another version")
            for path in (line.get("file", ""), line.get("folder", "")):
                if os.path.isabs(path) or ".." in Path(path).parts:
                    raise ValueError(f"{path} lies elsewhere")
            yield line
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise LibraryError(f"{folder / NAME} is damaged ({error}): move it away") from error


def _complete(folder: Path) -> Iterator[bytes]:
    """All lines but one that a killed process could not finish."""
    if (folder / NAME).exists():
        with (folder / NAME).open("rb") as file:
            yield from (line for line in file if line.endswith(b"\n"))
