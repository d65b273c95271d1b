"""Vectors in and out of files: `.npz`, `.parquet`, and clip-retrieval's output folder.

Files hold two parallel arrays (columns), `paths` (text) and `vectors` (float16[n, dim]), and
the model they are of. Both directions stream, so memory does not grow with the library.
"""

import json
import os
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from clipsight.errors import LibraryError
from clipsight.store.catalog import Catalog
from clipsight.store.records import FileStat, Model, State

_ROWS = 8192

Rows = Iterator[tuple[list[str], npt.NDArray[np.floating[Any]]]]
"""Chunks of (paths, float[n, dim])."""


@dataclass(frozen=True, slots=True)
class ImportReport:
    """How many vectors were added, and how many were left out because the library has its own."""

    added: int
    kept: int


def export_vectors(catalog: Catalog, model: Model, file: Path) -> int:
    """Write paths and vectors of all photos to `file` (.npz or .parquet), atomically; how many."""
    writer = _writer(file)
    with _replacing(file) as temporary:
        return writer(catalog, model, temporary)


def import_vectors(catalog: Catalog, model: Model, source: Path) -> ImportReport:
    """Add vectors computed elsewhere, as vectors of `model`, committed at the end or not at all.

    Vectors are brought to unit length. Raises `LibraryError` for another number of dimensions,
    another model (where the file names one), vectors that are zero or not finite, a damaged file.
    Photos that the library has embedded itself keep their own vectors.
    """
    if not source.exists():
        raise LibraryError(f"no such file: {source}")
    added = kept = 0
    with catalog.transaction():
        for paths, vectors in _reader(source)(source, model):
            unit = _unit(vectors, model, source)
            for path, vector in zip(paths, unit, strict=True):
                if catalog.add_imported(_file_stat(path), _state(path), model, vector):
                    added += 1
                else:
                    kept += 1
    return ImportReport(added, kept)


def _unit(vectors: npt.NDArray[np.floating[Any]], model: Model, source: Path) -> npt.NDArray[np.float32]:
    if vectors.ndim != 2 or vectors.shape[1] != model.dim:
        raise LibraryError(
            f"{source}: vectors have shape {vectors.shape}, the library's model {model.name} has {model.dim} "
            "dimensions: import them into a library of the model that made them (--library, --model)"
        )
    wide = vectors.astype(np.float32)
    lengths = np.linalg.norm(wide, axis=1, keepdims=True)
    if not (np.isfinite(lengths).all() and (lengths > 0).all()):
        raise LibraryError(f"{source}: some vectors are zero or not finite; nothing was imported")
    unit: npt.NDArray[np.float32] = wide / lengths
    return unit


def _file_stat(path: str) -> FileStat:
    folder, name = os.path.split(os.fsencode(os.path.abspath(os.path.expanduser(path))))
    try:
        stat = os.stat(os.path.join(folder, name))
    except OSError:
        return FileStat(folder, name, 0, 0, 0)
    return FileStat(folder, name, stat.st_size, stat.st_mtime_ns, stat.st_dev)


def _state(path: str) -> State:
    return State.PRESENT if os.path.exists(os.path.expanduser(path)) else State.UNREACHABLE


@contextmanager
def _replacing(file: Path) -> Iterator[Path]:
    """A temporary path beside `file` that takes its place if all goes well."""
    try:
        handle, name = tempfile.mkstemp(dir=file.parent, prefix=file.name, suffix=".tmp")
        os.close(handle)
        try:
            yield Path(name)
            Path(name).replace(file)
        finally:
            Path(name).unlink(missing_ok=True)
    except OSError as error:
        raise LibraryError(f"can't write {file}: {error.strerror or error}") from error


def _writer(file: Path) -> Callable[[Catalog, Model, Path], int]:
    match file.suffix.lower():
        case ".npz":
            return _write_npz
        case ".parquet":
            return _write_parquet
    raise LibraryError(f"can't export to {file.name}: name a file that ends in .npz or .parquet")


