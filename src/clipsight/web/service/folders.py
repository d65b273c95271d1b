"""Folders by ids, so that no request has to name a path.

A request names a folder by the id that an earlier answer gave: one that is indexed, one of the server's
allowed roots, or one found by looking into these. Ids are no secrets: only those of folders that have been
looked up here mean anything. Called by `service` only.
"""

import os
import threading
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from pathlib import Path

from clipsight.core.errors import LibraryError
from clipsight.indexing.scan import DEFAULT_EXCLUDES
from clipsight.web.service.errors import NotFoundError
from clipsight.web.service.payloads import Folder

_MOST = 20_000
"""Folders that are remembered; the oldest are forgotten first, and have to be looked up again."""

_SHOWN = 2000
"""Sub-folders that are shown of one folder."""


def folder_id(path: bytes) -> str:
    """The id of the folder at this absolute path: 16 hex digits, the same in every run."""
    return blake2b(path, digest_size=8).hexdigest()


class Folders:
    """The folders that may be named; `roots` and all below may be looked into and indexed.

    Raises `LibraryError` for a root that is no folder.
    """

    def __init__(self, roots: Sequence[Path]) -> None:
        self._lock = threading.Lock()
        self._seen: dict[str, bytes] = {}
        self._roots = tuple(dict.fromkeys(_root(root) for root in roots))
        self.roots = tuple(self._folder(root) for root in self._roots)

    def children(self, id_: str) -> list[Folder]:
        """The folders in this one, by name; without hidden ones, and links that lead out of the roots.

        Raises `NotFoundError`, and `LibraryError` where the folder can't be read.
        """
        path = self.path(id_)
        if not self._is_inside(path):
            raise NotFoundError(f"no folder {id_} may be looked into: ask for the roots again")
        try:
            with os.scandir(path) as entries:
                found = sorted(entry.path for entry in entries if self._is_shown(entry))
        except OSError as error:
            raise LibraryError(f"can't read {os.fsdecode(path)}: {error.strerror}") from error
        return [self._folder(child) for child in found[:_SHOWN]]

    def path(self, id_: str, known: Iterable[bytes] = ()) -> bytes:
        """The absolute path of a folder that has been looked up, or is one of `known`.

        Raises `NotFoundError`, also for a folder that has become a link that leads out of the roots.
        """
        for path in known:
            if folder_id(path) == id_:
                return path
        path_seen = self._seen.get(id_)
        if path_seen is None or not self._is_inside(path_seen):
            raise NotFoundError(f"there is no folder {id_[:40]!r} (any more): list the folders again")
        return path_seen

    def _folder(self, path: bytes) -> Folder:
        with self._lock:
            id_ = folder_id(path)
            self._seen[id_] = path
            while len(self._seen) > _MOST:
                del self._seen[next(iter(self._seen))]
        return Folder(id_, Path(os.fsdecode(path)))

    def _is_shown(self, entry: "os.DirEntry[bytes]") -> bool:
        name = os.fsdecode(entry.name)
        try:
            is_folder = entry.is_dir()
        except OSError:
            return False
        return (
            is_folder
            and not name.startswith(".")
            and name not in DEFAULT_EXCLUDES
            and (not entry.is_symlink() or self._is_inside(entry.path))
        )

    def _is_inside(self, path: bytes) -> bool:
        real = os.path.realpath(path)
        return any(real == root or real.startswith(root.rstrip(b"/") + b"/") for root in self._roots)


def _root(folder: Path) -> bytes:
    """The real path of an allowed root."""
    path = folder.expanduser()
    if not path.is_dir():
        raise LibraryError(f"{folder} is no folder: name folders that may be indexed with --roots")
    return os.fsencode(os.path.realpath(path))
