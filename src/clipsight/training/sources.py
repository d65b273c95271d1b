"""Where captioned photos come from: a table, a folder of photos beside their texts, or tar shards.

    captions.csv, .tsv, .parquet    filepath,caption: a row a caption; paths relative to the table's folder
    photos/                         x.jpg beside x.txt, one caption a line, at any depth
    shards/, {000..099}.tar         webdataset: members x.jpg and x.txt, one after the other

Only names and captions are held in memory, of shards only where each member lies; photos are read when
their turn comes. Called by `data` and `run`.
"""

import csv
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from clipsight.core.errors import TrainingError
from clipsight.core.extras import require
from clipsight.indexing.scan import photos_in
from clipsight.training.shards import Shards
from clipsight.training.source import Indices, Source, caption_lines, digest

_TABLES = {".csv": ",", ".tsv": "\t", ".parquet": ""}
_BRACES = re.compile(r"\{(\d+)\.\.(\d+)\}")


class Files(Source):
    """Photos that are files; their captions are held in memory."""

    def __init__(self, captions: dict[str, list[str]], uncaptioned: Sequence[str] = ()) -> None:
        self._paths = list(captions)
        self._captions = [tuple(each) for each in captions.values()]
        self.uncaptioned = tuple(uncaptioned)

    def __len__(self) -> int:
        return len(self._paths)

    def name(self, index: int) -> str:
        return self._paths[index]

    def photo(self, index: int) -> Path | bytes:
        return Path(self._paths[index])

    def captions(self, index: int) -> tuple[str, ...]:
        return self._captions[index]

    def order(self, rng: np.random.Generator) -> Indices:
        return rng.permutation(len(self))

    def digest(self) -> str:
        return digest(
            "\0".join((os.path.basename(path), *captions))
            for path, captions in zip(self._paths, self._captions, strict=True)
        )


def read_source(data: str | Path, columns: tuple[str, str] = ("filepath", "caption")) -> Source:
    """The photos and captions that `data` means; see the module. `columns` are those of a table.

    Raises TrainingError where it is nothing of the kind or holds no captioned photo.
    """
    try:
        source = _read(str(data), columns)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise TrainingError(f"can't read the training data {data}: {reason}") from error
    if not len(source):
        raise TrainingError(
            f"{data} holds no photo with a caption: give a table with {columns[0]} and {columns[1]}, "
            f"a folder with x.jpg beside x.txt, or tar shards with both"
        )
    return source


def _read(data: str, columns: tuple[str, str]) -> Source:
    shards = _expand(data)
    if shards is not None:
        return Shards(shards)
    path = Path(data).expanduser()
    if path.is_dir():
        tars = sorted(path.glob("*.tar"))
        return Shards(tars) if tars else _from_folder(path)
    if not path.is_file():
        raise TrainingError(f"there is no training data at {path}; check the path")
    if path.suffix.lower() == ".tar":
        return Shards([path])
    if path.suffix.lower() in _TABLES:
        return _from_table(path, columns)
    raise TrainingError(f"{path} is no training data: give a .csv, .tsv, .parquet or .tar file, or a folder")


def _expand(data: str) -> list[Path] | None:
    """The files of "shards/{000..099}.tar"; None where no braces are in it."""
    found = _BRACES.search(data)
    if found is None:
        return None
    first, last = int(found[1]), int(found[2])
    numbers = (str(number).zfill(len(found[1])) for number in range(first, last + 1))
    return [Path(data[: found.start()] + number + data[found.end() :]).expanduser() for number in numbers]


def _from_table(path: Path, columns: tuple[str, str]) -> Files:
    captions: dict[str, list[str]] = {}
    uncaptioned = []
    rows = _parquet_rows(path, columns) if path.suffix.lower() == ".parquet" else _csv_rows(path, columns)
    for number, (name, texts) in enumerate(rows, start=1):
        written = [text for text in (str(each).strip() for each in texts if each is not None) if text]
        if name and written:
            captions.setdefault(os.path.normpath(path.parent / name), []).extend(written)
        else:
            uncaptioned.append(f"{path}, row {number}: {columns[0] if not name else columns[1]} is empty")
    return Files(captions, uncaptioned)


def _csv_rows(path: Path, columns: tuple[str, str]) -> Iterator[tuple[str, list[str | None]]]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file, delimiter=_TABLES[path.suffix.lower()])
        _check_columns(path, columns, reader.fieldnames or ())
        for row in reader:
            yield (row[columns[0]] or "").strip(), [row[columns[1]]]


def _parquet_rows(path: Path, columns: tuple[str, str]) -> Iterator[tuple[str, list[str | None]]]:
    """A cell of the caption column may also be a list of captions."""
    pyarrow = require("parquet", "pyarrow.parquet", "pyarrow", error=TrainingError)
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            _check_columns(path, columns, file.schema_arrow.names)
            for batch in file.iter_batches(columns=list(columns)):
                for row in batch.to_pylist():
                    caption: Any = row[columns[1]]
                    yield (
                        str(row[columns[0]] or "").strip(),
                        caption if isinstance(caption, list) else [caption],
                    )
    except pyarrow.ArrowException as error:
        reason = str(error).partition("\n")[0]
        raise TrainingError(f"can't read the training data {path}: {reason}") from error


def _check_columns(path: Path, columns: tuple[str, str], found: Iterable[str]) -> None:
    there = list(found)
    if not set(columns) <= set(there):
        raise TrainingError(
            f"{path} needs the columns {columns[0]} and {columns[1]}, it has {', '.join(there) or 'none'}; "
            "name them with `columns`"
        )


def _from_folder(folder: Path) -> Files:
    captions, uncaptioned = {}, []
    for path in photos_in(folder):
        text = path.with_suffix(".txt")
        written = _read_captions(text)
        if written:
            captions[str(path)] = list(written)
        else:
            uncaptioned.append(f"{path}: no caption can be read in {text.name}")
    return Files(captions, uncaptioned)


def _read_captions(text: Path) -> tuple[str, ...]:
    try:
        return caption_lines(text.read_bytes())
    except OSError:
        return ()
