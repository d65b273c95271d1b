"""Ids of folders, so that no request contains a path.

A request names a folder by the id of an earlier response: an indexed folder, one of the server's roots, or a
folder listed below these. Ids are not secret: the folder of an id is found only after it has been listed.
"""

import os
import threading
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from pathlib import Path

from cachetools import LRUCache

from clipsight.core.errors import LibraryError, NotFoundError
from clipsight.core.paths import expand
from clipsight.indexing.scan import DEFAULT_EXCLUDES
from clipsight.store.catalog import Catalog
from clipsight.web.service.payloads import Folder

_MAX_LISTED = 20_000
"""Maximum number of listed folders whose ids are remembered; older ones have to be listed again."""

_MAX_CHILDREN = 2000


def folder_id(path: bytes) -> str:
    """The id of the folder at this absolute path: 16 hex digits, the same in every process."""
    return blake2b(path, digest_size=8).hexdigest()


class Folders:
    """The folders that requests may name; `roots` and everything below can be listed and indexed.

    Raises `LibraryError` for a root that is not a folder.
    """

    def __init__(self, roots: Sequence[Path]) -> None:
        self._lock = threading.Lock()
        self._listed: LRUCache[str, bytes] = LRUCache(_MAX_LISTED)
        paths = dict.fromkeys(map(_real_path, roots))
        self._roots = {folder_id(path): path for path in paths}
        self.roots = tuple(_folder(path) for path in paths)

    def children(self, id_: str) -> list[Folder]:
        """The subfolders by name, without hidden ones and links that lead out of the roots.

        Raises `NotFoundError`, and `LibraryError` if the folder can't be read.
        """
        path = self.path(id_)
        if not self._is_inside(path):
            raise NotFoundError(f"the folder {id_} is not below the roots: list the roots again")
        try:
            with os.scandir(path) as entries:
                found = sorted(entry.path for entry in entries if self._is_listed(entry))
        except OSError as error:
            raise LibraryError(f"can't read {os.fsdecode(path)}: {error.strerror}") from error
        children = [_folder(child) for child in found[:_MAX_CHILDREN]]
        with self._lock:
            self._listed.update((child.id, os.fsencode(child.path)) for child in children)
        return children

    def paths(self, ids: Sequence[str], catalog: Catalog) -> tuple[bytes, ...]:
        """The absolute path of each folder, also of those that are indexed. Raises `NotFoundError`."""
        indexed = [root.path for root in catalog.roots()] if ids else []
        return tuple(self.path(id_, indexed) for id_ in ids)

    def indexed(self, id_: str, catalog: Catalog) -> bytes:
        """The absolute path of an indexed folder. Raises `NotFoundError` for others."""
        for root in catalog.roots():
            if folder_id(root.path) == id_:
                return root.path
        raise NotFoundError(f"no indexed folder has the id {id_[:40]!r} (any more): list the folders again")

    def path(self, id_: str, indexed: Iterable[bytes] = ()) -> bytes:
        """The absolute path of a root, a listed folder or one of `indexed`.

        Raises `NotFoundError`, also for a folder that has become a link leading out of the roots.
        """
        for path in indexed:
            if folder_id(path) == id_:
                return path
        with self._lock:
            listed = self._roots.get(id_) or self._listed.get(id_)
        if listed is None or not self._is_inside(listed):
            raise NotFoundError(f"there is no folder {id_[:40]!r} (any more): list the folders again")
        return listed

    def _is_listed(self, entry: "os.DirEntry[bytes]") -> bool:
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
        return any(real == root or real.startswith(root.rstrip(b"/") + b"/") for root in self._roots.values())


def _folder(path: bytes) -> Folder:
    return Folder(folder_id(path), Path(os.fsdecode(path)))


def _real_path(root: Path) -> bytes:
    path = expand(root)
    if not os.path.isdir(path):
        raise LibraryError(f"{root} is not a folder: name existing folders as `roots`")
    return os.fsencode(os.path.realpath(path))
