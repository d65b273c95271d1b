"""Journal of a destination folder: the files and folders that were created in it.

It has JSON lines, each written before its file or folder is created. If the process is killed at any moment,
everything created is recorded, and at most one line records something that was not created.
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


class Journal:
    """The journal in `folder`, created if missing, and locked by this process until it is closed.

    Raises `LibraryError` if another process has locked it, and as `read`; OSError if it can't be written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._file = (folder / NAME).open("ab")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._file.truncate(sum(len(line) for line in _complete(folder)))  # drops an incomplete last line
        except BlockingIOError as error:
            self.close()
            raise LibraryError(
                f"another clipsight is sorting into {folder}: wait for it to finish"
            ) from error
        except BaseException:
            self.close()
            raise

    def begin(self, *, made: bool) -> None:
        """Write the first line if the journal is empty; `made`: this run has created `folder`."""
        if not os.fstat(self._file.fileno()).st_size:
            self.write({"clipsight": _FORMAT, "made": made})

    def write(self, line: Line) -> None:
        """Append a line; after that it survives a kill of the process."""
        self._file.write(json.dumps(line).encode() + b"\n")
        self._file.flush()

    def remove(self) -> None:
        """Delete the journal."""
        (self.folder / NAME).unlink()

    def close(self) -> None:
        """Release the lock."""
        self._file.close()


def read(folder: Path) -> Iterator[Line]:
    """Yield the lines of the journal in `folder`; nothing if there is no journal.

    Raises `LibraryError` for an invalid journal, since `undo` deletes the files that it names.
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
    """Yield complete lines; a killed process may have left an incomplete last one."""
    if os.path.exists(folder / NAME):
        with (folder / NAME).open("rb") as file:
            yield from (line for line in file if line.endswith(b"\n"))