def _reader(source: Path) -> Callable[[Path, Model], Rows]:
    if source.is_dir():
        return _read_clip_retrieval
    match source.suffix.lower():
        case ".npz":
            return _read_npz
        case ".parquet":
            return _read_parquet
    raise LibraryError(
        f"can't import {source}: give a .npz or .parquet file, or a folder with img_emb/ and metadata/"
    )


def _label(model: Model) -> str:
    return json.dumps({"name": model.name, "fingerprint": model.fingerprint})


def _check_label(label: str | None, model: Model, source: Path) -> None:
    try:
        made_by = json.loads(label) if label else None
    except ValueError:
        made_by = None
    if isinstance(made_by, dict) and made_by.get("fingerprint") != model.fingerprint:
        raise LibraryError(
            f"{source}: its vectors are of model {made_by.get('name')}, the library's are of {model.name}: "
            "vectors of two models can't be compared; use another --library"
        )


def _chunks(catalog: Catalog, model: Model) -> Iterator[tuple[list[str], npt.NDArray[np.float16]]]:
    paths: list[str] = []
    vectors: list[npt.NDArray[np.float16]] = []
    for hit in catalog.each_hit(model):
        paths.append(os.fsdecode(hit.path))
        vectors.append(hit.vector)
        if len(paths) == _ROWS:
            yield paths, np.stack(vectors)
            paths, vectors = [], []
    if paths:
        yield paths, np.stack(vectors)


# -- .npz: a zip archive of arrays in NumPy's .npy format, read and written in pieces ------------


def _write_npz(catalog: Catalog, model: Model, file: Path) -> int:
    count, longest = 0, 1
    for paths, _ in _chunks(catalog, model):
        count += len(paths)
        longest = max(longest, *map(len, paths))
    text = np.dtype(f"<U{longest}")
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        names = (np.array(paths, dtype=text) for paths, _ in _chunks(catalog, model))
        _write_npy(archive, "paths", text, (count,), names)
        vectors = (vectors for _, vectors in _chunks(catalog, model))
        _write_npy(archive, "vectors", np.dtype("<f2"), (count, model.dim), vectors)
        label = np.array(_label(model))
        _write_npy(archive, "model", label.dtype, (), [label])
    return count


def _write_npy(
    archive: zipfile.ZipFile,
    name: str,
    dtype: np.dtype[Any],
    shape: tuple[int, ...],
    pieces: Iterable[npt.NDArray[Any]],
) -> None:
    with archive.open(f"{name}.npy", "w", force_zip64=True) as out:
        header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_2_0(out, header)
        for piece in pieces:
            out.write(np.ascontiguousarray(piece, dtype=dtype).tobytes())


def _read_npz(source: Path, model: Model) -> Rows:
    try:
        with zipfile.ZipFile(source) as archive:
            members = set(archive.namelist())
            if not {"paths.npy", "vectors.npy"} <= members:
                raise LibraryError(f"{source}: it has no arrays named paths and vectors")
            if "model.npy" in members:
                with archive.open("model.npy") as file:
                    _check_label(str(np.lib.format.read_array(file, allow_pickle=False)), model, source)
            with archive.open("paths.npy") as names, archive.open("vectors.npy") as vectors:
                for some, rows in zip(_read_npy(names), _read_npy(vectors), strict=True):
                    yield [str(name) for name in some], rows
    except (zipfile.BadZipFile, ValueError, OSError, EOFError) as error:
        raise LibraryError(
            f"{source}: not a whole .npz file with arrays paths and vectors ({error})"
        ) from error


