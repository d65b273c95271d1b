"""Webdataset's tar shards, read where they lie. Called by `sources`."""

import os
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from clipsight.core.errors import PhotoError, TrainingError
from clipsight.indexing.scan import has_photo_suffix
from clipsight.training.source import Indices, Source, caption_lines, digest

_NEIGHBOURS = 8
"""Shards whose photos are shuffled together, so that reading stays in files that the system has cached."""


class _Member(NamedTuple):
    """Where a photo and its text lie in the shard of this number, in bytes."""

    shard: int
    photo: int
    photo_size: int
    text: int
    text_size: int


class Shards(Source):
    """Members of uncompressed tar files, read where they lie."""

    def __init__(self, shards: Sequence[Path]) -> None:
        self._shards = list(shards)
        found: list[_Member] = []
        uncaptioned: list[str] = []
        self._firsts = [0]
        for number, path in enumerate(self._shards):
            for key, photo, text in _pairs(path):
                if photo is None:
                    continue
                if text is None:
                    uncaptioned.append(f"{path}: {key}")
                    continue
                found.append(_Member(number, photo.offset_data, photo.size, text.offset_data, text.size))
            self._firsts.append(len(found))
        self._members = np.array(found, dtype=np.int64).reshape(-1, 5)
        self.uncaptioned = tuple(uncaptioned)

    def __len__(self) -> int:
        return len(self._members)

    def name(self, index: int) -> str:
        member = self._member(index)
        return f"{self._shards[member.shard]} at {member.photo}"

    def photo(self, index: int) -> Path | bytes:
        member = self._member(index)
        return self._read(member.shard, member.photo, member.photo_size)

    def captions(self, index: int) -> tuple[str, ...]:
        member = self._member(index)
        captions = caption_lines(self._read(member.shard, member.text, member.text_size))
        if not captions:
            raise PhotoError("its text is empty")
        return captions

    def order(self, rng: np.random.Generator) -> Indices:
        shards = rng.permutation(len(self._shards))
        groups = [shards[i : i + _NEIGHBOURS] for i in range(0, len(shards), _NEIGHBOURS)]
        return np.concatenate(
            [
                rng.permutation(
                    np.concatenate([np.arange(self._firsts[i], self._firsts[i + 1]) for i in group])
                )
                for group in groups
            ]
        )

    def digest(self) -> str:
        return digest([self._members.tobytes().hex()])

    def _member(self, index: int) -> _Member:
        return _Member(*self._members[index].tolist())

    def _read(self, shard: int, start: int, size: int) -> bytes:
        try:
            with self._shards[shard].open("rb") as file:
                file.seek(start)
                return file.read(size)
        except OSError as error:
            raise PhotoError(f"its shard can't be read: {error.strerror or error}") from error


def _pairs(path: Path) -> Iterator[tuple[str, tarfile.TarInfo | None, tarfile.TarInfo | None]]:
    """The key, photo and text of each sample: members with one name up to the first dot, in a row."""
    key: str | None = None
    photo: tarfile.TarInfo | None = None
    text: tarfile.TarInfo | None = None
    try:
        with tarfile.open(path, "r:") as archive:
            for member in archive:
                if not member.isreg():
                    continue
                folder, _, name = member.name.rpartition("/")
                stem, _, suffix = name.partition(".")
                if not stem:  # hidden
                    continue
                if f"{folder}/{stem}" != key:
                    if key is not None:
                        yield key, photo, text
                    key, photo, text = f"{folder}/{stem}", None, None
                if suffix.lower() == "txt":
                    text = member
                elif has_photo_suffix(os.fsencode(name)):
                    photo = member
            if key is not None:
                yield key, photo, text
    except tarfile.TarError as error:
        raise TrainingError(
            f"the shard {path} is no whole, uncompressed tar file ({error}); make it again"
        ) from error
