"""Discovery of a running server: a file in the library's folder, locked while the server runs.

The operating system releases the lock when the process ends or crashes, so a file that is left behind does no
harm. It has two lines, address and token, and only the library's owner can read it. Imports are kept to a
minimum (see `local`).
"""

import fcntl
import os

NAME = "server"


class ServerFile:
    """The locked file of a server in the folder `library`."""

    def __init__(self, library: str) -> None:
        """Lock the file. Raises `BlockingIOError` if another server runs, and `OSError`."""
        self._path = os.path.join(library, NAME)
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(self._file, 0)
        except BaseException:
            os.close(self._file)
            raise

    def write(self, url: str, token: str | None) -> None:
        """Publish the address and token."""
        os.pwrite(self._file, f"{url}\n{token or ''}\n".encode(), 0)

    def remove(self) -> None:
        """Remove the file and the lock."""
        os.unlink(self._path)
        os.close(self._file)


def find(library: str) -> tuple[str, str] | None:
    """Address and token ("" for none) of the server running for the library in this folder; None without."""
    try:
        file = os.open(os.path.join(library, NAME), os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return None  # no server runs
    except BlockingIOError:
        url, _, token = os.pread(file, 4096, 0).decode().partition("\n")
        return (url, token.rstrip("\n")) if url else None  # without, it is still starting
    finally:
        os.close(file)
