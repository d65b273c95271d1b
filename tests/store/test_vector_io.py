"""Export and import of vectors: bit for bit, streamed, all or nothing."""

import json
import os
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from clipsight import Library
from clipsight.core.errors import LibraryError
from clipsight.store import vector_io
from tests.support.arrays import random_unit

DIM = 32  # of the tiny model


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces smaller than the collections here, so that every test crosses their borders."""
    monkeypatch.setattr(vector_io, "_ROWS", 7)


def vectors(count: int, seed: int = 0) -> np.ndarray:
    return random_unit(count, DIM, seed)


def write_npz(file: Path, count: int = 30, **arrays: object) -> Path:
    paths = np.array([f"/far/{number}.jpg" for number in range(count)])
    np.savez(file, **{"paths": paths, "vectors": vectors(count), **arrays})  # type: ignore[arg-type]
    return file


def content(library: Library) -> dict[str, bytes]:
    hits = library._connection.catalog.iter_embedded_photos(library._connection.model)
    return {os.fsdecode(hit.path): hit.vector.tobytes() for hit in hits}


@pytest.mark.parametrize("name", ["v.npz", "v.parquet"])
@pytest.mark.slow
def test_round_trip_bit_for_bit(
    library: Library, photos: Path, tmp_path: Path, tiny_model: Path, name: str
) -> None:
    library.index(photos)
    library.import_(write_npz(tmp_path / "far.npz"))
    assert library.export(tmp_path / name) == len(library) == 38
    with Library.open(tmp_path / "other", model=str(tiny_model)) as other:
        assert other.import_(tmp_path / name).added == 38
        assert content(other) == content(library)
        assert other.import_(tmp_path / name) == vector_io.ImportReport(added=0, kept=38)
    assert not list(tmp_path.glob("*.tmp"))


def test_npz_is_what_numpy_reads(library: Library, tmp_path: Path) -> None:
    library.import_(write_npz(tmp_path / "in.npz"))
    library.export(tmp_path / "out.npz")
    with np.load(tmp_path / "out.npz", allow_pickle=False) as arrays:
        assert arrays["paths"].tolist() == [f"/far/{number}.jpg" for number in range(30)]
        assert arrays["vectors"].dtype == np.float16
        assert arrays["vectors"] == pytest.approx(vectors(30), abs=1e-3)
        assert json.loads(str(arrays["model"]))["name"] == "tiny"


def test_empty_library(library: Library, tmp_path: Path) -> None:
    assert library.export(tmp_path / "v.npz") == 0
    with np.load(tmp_path / "v.npz") as arrays:
        assert arrays["paths"].shape == (0,) and arrays["vectors"].shape == (0, DIM)
    assert library.import_(tmp_path / "v.npz").added == 0


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_vectors_are_brought_to_unit_length(library: Library, tmp_path: Path, dtype: type) -> None:
    library.import_(write_npz(tmp_path / "v.npz", vectors=(vectors(30) * 7).astype(dtype)))
    for vector in content(library).values():
        assert np.linalg.norm(np.frombuffer(vector, "<f2").astype(np.float64)) == pytest.approx(1, abs=2e-3)


@pytest.mark.slow
def test_photos_keep_their_vectors_on_import(library: Library, photos: Path, tmp_path: Path) -> None:
    library.index(photos)
    before = content(library)
    paths = np.array([*before, "/far/new.jpg"])
    report = library.import_(write_npz(tmp_path / "v.npz", paths=paths, vectors=vectors(9)))
    assert report == vector_io.ImportReport(added=1, kept=8)
    assert content(library).items() > before.items()


def test_imported_photos_that_exist_are_not_embedded_again(
    library: Library, photos: Path, tmp_path: Path
) -> None:
    paths = np.array([str(photo) for photo in sorted(photos.iterdir())])
    library.import_(write_npz(tmp_path / "v.npz", paths=paths, vectors=vectors(8)))
    (report,) = library.index(photos)
    assert (report.unchanged, report.embedded) == (8, 0)


BAD = {
    "other dimensions": ({"vectors": np.ones((30, 5), np.float32)}, "32 dimensions"),
    "one dimension": ({"vectors": np.ones(30, np.float32)}, "32 dimensions"),
    "a zero vector": ({"vectors": np.vstack([vectors(29), np.zeros(DIM)])}, "zero or not finite"),
    "not a number": ({"vectors": np.vstack([vectors(29), np.full(DIM, np.nan)])}, "zero or not finite"),
    "too few vectors": ({"vectors": vectors(20)}, "not a whole .npz"),
    "pickled objects": ({"paths": np.array([{"a": 1}] * 30, dtype=object)}, "not a whole .npz"),
    "Fortran order": ({"vectors": np.asfortranarray(vectors(30))}, "Fortran order"),
    "another model": ({"model": json.dumps({"name": "x", "fingerprint": "y"})}, "are of model x"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_files_import_nothing(library: Library, tmp_path: Path, case: str) -> None:
    arrays, message = BAD[case]
    with pytest.raises(LibraryError, match=message):
        library.import_(write_npz(tmp_path / "v.npz", **arrays))  # type: ignore[arg-type]
    assert len(library) == 0


def test_damaged_and_missing_files(library: Library, tmp_path: Path) -> None:
    whole = write_npz(tmp_path / "v.npz").read_bytes()
    for number, damaged in enumerate((b"", whole[:500], whole[: len(whole) // 2])):
        file = tmp_path / f"{number}.npz"
        file.write_bytes(damaged)
        with pytest.raises(LibraryError, match=file.name):
            library.import_(file)
    np.savez(tmp_path / "lacks.npz", paths=np.array(["a"]))
    (tmp_path / "not.parquet").write_text("no parquet")
    pyarrow.parquet.write_table(pyarrow.table({"a": [1]}), tmp_path / "lacks.parquet")
    for name in ("lacks.npz", "not.parquet", "lacks.parquet", "nothing.npz", "v.txt"):
        with pytest.raises(LibraryError):
            library.import_(tmp_path / name)
    assert len(library) == 0


def clip_retrieval(folder: Path, paths: list[str]) -> Path:
    """The layout that clip-retrieval's inference writes, in two parts."""
    (folder / "img_emb").mkdir(parents=True)
    (folder / "metadata").mkdir()
    for part, rows in enumerate((slice(0, 12), slice(12, None))):
        np.save(folder / "img_emb" / f"img_emb_{part}.npy", vectors(30)[rows].astype(np.float16))
        table = pyarrow.table({"image_path": paths[rows], "caption": paths[rows]})
        pyarrow.parquet.write_table(table, folder / "metadata" / f"metadata_{part}.parquet")
    return folder


