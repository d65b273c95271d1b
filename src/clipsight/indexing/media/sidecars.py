"""Files beside a photo that tell its date: `photo.jpg.xmp`, `photo.xmp` and those of Google Takeout."""

import os
import zlib
from collections.abc import Iterable
from os.path import splitext

from clipsight.core.files import open_regular
from clipsight.core.text import nfc
from clipsight.indexing.media.takeout import Key, photo_keys, sidecar_key

XMP_SUFFIX, TAKEOUT_SUFFIX = b".xmp", b".json"

SidecarFile = tuple[bytes, int, int]
"""Name, size in bytes and modification time in ns."""


def is_sidecar(name: bytes) -> bool:
    """True for the name of a file that may be a photo's sidecar."""
    return name.lower().endswith((XMP_SUFFIX, TAKEOUT_SUFFIX))


class Sidecars:
    """The sidecars of one folder, to be found by the names of photos, which compare in NFC."""

    def __init__(self, files: Iterable[SidecarFile]) -> None:
        self._by_name: dict[str, SidecarFile] = {}
        """XMP files by the name of their photo, with or without its suffix."""
        self._by_key: dict[Key, SidecarFile] = {}
        for file in files:
            name = nfc(os.fsdecode(file[0]))
            if file[0].lower().endswith(XMP_SUFFIX):
                self._by_name[name[: -len(XMP_SUFFIX)]] = file
            else:
                self._by_key[sidecar_key(name)] = file

    def of(self, photo: bytes) -> tuple[SidecarFile, ...]:
        """The sidecars of a photo, XMP first."""
        if not self._by_name and not self._by_key:
            return ()
        name = nfc(os.fsdecode(photo))
        xmp = [self._by_name[each] for each in (name, splitext(name)[0]) if each in self._by_name]
        takeout = next((self._by_key[key] for key in photo_keys(name) if key in self._by_key), None)
        return (*xmp, takeout) if takeout else tuple(xmp)


def stamp(files: Iterable[SidecarFile]) -> int:
    """A number that changes when the names, sizes or times of the files do; 0 if there are none."""
    told = list(files)
    return zlib.crc32(repr(told).encode()) if told else 0


def read_sidecar(path: bytes, limit: int) -> bytes:
    """Content of a file; empty if it has more than `limit` bytes or can't be read."""
    try:
        with open_regular(path) as file:
            return b"" if os.fstat(file.fileno()).st_size > limit else file.read(limit)
    except (OSError, ValueError):
        return b""
