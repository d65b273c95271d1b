"""Export and import of vectors: `.npz`, `.parquet`, and clip-retrieval's output folder.

Files hold two parallel arrays (columns), `paths` (text) and `vectors` (float16[n, dim]), and the name and
fingerprint of the model. Export and import work in chunks, so memory does not grow with the library.
Exported vectors are imported without any change.
"""

import json
import os
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from clipsight.core.errors import LibraryError
from clipsight.core.extras import require
from clipsight.core.files import atomic_write, mtime_ns
from clipsight.store.catalog import Catalog
from clipsight.store.records import FileStat, Model, State

_ROWS = 2048

_ROUNDING = 5e-4
"""Vectors whose length differs from 1 by less are unit vectors rounded to float16, which are not rescaled."""

Rows = Iterator[tuple[Sequence[object], npt.NDArray[Any]]]
"""Chunks of (paths, vectors [n, dim]); only the file format has been checked."""


@dataclass(frozen=True, slots=True)
class ImportReport:
    """Number of vectors that were added, and of photos that already had a vector, which they kept."""

    added: int
    kept: int


def export_vectors(catalog: Catalog, model: Model, file: Path) -> int:
    """Write paths and vectors of all photos to `file` (.npz or .parquet), atomically; return their number."""
    writer = _writer(file)
    with atomic_write(file) as temporary, catalog.snapshot():
        return writer(catalog, model, temporary)


def import_vectors(catalog: Catalog, model: Model, source: Path) -> ImportReport:
    """Add vectors computed elsewhere as vectors of `model`, in one transaction.

    Vectors are scaled to unit length. Photos that already have a vector keep it. Raises `LibraryError`, and
    imports nothing, for vectors of another length or model (if the file names one), vectors that are zero or
    not finite, and a damaged file.
    """
    if not os.path.exists(source):
        raise LibraryError(f"no such file: {source}")
    added = kept = 0
    with catalog.transaction():
        for paths, vectors in _reader(source)(source, model):
            unit = _unit(vectors, model, source)
            for path, vector in zip(paths, unit, strict=True):
                if catalog.import_vector(*_file(path, source), model, vector):
                    added += 1
                else:
                    kept += 1
    return ImportReport(added, kept)


def _unit(vectors: npt.NDArray[Any], model: Model, source: Path) -> npt.NDArray[np.float32]:
    if vectors.ndim != 2 or vectors.shape[1] != model.dim or vectors.dtype.kind not in "fiu":
        raise LibraryError(
            f"{source}: vectors are {vectors.dtype} {vectors.shape}, the library's model {model.name} has "
            f"{model.dim} dimensions: import into a library of the model that made them"
        )
    wide = vectors.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        lengths = np.linalg.norm(wide, axis=1, keepdims=True)
    if not (np.isfinite(lengths).all() and (lengths > 0).all()):
        raise LibraryError(f"{source}: some vectors are zero or not finite; nothing was imported")
    lengths[np.abs(lengths - 1) < _ROUNDING] = 1
    unit: npt.NDArray[np.float32] = (wide / lengths).astype(np.float32)
    return unit


def _file(path: object, source: Path) -> tuple[FileStat, State]:
    """The file at `path`, and its state: unreachable if it does not exist on this machine."""
    try:
        if not isinstance(path, str | bytes) or not path:
            raise ValueError("not a text")
        absolute = os.fsencode(os.path.abspath(os.path.expanduser(path)))
        stat = os.stat(absolute)
    except ValueError as error:  # a NUL byte, a lone surrogate
        raise LibraryError(f"{source}: {path!r} is no path ({error}); nothing was imported") from error
    except OSError:
        return FileStat(*os.path.split(absolute), 0, 0, 0), State.UNREACHABLE
    return FileStat(*os.path.split(absolute), stat.st_size, mtime_ns(stat), stat.st_dev), State.PRESENT


def _writer(file: Path) -> Callable[[Catalog, Model, Path], int]:
    match file.suffix.lower():
        case ".npz":
            return _write_npz
        case ".parquet":
            return _write_parquet
    raise LibraryError(f"can't export to {file.name}: name a file that ends in .npz or .parquet")


def _reader(source: Path) -> Callable[[Path, Model], Rows]:
    if os.path.isdir(source):
        return _read_clip_retrieval
    match source.suffix.lower():
        case ".npz":
            return _read_npz
        case ".parquet":
            return _read_parquet
    raise LibraryError(
        f"can't import {source}: give a .npz or .parquet file, or a folder with img_emb/ and metadata/"
    )


