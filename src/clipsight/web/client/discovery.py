"""How the command line finds a running server: a file in the library's folder, locked while the server lives.

The lock is the operating system's and goes with the process, however it ends, so that a file that is left
behind misleads nobody. Only the library's owner can read it, for it holds the token. Two lines: address,
token. Called by `server` and `client`; imports nothing that takes time.
"""

import fcntl
import os
import sys

NAME = "server"


class Presence:
    """Holds the file in the folder `library`; `announce` fills it, `withdraw` removes it."""

    def __init__(self, library: str) -> None:
        """Raises `BlockingIOError` if another server holds it, and `OSError` where it can't be written."""
        self._path = os.path.join(library, NAME)
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(self._file, 0)
        except BaseException:
            os.close(self._file)
            raise

    def announce(self, url: str, token: str | None) -> None:
        """Say where the server is."""
        os.pwrite(self._file, f"{url}\n{token or ''}\n".encode(), 0)

    def withdraw(self) -> None:
        """The server is about to end."""
        os.unlink(self._path)
        os.close(self._file)


def find(library: str) -> tuple[str, str] | None:
    """Address and token ("" if there is none) of the server that runs for the library in this folder."""
    try:
        file = os.open(os.path.join(library, NAME), os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return None  # nobody holds it
    except BlockingIOError:
        url, _, token = os.pread(file, 4096, 0).decode().partition("\n")
        return (url, token.rstrip("\n")) if url else None  # else it is just starting
    finally:
        os.close(file)


def default_library() -> str:
    """`paths.default_library()`, without the 35 ms that importing platformdirs takes, where that is easy."""
    home = os.environ.get("CLIPSIGHT_HOME")
    if home is None and sys.platform == "linux":
        data = os.environ.get("XDG_DATA_HOME", "").strip() or os.path.expanduser("~/.local/share")
        home = os.path.join(data, "clipsight")
    if home is not None:
        return os.path.join(os.path.expanduser(home), "library")
    from clipsight.core import paths

    return str(paths.default_library())
