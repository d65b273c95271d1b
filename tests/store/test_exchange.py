"""Vectors out and in again: bit for bit, streamed, all or nothing."""

import io
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from catalogs import add_photos, finish, some_model, start_python, unit_vectors

from clipsight import Library
from clipsight.errors import LibraryError
from clipsight.store import exchange
from clipsight.store.catalog import Catalog
from clipsight.store.records import Model

DIM = 32  # of the tiny model


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces smaller than the collections here, so that every test crosses their borders."""
    monkeypatch.setattr(exchange, "_ROWS", 7)


def vectors(count: int, seed: int = 0) -> np.ndarray:
    made = np.random.default_rng(seed).standard_normal((count, DIM)).astype(np.float32)
    return made / np.linalg.norm(made, axis=1, keepdims=True)


def write_npz(file: Path, count: int = 30, **arrays: object) -> Path:
    paths = np.array([f"/far/{number}.jpg" for number in range(count)])
    np.savez(file, **{"paths": paths, "vectors": vectors(count), **arrays})
    return file


def content(library: Library) -> dict[str, bytes]:
    hits = library._catalog.each_hit(library._model)
    return {os.fsdecode(hit.path): hit.vector.tobytes() for hit in hits}


@pytest.mark.parametrize("name", ["v.npz", "v.parquet"])
def test_round_trip_bit_for_bit(
    library: Library, photos: Path, tmp_path: Path, tiny_model: Path, name: str
) -> None:
    library.index(photos)
    library.import_(write_npz(tmp_path / "far.npz"))
    assert library.export(tmp_path / name) == len(library) == 38
    with Library.open(tmp_path / "other", model=str(tiny_model)) as other:
        assert other.import_(tmp_path / name).added == 38
        assert content(other) == content(library)
        assert other.import_(tmp_path / name) == exchange.ImportReport(added=0, kept=38)
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


def test_own_vectors_are_kept(library: Library, photos: Path, tmp_path: Path) -> None:
    library.index(photos)
    before = content(library)
    paths = np.array([*before, "/far/new.jpg"])
    report = library.import_(write_npz(tmp_path / "v.npz", paths=paths, vectors=vectors(9)))
    assert report == exchange.ImportReport(added=1, kept=8)
    assert content(library).items() > before.items()


def test_imported_photos_that_exist_are_not_embedded_again(
    library: Library, photos: Path, tmp_path: Path
) -> None:
    paths = np.array([str(photo) for photo in sorted(photos.iterdir())])
    library.import_(write_npz(tmp_path / "v.npz", paths=paths, vectors=vectors(8)))
    (report,) = library.index(photos)
    assert (report.unchanged, report.embedded) == (8, 0)


def test_vectors_whose_squares_float32_can_t_hold(library: Library, tmp_path: Path) -> None:
    scale = np.where(np.arange(30) % 2, 1e30, 1e-30)[:, None]
    library.import_(write_npz(tmp_path / "v.npz", vectors=vectors(30).astype(np.float64) * scale))
    expected = vectors(30).astype(np.float16)
    found = content(library)
    for number in range(30):
        vector = np.frombuffer(found[f"/far/{number}.jpg"], "<f2")
        assert vector == pytest.approx(expected[number], abs=1e-3)


def test_compressed_and_whole_number_arrays(library: Library, tmp_path: Path) -> None:
    paths = np.array([b"/far/caf\xe9.jpg", b"/far/b.jpg"])  # bytes serve as well as text
    np.savez_compressed(tmp_path / "v.npz", paths=paths, vectors=np.eye(2, DIM, dtype=np.int8) * 3)
    assert library.import_(tmp_path / "v.npz").added == 2
    found = {os.fsencode(path): np.frombuffer(vector, "<f2") for path, vector in content(library).items()}
    assert found[b"/far/caf\xe9.jpg"].tolist() == np.eye(2, DIM)[0].tolist()


def test_paths_are_made_absolute(
    library: Library, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(photos)
    monkeypatch.setenv("HOME", str(tmp_path))
    paths = np.array(["cat.png", "./sub/../rocket.jpg", "~/photos/coffee.png", "/far//away.jpg"])
    library.import_(write_npz(tmp_path / "v.npz", paths=paths, vectors=vectors(4)))
    names = [str(photos / name) for name in ("cat.png", "rocket.jpg", "coffee.png")]
    assert content(library).keys() == {*names, "/far/away.jpg"}
    counts = library.status().counts
    assert (counts.present, counts.unreachable) == (3, 1)


BAD = {
    "text for vectors": ({"vectors": np.full((30, DIM), "x")}, "32 dimensions"),
    "complex vectors": ({"vectors": vectors(30) * 1j}, "32 dimensions"),
    "three dimensions": ({"vectors": vectors(30)[None]}, "not a whole .npz"),
    "infinite": ({"vectors": np.full((30, DIM), np.inf, np.float16)}, "zero or not finite"),
    "too few paths": ({"paths": np.array(["/far/1.jpg"])}, "not a whole .npz"),
    "numbers for paths": ({"paths": np.arange(30)}, "0 is no path"),
    "an empty path": ({"paths": np.array(["/far/1.jpg"] * 29 + [""])}, "'' is no path"),
    "a NUL in a path": ({"paths": np.array(["/far/1.jpg"] * 29 + ["a\0b"])}, "is no path"),
    "half a character": ({"paths": np.array(["/far/1.jpg"] * 29 + ["\ud800"])}, "is no path"),
    "rows of paths": ({"paths": np.full((30, 2), "/far/1.jpg")}, "is no path"),
    "a single path": ({"paths": np.array("/far/1.jpg")}, "not a whole .npz"),
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
        library.import_(write_npz(tmp_path / "v.npz", **arrays))
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


def test_each_byte_counts(library: Library, tmp_path: Path) -> None:
    """A file with one byte changed, wherever it is, is refused or means the same."""
    file = write_npz(tmp_path / "v.npz", 8)
    whole = file.read_bytes()
    library.import_(file)
    expected = content(library)
    library.forget("/far")
    chance = np.random.default_rng(0)
    for offset in chance.integers(0, len(whole), 150):
        damaged = bytearray(whole)
        damaged[offset] ^= int(chance.integers(1, 256))
        file.write_bytes(damaged)
        try:
            library.import_(file)
        except LibraryError as error:
            assert str(file) in str(error) and len(library) == 0
        else:
            assert content(library) == expected
            library.forget("/far")


Column = tuple[pyarrow.DataType, list[object]]
LISTS = pyarrow.list_(pyarrow.float32())


def write_parquet(file: Path, paths: list[str | None], column: Column, **metadata: str) -> Path:
    table = pyarrow.table({"paths": paths, "vectors": pyarrow.array(column[1], type=column[0])})
    pyarrow.parquet.write_table(table.replace_schema_metadata(metadata), file)
    return file


@pytest.mark.parametrize(
    "kind",
    [
        LISTS,
        pyarrow.list_(pyarrow.float64()),
        pyarrow.large_list(pyarrow.float16()),
        pyarrow.list_(pyarrow.float32(), DIM),
    ],
    ids=str,
)
def test_parquet_files_of_others(library: Library, tmp_path: Path, kind: pyarrow.DataType) -> None:
    paths: list[str | None] = [f"/far/{number}.jpg" for number in range(30)]
    values = vectors(30).astype(np.float16 if "halffloat" in str(kind) else np.float64)
    file = write_parquet(tmp_path / "v.parquet", paths, (kind, list(values)))
    assert library.import_(file).added == 30
    found = content(library)
    assert np.stack([np.frombuffer(found[str(path)], "<f2") for path in paths]) == pytest.approx(
        vectors(30), abs=1e-3
    )


ROWS: list[object] = [row.tolist() for row in vectors(4)]
BAD_PARQUET: dict[str, tuple[Column, str]] = {
    "rows that differ in length": ((LISTS, [[1.0] * 31, [1.0] * 33, *ROWS[:2]]), "differ in length"),
    "a row missing": ((LISTS, [*ROWS[:3], None]), "differ in length, or are missing"),
    "a value missing": ((LISTS, [*ROWS[:3], [1.0] * 31 + [None]]), "zero or not finite"),
    "other dimensions": ((LISTS, [[1.0] * 5] * 4), "32 dimensions"),
    "no lists": ((pyarrow.float32(), [1.0] * 4), "not a readable Parquet"),
    "text": ((pyarrow.list_(pyarrow.string()), [["x"] * DIM] * 4), "32 dimensions"),
}


@pytest.mark.parametrize("case", BAD_PARQUET)
def test_bad_parquet_files_import_nothing(library: Library, tmp_path: Path, case: str) -> None:
    column, message = BAD_PARQUET[case]
    with pytest.raises(LibraryError, match=message):
        library.import_(write_parquet(tmp_path / "v.parquet", ["/1", "/2", "/3", "/4"], column))
    assert len(library) == 0


def test_parquet_files_that_don_t_fit(library: Library, tmp_path: Path) -> None:
    with pytest.raises(LibraryError, match="None is no path"):
        library.import_(write_parquet(tmp_path / "v.parquet", ["/1", None], (LISTS, ROWS[:2])))
    label = json.dumps({"name": "other", "fingerprint": "f"})
    file = write_parquet(tmp_path / "v.parquet", ["/1"], (LISTS, ROWS[:1]), **{"clipsight.model": label})
    with pytest.raises(LibraryError, match="are of model other"):
        library.import_(file)
    write_parquet(file, ["/1"], (LISTS, ROWS[:1]))
    whole = file.read_bytes()
    for damaged in (b"", whole[:-9], whole[:40] + b"garbage" * 9 + whole[103:]):
        file.write_bytes(damaged)
        with pytest.raises(LibraryError, match=r"v.parquet"):
            library.import_(file)
    assert len(library) == 0


def test_without_pyarrow(library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow.compute", None)
    (tmp_path / "v.parquet").touch()
    for action in (library.import_, library.export):
        with pytest.raises(LibraryError, match=r"pip install 'clipsight\[parquet\]'"):
            action(tmp_path / "v.parquet")


def clip_retrieval(folder: Path, paths: list[str]) -> Path:
    """The layout that clip-retrieval's inference writes, in two parts."""
    (folder / "img_emb").mkdir(parents=True)
    (folder / "metadata").mkdir()
    for part, rows in enumerate((slice(0, 12), slice(12, None))):
        np.save(folder / "img_emb" / f"img_emb_{part}.npy", vectors(30)[rows].astype(np.float16))
        table = pyarrow.table({"image_path": paths[rows], "caption": paths[rows]})
        pyarrow.parquet.write_table(table, folder / "metadata" / f"metadata_{part}.parquet")
    return folder


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