def _model_json(model: Model) -> str:
    return json.dumps({"name": model.name, "fingerprint": model.fingerprint})


def _check_model(text: str | None, model: Model, source: Path) -> None:
    """Raise `LibraryError` if the file's model (`_model_json`; None: not stored) is another one."""
    try:
        made_by = json.loads(text) if text else None
    except ValueError:
        made_by = None
    if isinstance(made_by, dict) and made_by.get("fingerprint", model.fingerprint) != model.fingerprint:
        raise LibraryError(
            f"{source}: its vectors are of model {made_by.get('name')}, the library's are of {model.name}: "
            "vectors of two models can't be compared; use another library"
        )


def _chunks(catalog: Catalog, model: Model) -> Iterator[tuple[list[str], npt.NDArray[np.float16]]]:
    paths: list[str] = []
    vectors: list[npt.NDArray[np.float16]] = []
    for photo in catalog.iter_embedded_photos(model):
        paths.append(os.fsdecode(photo.path))
        vectors.append(photo.vector)
        if len(paths) == _ROWS:
            yield paths, np.stack(vectors)
            paths, vectors = [], []
    if paths:
        yield paths, np.stack(vectors)


# -- .npz: a zip archive of arrays in NumPy's .npy format, read and written in chunks ------------


def _write_npz(catalog: Catalog, model: Model, file: Path) -> int:
    count, longest = 0, 1
    for paths, _ in _chunks(catalog, model):
        count += len(paths)
        longest = max(longest, *map(len, paths))
    text = np.dtype(f"<U{longest}")
    with zipfile.ZipFile(file, "w") as archive:
        names = (np.array(paths, dtype=text) for paths, _ in _chunks(catalog, model))
        _write_npy(archive, "paths", text, (count,), names, zipfile.ZIP_DEFLATED)  # mostly padding
        vectors = (vectors for _, vectors in _chunks(catalog, model))
        _write_npy(archive, "vectors", np.dtype("<f2"), (count, model.dim), vectors)
        written = np.array(_model_json(model))
        _write_npy(archive, "model", written.dtype, (), [written])
    return count


def _write_npy(
    archive: zipfile.ZipFile,
    name: str,
    dtype: np.dtype[Any],
    shape: tuple[int, ...],
    chunks: Iterable[npt.NDArray[Any]],
    compression: int = zipfile.ZIP_STORED,
) -> None:
    member = zipfile.ZipInfo(f"{name}.npy")
    member.compress_type = compression
    with archive.open(member, "w", force_zip64=True) as out:
        header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_2_0(out, header)
        for chunk in chunks:
            out.write(np.ascontiguousarray(chunk, dtype=dtype).tobytes())


def _read_npz(source: Path, model: Model) -> Rows:
    try:
        with zipfile.ZipFile(source) as archive:
            members = set(archive.namelist())
            if not {"paths.npy", "vectors.npy"} <= members:
                raise LibraryError(f"{source}: it has no arrays named paths and vectors")
            if "model.npy" in members:
                with archive.open("model.npy") as file:
                    _check_model(str(np.lib.format.read_array(file, allow_pickle=False)), model, source)
            with archive.open("paths.npy") as names, archive.open("vectors.npy") as vectors:
                for names_chunk, rows in zip(_read_npy(names), _read_npy(vectors), strict=True):
                    if len(names_chunk) != len(rows):
                        raise ValueError("more paths than vectors, or fewer")
                    yield names_chunk.tolist(), rows
    except (zipfile.BadZipFile, zlib.error, ValueError, OSError, EOFError, RuntimeError) as error:
        raise LibraryError(
            f"{source}: not a whole .npz file with arrays paths and vectors ({error})"
        ) from error


def _read_npy(file: IO[bytes]) -> Iterator[npt.NDArray[Any]]:
    """Yield an array in chunks of `_ROWS` rows. Raises ValueError for arrays of pickled Python objects."""
    version = np.lib.format.read_magic(file)
    read_header = (
        np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    )
    shape, fortran_order, dtype = read_header(file)
    if dtype.hasobject:
        raise ValueError("an array is of pickled Python objects, which can run code")
    if fortran_order and len(shape) > 1:
        raise ValueError("an array is in Fortran order: save numpy.ascontiguousarray of it")
    if not shape:
        raise ValueError("an array has no rows")
    for start in range(0, shape[0], _ROWS):
        rows = min(_ROWS, shape[0] - start)
        size = rows * int(np.prod(shape[1:], dtype=np.int64)) * dtype.itemsize
        data = file.read(size)
        if len(data) != size:
            raise EOFError("the file is cut short")
        yield np.frombuffer(data, dtype=dtype).reshape(rows, *shape[1:])


