"""Captioned photos on disk: a table, a folder of photos with their texts, or tar shards.

    captions.csv, .tsv, .parquet    columns filepath and caption; paths relative to the table's folder
    photos/                         x.jpg with x.txt, a caption per line, at any depth
    shards/, {000..099}.tar         webdataset: members x.jpg and x.txt, one after the other

A table has a row per caption. Only names and captions are kept in memory, or for shards the byte ranges of
members; photos are read on demand.
"""

import os
import re
import tarfile
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import xxhash

from clipsight.core.errors import PhotoError, TrainingError
from clipsight.core.extras import require
from clipsight.core.paths import expand
from clipsight.core.tables import read_table, require_columns
from clipsight.indexing.scan import has_photo_suffix, photos_in

Indices = npt.NDArray[np.int64]

_DELIMITERS = {".csv": ",", ".tsv": "\t"}
_BRACES = re.compile(r"\{(\d+)\.\.(\d+)\}")
_COLUMNS_HINT = "name them with `columns`"
_SHUFFLED_SHARDS = 8
"""Shards whose photos are shuffled together, so that reads stay in files that the system has cached."""


class CaptionDataset(ABC):
    """Numbered photos, each with one or more captions."""

    uncaptioned: tuple[str, ...]
    """Names of the entries left out because they lack a caption or a photo."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def name(self, index: int) -> str:
        """Name of a photo in messages."""

    @abstractmethod
    def photo(self, index: int) -> Path | bytes:
        """File or encoded content of a photo. Raises PhotoError."""

    @abstractmethod
    def captions(self, index: int) -> tuple[str, ...]:
        """Captions of a photo, at least one. Raises PhotoError."""

    @abstractmethod
    def shuffled(self, rng: np.random.Generator) -> Indices:
        """All indices, int64[n], in a random order in which photos can be read fast."""

    @abstractmethod
    def digest(self) -> str:
        """Hash of the names and captions: 16 hexadecimal digits."""


class FileDataset(CaptionDataset):
    """Photos that are files; captions are kept in memory."""

    def __init__(self, captions: dict[str, list[str]], uncaptioned: Sequence[str] = ()) -> None:
        """Map each path to its captions."""
        self._paths = list(captions)
        self._captions = [tuple(each) for each in captions.values()]
        self.uncaptioned = tuple(uncaptioned)

    def __len__(self) -> int:
        return len(self._paths)

    def name(self, index: int) -> str:
        """Path of a photo."""
        return self._paths[index]

    def photo(self, index: int) -> Path | bytes:
        """File of a photo."""
        return Path(self._paths[index])

    def captions(self, index: int) -> tuple[str, ...]:
        """Captions of a photo, at least one."""
        return self._captions[index]

    def shuffled(self, rng: np.random.Generator) -> Indices:
        """A random permutation of all indices, int64[n]."""
        return rng.permutation(len(self))

    def digest(self) -> str:
        """Hash of the base names and captions."""
        return _digest(
            "\0".join((os.path.basename(path), *captions))
            for path, captions in zip(self._paths, self._captions, strict=True)
        )


class _Member(NamedTuple):
    """Byte ranges of a photo and its text within a shard."""

    shard: int
    photo: int
    photo_size: int
    text: int
    text_size: int


class ShardDataset(CaptionDataset):
    """Members of uncompressed tar files in the layout of webdataset, read in place."""

    def __init__(self, shards: Sequence[Path]) -> None:
        """List the members of all shards. Raises TrainingError for a damaged or compressed file."""
        self._shards = list(shards)
        members: list[_Member] = []
        uncaptioned: list[str] = []
        self._offsets = [0]
        for number, path in enumerate(self._shards):
            for key, photo, text in _read_samples(path):
                if photo is None:
                    continue
                if text is None:
                    uncaptioned.append(f"{path}: {key}")
                    continue
                members.append(_Member(number, photo.offset_data, photo.size, text.offset_data, text.size))
            self._offsets.append(len(members))
        self._members = np.array(members, dtype=np.int64).reshape(-1, 5)
        self.uncaptioned = tuple(uncaptioned)

    def __len__(self) -> int:
        return len(self._members)

    def name(self, index: int) -> str:
        """Shard of a photo and its offset there in bytes."""
        member = self._member(index)
        return f"{self._shards[member.shard]} at {member.photo}"

    def photo(self, index: int) -> Path | bytes:
        """Encoded content of a photo. Raises PhotoError."""
        member = self._member(index)
        return self._read(member.shard, member.photo, member.photo_size)

    def captions(self, index: int) -> tuple[str, ...]:
        """Captions of a photo, at least one. Raises PhotoError."""
        member = self._member(index)
        captions = _caption_lines(self._read(member.shard, member.text, member.text_size))
        if not captions:
            raise PhotoError("its text is empty")
        return captions

    def shuffled(self, rng: np.random.Generator) -> Indices:
        """All indices, int64[n]: shards in random order, photos shuffled within groups of eight shards."""
        shards = rng.permutation(len(self._shards))
        groups = [shards[i : i + _SHUFFLED_SHARDS] for i in range(0, len(shards), _SHUFFLED_SHARDS)]
        return np.concatenate(
            [
                rng.permutation(
                    np.concatenate([np.arange(self._offsets[i], self._offsets[i + 1]) for i in group])
                )
                for group in groups
            ]
        )

    def digest(self) -> str:
        """Hash of the byte ranges of all members."""
        return _digest([self._members.tobytes().hex()])

    def _member(self, index: int) -> _Member:
        return _Member(*self._members[index].tolist())

    def _read(self, shard: int, start: int, size: int) -> bytes:
        try:
            with self._shards[shard].open("rb") as file:
                file.seek(start)
                return file.read(size)
        except OSError as error:
            raise PhotoError(f"its shard can't be read: {error.strerror or error}") from error


def open_dataset(data: str | Path, columns: tuple[str, str] = ("filepath", "caption")) -> CaptionDataset:
    """Open the table, folder or shards `data`; `columns` are the path and caption columns of a table.

    Raises TrainingError for data of another kind or without any captioned photo.
    """
    try:
        dataset = _open(str(data), columns)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise TrainingError(f"can't read the training data {data}: {reason}") from error
    if not len(dataset):
        raise TrainingError(
            f"{data} holds no photo with a caption: give a table with {columns[0]} and {columns[1]}, "
            f"a folder with x.jpg beside x.txt, or tar shards with both"
        )
    return dataset


def _open(data: str, columns: tuple[str, str]) -> CaptionDataset:
    shards = _expand_braces(data)
    if shards is not None:
        return ShardDataset(shards)
    path = expand(data)
    suffix = path.suffix.lower()
    if os.path.isdir(path):
        tars = sorted(path.glob("*.tar"))
        return ShardDataset(tars) if tars else _from_folder(path)
    if not os.path.isfile(path):
        raise TrainingError(f"there is no training data at {path}; check the path")
    if suffix == ".tar":
        return ShardDataset([path])
    if suffix in _DELIMITERS or suffix == ".parquet":
        return _from_table(path, columns)
    raise TrainingError(f"{path} is no training data: give a .csv, .tsv, .parquet or .tar file, or a folder")


def _expand_braces(data: str) -> list[Path] | None:
    """Expand "shards/{000..099}.tar" to its files; None without braces."""
    found = _BRACES.search(data)
    if found is None:
        return None
    first, last = int(found[1]), int(found[2])
    numbers = (str(number).zfill(len(found[1])) for number in range(first, last + 1))
    return [expand(data[: found.start()] + number + data[found.end() :]) for number in numbers]


def _from_table(path: Path, columns: tuple[str, str]) -> FileDataset:
    captions: dict[str, list[str]] = {}
    uncaptioned = []
    rows = _parquet_rows(path, columns) if path.suffix.lower() == ".parquet" else _csv_rows(path, columns)
    for position, filepath, texts in rows:
        if filepath and texts:
            captions.setdefault(filepath, []).extend(texts)
        else:
            uncaptioned.append(f"{path}, {position}: {columns[1 if filepath else 0]} is empty")
    return FileDataset(captions, uncaptioned)


def _csv_rows(path: Path, columns: tuple[str, str]) -> Iterator[tuple[str, str, list[str]]]:
    """Yield position, absolute path and captions of each row."""
    delimiter = _DELIMITERS[path.suffix.lower()]
    rows = read_table(path, columns, error=TrainingError, delimiter=delimiter, hint=_COLUMNS_HINT)
    for line, filepath, caption in rows:
        yield f"line {line}", filepath, [caption] if caption else []


def _parquet_rows(path: Path, columns: tuple[str, str]) -> Iterator[tuple[str, str, list[str]]]:
    """Yield position, absolute path and captions of each row; a caption cell may be a list of captions."""
    pyarrow = require("parquet", "pyarrow.parquet", "pyarrow", error=TrainingError)
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            names = file.schema_arrow.names
            require_columns(path, columns, names, error=TrainingError, hint=_COLUMNS_HINT)
            rows = (row for batch in file.iter_batches(columns=list(columns)) for row in batch.to_pylist())
            for number, row in enumerate(rows, start=1):
                name, cell = str(row[columns[0]] or "").strip(), row[columns[1]]
                cells = cell if isinstance(cell, list) else [cell]
                texts = [str(text).strip() for text in cells if text is not None]
                filepath = name and os.path.abspath(path.parent / name)
                yield f"row {number}", filepath, [text for text in texts if text]
    except pyarrow.ArrowException as error:
        reason = str(error).partition("\n")[0]
        raise TrainingError(f"can't read the training data {path}: {reason}") from error


def _from_folder(folder: Path) -> FileDataset:
    captions, uncaptioned = {}, []
    for path in photos_in(folder):
        text = path.with_suffix(".txt")
        lines = _read_captions(text)
        if lines:
            captions[str(path)] = list(lines)
        else:
            uncaptioned.append(f"{path}: no caption can be read in {text.name}")
    return FileDataset(captions, uncaptioned)


def _read_captions(text: Path) -> tuple[str, ...]:
    try:
        return _caption_lines(text.read_bytes())
    except OSError:
        return ()


def _caption_lines(content: bytes) -> tuple[str, ...]:
    """Captions in a text file, one per line; invalid UTF-8 becomes U+FFFD."""
    lines = content.decode("utf-8-sig", errors="replace").splitlines()
    return tuple(line.strip() for line in lines if line.strip())


def _read_samples(path: Path) -> Iterator[tuple[str, tarfile.TarInfo | None, tarfile.TarInfo | None]]:
    """Yield key, photo and text of each sample: consecutive members of one name up to the first dot."""
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
            f"the shard {path} is not a complete, uncompressed tar file ({error}); create it again"
        ) from error


def _digest(parts: Iterable[str]) -> str:
    state = xxhash.xxh3_64()
    for part in parts:
        state.update(part.encode("utf-8", "surrogatepass") + b"\n")
    return state.hexdigest()