def _read_npy(file: IO[bytes]) -> Iterator[npt.NDArray[Any]]:
    """An array in pieces of `_ROWS` rows; arrays of Python objects (pickles) are refused."""
    version = np.lib.format.read_magic(file)
    read_header = (
        np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    )
    shape, fortran_order, dtype = read_header(file)
    if dtype.hasobject or fortran_order or not shape:
        raise ValueError("an array is of objects, in Fortran order or without rows")
    for start in range(0, shape[0], _ROWS):
        rows = min(_ROWS, shape[0] - start)
        size = rows * int(np.prod(shape[1:], dtype=np.int64)) * dtype.itemsize
        data = file.read(size)
        if len(data) != size:
            raise EOFError("the file is cut short")
        yield np.frombuffer(data, dtype=dtype).reshape(rows, *shape[1:])


# -- .parquet -----------------------------------------------------------------------------------


def _pyarrow() -> Any:
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise LibraryError("Parquet files need pyarrow: pip install 'clipsight[parquet]'") from error
    return pyarrow


def _write_parquet(catalog: Catalog, model: Model, file: Path) -> int:
    arrow = _pyarrow()
    schema = arrow.schema(
        [("paths", arrow.string()), ("vectors", arrow.list_(arrow.float16(), model.dim))],
        metadata={"clipsight.model": _label(model)},
    )
    count = 0
    with arrow.parquet.ParquetWriter(file, schema) as writer:
        for paths, vectors in _chunks(catalog, model):
            flat = arrow.array(vectors.reshape(-1), type=arrow.float16())
            rows = arrow.FixedSizeListArray.from_arrays(flat, model.dim)
            writer.write_table(
                arrow.table([arrow.array([_utf8(path) for path in paths]), rows], schema=schema)
            )
            count += len(paths)
    return count


def _utf8(path: str) -> str:
    """A path as UTF-8 text, which Parquet demands: bytes that are not UTF-8 are written as \\xNN."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _read_parquet(source: Path, model: Model) -> Rows:
    arrow = _pyarrow()
    try:
        with arrow.parquet.ParquetFile(source) as file:
            label = (file.schema_arrow.metadata or {}).get(b"clipsight.model")
            _check_label(label.decode() if label else None, model, source)
            if not {"paths", "vectors"} <= set(file.schema_arrow.names):
                raise LibraryError(f"{source}: it has no columns named paths and vectors")
            for batch in file.iter_batches(batch_size=_ROWS, columns=["paths", "vectors"]):
                flat = batch.column("vectors").flatten().to_numpy(zero_copy_only=False)
                yield batch.column("paths").to_pylist(), flat.reshape(batch.num_rows, -1)
    except (arrow.ArrowException, OSError, ValueError) as error:
        raise LibraryError(f"{source}: not a readable Parquet file of paths and vectors ({error})") from error


# -- clip-retrieval: img_emb/img_emb_N.npy beside metadata/metadata_N.parquet ----------------------


def _read_clip_retrieval(source: Path, model: Model) -> Rows:
    """The output of `clip-retrieval inference` (https://github.com/rom1504/clip-retrieval)."""
    arrow = _pyarrow()
    parts = sorted((source / "img_emb").glob("img_emb_*.npy"))
    if not parts:
        raise LibraryError(
            f"{source}: no img_emb/img_emb_*.npy in this folder, so it is not clip-retrieval's"
        )
    for part in parts:
        metadata = source / "metadata" / f"{part.stem.replace('img_emb', 'metadata')}.parquet"
        try:
            vectors = np.load(part, mmap_mode="r", allow_pickle=False)
            paths = arrow.parquet.read_table(metadata, columns=["image_path"]).column(0).to_pylist()
        except (OSError, ValueError, arrow.ArrowException) as error:
            raise LibraryError(f"{part} or {metadata.name} can't be read: {error}") from error
        if len(paths) != len(vectors):
            raise LibraryError(f"{part}: {len(vectors)} vectors but {len(paths)} paths in {metadata.name}")
        for start in range(0, len(paths), _ROWS):
            yield paths[start : start + _ROWS], vectors[start : start + _ROWS]