@pytest.mark.slow
def test_clip_retrieval_folder(library: Library, tmp_path: Path) -> None:
    paths = [f"/far/{number}.jpg" for number in range(30)]
    assert library.import_(clip_retrieval(tmp_path / "cr", paths)).added == 30
    found = {path: np.frombuffer(vector, "<f2") for path, vector in content(library).items()}
    assert np.stack([found[path] for path in paths]) == pytest.approx(vectors(30), abs=2e-3)


def test_clip_retrieval_folder_that_does_not_fit(library: Library, tmp_path: Path) -> None:
    with pytest.raises(LibraryError, match="18 vectors but 17 paths"):
        library.import_(clip_retrieval(tmp_path / "short", [f"/{number}.jpg" for number in range(29)]))
    (tmp_path / "empty").mkdir()
    with pytest.raises(LibraryError, match="img_emb"):
        library.import_(tmp_path / "empty")
    assert len(library) == 0


def test_failed_export_leaves_the_old_file(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.import_(write_npz(tmp_path / "in.npz"))
    (tmp_path / "out.npz").write_bytes(b"precious")

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(vector_io, "_write_npz", full)
    with pytest.raises(LibraryError, match="No space left"):
        library.export(tmp_path / "out.npz")
    assert (tmp_path / "out.npz").read_bytes() == b"precious"
    assert not list(tmp_path.glob("*.tmp"))


def test_names_that_are_not_utf8(library: Library, tmp_path: Path) -> None:
    strange = os.fsdecode(b"/far/caf\xe9.jpg")
    library.import_(write_npz(tmp_path / "in.npz", 1, paths=np.array([strange])))
    library.export(tmp_path / "out.npz")
    with np.load(tmp_path / "out.npz") as arrays:
        assert arrays["paths"].tolist() == [strange]
    library.export(tmp_path / "out.parquet")
    assert pyarrow.parquet.read_table(tmp_path / "out.parquet")["paths"].to_pylist() == ["/far/caf\\xe9.jpg"]