# -- .parquet -----------------------------------------------------------------------------------


def _pyarrow() -> Any:
    return require("parquet", "pyarrow.compute", "pyarrow.parquet", "pyarrow")


def _write_parquet(catalog: Catalog, model: Model, file: Path) -> int:
    """Write a Parquet file; `path_bytes` holds paths that are not UTF-8, and is null for others."""
    arrow = _pyarrow()
    schema = arrow.schema(
        [
            ("paths", arrow.string()),
            ("vectors", arrow.list_(arrow.float16(), model.dim)),
            ("path_bytes", arrow.binary()),
        ],
        metadata={"clipsight.model": _model_json(model)},
    )
    count = 0
    with arrow.parquet.ParquetWriter(file, schema) as writer:
        for paths, vectors in _chunks(catalog, model):
            flat = arrow.array(vectors.reshape(-1), type=arrow.float16())
            rows = arrow.FixedSizeListArray.from_arrays(flat, model.dim)
            texts, raw = zip(*(_utf8(os.fsencode(path)) for path in paths), strict=True)
            columns = [arrow.array(texts), rows, arrow.array(raw, type=arrow.binary())]
            writer.write_table(arrow.table(columns, schema=schema))
            count += len(paths)
    return count


def _utf8(path: bytes) -> tuple[str, bytes | None]:
    r"""A path as text, with `\xNN` for bytes that are not UTF-8; and, if there are such bytes, as bytes."""
    text = path.decode("utf-8", "backslashreplace")
    return text, None if text.encode() == path else path


def _read_parquet(source: Path, model: Model) -> Rows:
    arrow = _pyarrow()
    try:
        with arrow.parquet.ParquetFile(source) as file:
            written = (file.schema_arrow.metadata or {}).get(b"clipsight.model")
            _check_model(written.decode() if written else None, model, source)
            columns = {"paths", "vectors", "path_bytes"} & set(file.schema_arrow.names)
            if not {"paths", "vectors"} <= columns:
                raise LibraryError(f"{source}: it has no columns named paths and vectors")
            for batch in file.iter_batches(batch_size=_ROWS, columns=sorted(columns)):
                texts = batch.column("paths").to_pylist()
                raw = batch.column("path_bytes").to_pylist() if "path_bytes" in columns else texts
                paths = [exact or text for exact, text in zip(raw, texts, strict=True)]
                yield paths, _matrix(batch.column("vectors"))
    except (arrow.ArrowException, OSError, ValueError) as error:
        raise LibraryError(f"{source}: not a readable Parquet file of paths and vectors ({error})") from error


def _matrix(column: Any) -> npt.NDArray[Any]:
    """An Arrow column of lists as an array [n, dim]. Raises ValueError if their lengths differ."""
    lengths = set(_pyarrow().compute.list_value_length(column).to_pylist())
    if len(lengths) > 1 or None in lengths:
        raise ValueError("vectors differ in length, or are missing")
    values: npt.NDArray[Any] = column.flatten().to_numpy(zero_copy_only=False)
    return values.reshape(len(column), -1)


# -- clip-retrieval: img_emb/img_emb_N.npy beside metadata/metadata_N.parquet ----------------------


def _read_clip_retrieval(source: Path, model: Model) -> Rows:
    """Read the output of `clip-retrieval inference` (https://github.com/rom1504/clip-retrieval)."""
    arrow = _pyarrow()
    parts = sorted((source / "img_emb").glob("img_emb_*.npy"))
    if not parts:
        raise LibraryError(
            f"{source}: no img_emb/img_emb_*.npy in this folder, so it is not clip-retrieval's"
        )
    for part in parts:
        metadata = source / "metadata" / f"{part.stem.replace('img_emb', 'metadata')}.parquet"
        try:
            vectors = np.lib.format.open_memmap(part, mode="r")
            paths = arrow.parquet.read_table(metadata).column("image_path").to_pylist()
        except (OSError, ValueError, KeyError, EOFError, arrow.ArrowException) as error:
            raise LibraryError(f"{part} or {metadata.name} can't be read: {error}") from error
        if len(paths) != len(vectors):
            raise LibraryError(f"{part}: {len(vectors)} vectors but {len(paths)} paths in {metadata.name}")
        for start in range(0, len(paths), _ROWS):
            yield paths[start : start + _ROWS], vectors[start : start + _ROWS]