def test_clip_retrieval_folders_that_are_damaged(library: Library, tmp_path: Path) -> None:
    folder = clip_retrieval(tmp_path / "cr", [f"/far/{number}.jpg" for number in range(30)])
    array, table = folder / "img_emb" / "img_emb_1.npy", folder / "metadata" / "metadata_1.parquet"
    whole = array.read_bytes()
    pickled = io.BytesIO()
    np.save(pickled, np.array([{}] * 18, dtype=object), allow_pickle=True)
    for damaged in (b"", whole[:20], whole[:-1], pickled.getvalue()):
        array.write_bytes(damaged)
        with pytest.raises(LibraryError, match=r"img_emb_1.npy"):
            library.import_(folder)
    array.write_bytes(whole)
    pyarrow.parquet.write_table(pyarrow.table({"url": ["a"] * 18}), table)
    with pytest.raises(LibraryError, match=r"metadata_1.parquet"):
        library.import_(folder)
    table.unlink()
    with pytest.raises(LibraryError, match=r"metadata_1.parquet"):
        library.import_(folder)
    assert len(library) == 0  # though the first part was whole


@pytest.mark.parametrize("name", ["v.npz", "v.parquet"])
def test_an_export_is_of_one_moment(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Another process that forgets and adds photos meanwhile does not tear the file apart."""
    library.import_(write_npz(tmp_path / "in.npz"))
    before = content(library)
    other = Catalog(library.path)
    chunks = exchange._chunks

    def disturbed(catalog: Catalog, model: Model) -> Iterator[tuple[list[str], np.ndarray]]:
        for chunk in chunks(catalog, model):
            yield chunk
            if other.counts(b"/far").present + other.counts(b"/far").unreachable:
                other.forget(b"/far")
                add_photos(other, model, vectors(3).astype(np.float16), [b"/new/1", b"/new/2", b"/new/3"])

    monkeypatch.setattr(exchange, "_chunks", disturbed)
    assert library.export(tmp_path / name) == 30
    assert len(library) == 3
    other.close()
    library.forget("/new")
    library.import_(tmp_path / name)
    assert content(library) == before


@pytest.mark.parametrize("name", ["v.npz", "v.parquet"])
def test_an_export_is_a_file_like_any_other(library: Library, tmp_path: Path, name: str) -> None:
    library.import_(write_npz(tmp_path / "in.npz"))
    (tmp_path / "plain").touch()
    library.export(tmp_path / name)
    assert (tmp_path / name).stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize("name", ["missing/v.npz", "file/v.parquet", "folder.npz", "v.txt", "v"])
def test_exports_to_nowhere(library: Library, tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder.npz").mkdir()
    before = sorted(tmp_path.iterdir())
    with pytest.raises(LibraryError, match=r"can't (write|export)"):
        library.export(tmp_path / name)
    assert sorted(tmp_path.iterdir()) == before


def test_a_long_path_does_not_blow_up_the_file(library: Library, tmp_path: Path) -> None:
    paths = np.array([f"/far/{number}" for number in range(199)] + ["/far" + "/long" * 500])
    library.import_(write_npz(tmp_path / "in.npz", paths=paths, vectors=vectors(200)))
    library.export(tmp_path / "out.npz")  # NumPy pads every path to the longest: 2 MB here
    assert (tmp_path / "out.npz").stat().st_size < 50_000
    library.forget("/far")
    assert library.import_(tmp_path / "out.npz").added == 200


def test_failed_export_leaves_the_old_file(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.import_(write_npz(tmp_path / "in.npz"))
    (tmp_path / "out.npz").write_bytes(b"precious")

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(exchange, "_write_npz", full)
    with pytest.raises(LibraryError, match="No space left"):
        library.export(tmp_path / "out.npz")
    assert (tmp_path / "out.npz").read_bytes() == b"precious"
    assert not list(tmp_path.glob("*.tmp"))


@pytest.mark.parametrize("name", ["v.npz", "v.parquet"])
def test_names_that_are_not_utf8(library: Library, tmp_path: Path, tiny_model: Path, name: str) -> None:
    strange = [os.fsdecode(b"/far/caf\xe9.jpg"), "/far/caf\\xe9.jpg", "/far/café 日本.jpg", "/far/new\nline"]
    library.import_(write_npz(tmp_path / "in.npz", paths=np.array(strange), vectors=vectors(4)))
    library.export(tmp_path / name)
    with Library.open(tmp_path / "other", model=str(tiny_model)) as other:
        assert other.import_(tmp_path / name).added == 4
        assert content(other) == content(library) and content(other).keys() == set(strange)


def test_what_other_programs_see_of_strange_names(library: Library, tmp_path: Path) -> None:
    strange = os.fsdecode(b"/far/caf\xe9.jpg")
    library.import_(write_npz(tmp_path / "in.npz", 1, paths=np.array([strange])))
    library.export(tmp_path / "out.npz")
    with np.load(tmp_path / "out.npz") as arrays:
        assert arrays["paths"].tolist() == [strange]
    library.export(tmp_path / "out.parquet")
    table = pyarrow.parquet.read_table(tmp_path / "out.parquet")
    assert table["paths"].to_pylist() == ["/far/caf\\xe9.jpg"]
    assert table["path_bytes"].to_pylist() == [b"/far/caf\xe9.jpg"]


STREAM = """
import sys
from pathlib import Path
from clipsight.store.catalog import Catalog
from clipsight.store.exchange import export_vectors, import_vectors

import pyarrow.compute, pyarrow.parquet
folder = Path(sys.argv[1])
old, new = Catalog(folder), Catalog(folder / "new")
model = old.current_model()
new_model = new.add_model(model.fingerprint, model.name, model.source, model.dim)
status = Path("/proc/self/status")
peak = lambda: int(next(line for line in status.read_text().splitlines() if "VmHWM" in line).split()[1])
sys.stdin.readline()
before = peak()
print(export_vectors(old, model, folder / sys.argv[2]))
print(import_vectors(new, new_model, folder / sys.argv[2]).added)
print(peak() - before)
"""


@pytest.mark.parametrize("name", ["v.npz", "v.parquet"])
def test_memory_does_not_grow_with_the_library(tmp_path: Path, name: str) -> None:
    count, dim = 40_000, 2048  # 164 MB of vectors
    catalog = Catalog(tmp_path)
    model = some_model(catalog, dim)
    blob = unit_vectors(1, dim)[0].tobytes()
    with catalog.transaction():
        catalog._db.run_many(
            "INSERT INTO photos (folder, name, size, mtime_ns, device) VALUES (?, ?, 0, 0, 0)",
            [(b"/p", b"%d" % row) for row in range(count)],
        )
        catalog._db.run_many(
            "INSERT INTO vectors (photo_id, model_id, vector) VALUES (?, ?, ?)",
            [(row + 1, model.id, blob) for row in range(count)],
        )
    catalog.close()
    (output,) = finish([start_python(STREAM, tmp_path, name)])
    exported, imported, grown = map(int, output.split())
    assert exported == imported == count
    print(grown)
    assert grown << 10 < 100
