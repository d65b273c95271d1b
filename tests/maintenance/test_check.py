"""Every kind of damage to a catalog or its index files is found, and repaired without other changes."""

import json
import os
import random
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipsight import Library
from clipsight.core.errors import LibraryError
from clipsight.core.text import TextLine
from clipsight.maintenance import check as check_command
from clipsight.maintenance import check_catalog as check_module
from clipsight.maintenance.check import CheckReport, check
from clipsight.maintenance.invariants import RULES
from clipsight.store.catalog import CATALOG_NAME, Catalog
from clipsight.store.labels import PhotoLabel, store_labels
from clipsight.store.records import State
from clipsight.store.text_index import candidates, put_text
from clipsight.store.vectors.faiss import FaissIndex
from tests.store.test_schema import VERSIONS, old_catalog
from tests.support.catalogs import add_photos, some_model, unit_vectors
from tests.support.properties import examples

COUNT, DIM = 40, 16


def path_of(number: int) -> bytes:
    return b"/photos/%d/%012d" % (number % 3, number)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library with photos in all states, labels, two models and a index file."""
    library = tmp_path_factory.mktemp("sound")
    with closing(Catalog(library)) as catalog:
        model = some_model(catalog, DIM)
        ids = add_photos(catalog, model, unit_vectors(COUNT, DIM), [path_of(i) for i in range(COUNT)])
        catalog.set_state(ids[:2], State.UNREACHABLE)
        catalog.set_state(ids[2:4], State.MISSING)
        given = [PhotoLabel(id_, "dog", 0.75) for id_ in ids[:9]]
        store_labels(catalog.database, model, ["cat", "dog"], given)
        catalog.set_root(b"/photos", '{"exclude": []}', reachable=True, indexed="2026-01-02T03:04:05")
        other = catalog.add_model("b" * 64, "other", "./other", 3)
        catalog.begin_switch(other)
        catalog.put_vector(ids[7], other, np.array([0, 1, 0]))
        FaissIndex(library / "vectors", catalog, model)
        put_text(catalog.database, path_of(7)[-16:], [TextLine("AKAI MPK", 0.9, 0.1, 0.2, 0.3, 0.4)])
    return library


@pytest.fixture
def library(sound: Path, tmp_path: Path) -> Path:
    """A copy of it, to be damaged."""
    return shutil.copytree(sound, tmp_path / "library")


def spoil(library: Path, *statements: str) -> None:
    """Change the catalog as no clipsight would."""
    with closing(sqlite3.connect(library / CATALOG_NAME)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def wrongs(report: CheckReport) -> list[str]:
    return [finding.description for finding in report.findings]


def test_a_sound_library(library: Path) -> None:
    report = check(library)
    assert (report.consistent, report.findings) == (True, [])
    assert (report.photos, report.vectors) == (COUNT - 2, COUNT + 1)
    assert str(report) == f"consistent: {COUNT - 2} photos, {COUNT + 1} vectors"
    assert check(library, repair=True).findings == []


SPOILED = {
    "photos have an invalid path": ["UPDATE photos SET folder = CAST('photos' AS BLOB) WHERE id = 20"],
    "photos have an invalid content hash": ["UPDATE photos SET hash = x'01' WHERE id = 20"],
    "photos have an unknown state": ["UPDATE photos SET state = 9 WHERE id = 20"],
    "missing or unreachable photos have no date": ["UPDATE photos SET state_since = 'x' WHERE id = 1"],
    "failed files": ["INSERT INTO failures VALUES (x'2f61', x'', 1, 1, 'reason', 'date', NULL)"],
    "indexed folders have an invalid path": [
        "INSERT INTO roots VALUES (x'61', '{\"exclude\": []}', 1, NULL)"
    ],
    "indexed folders have options": ["UPDATE roots SET options = 'nonsense'"],
    "model that the library is being switched to": ["UPDATE meta SET value = 7 WHERE key = 'next_model'"],
    "model of the library": ["UPDATE meta SET value = 7 WHERE key = 'current_model'"],
    "library has vectors but no model": ["DELETE FROM meta WHERE key = 'current_model'"],
    "texts of photos are invalid": ["UPDATE texts SET lines = 'x'"],
    "index of the text in photos": ["INSERT INTO text_index (text_index) VALUES ('delete-all')"],
    "label sets": ["UPDATE label_sets SET labels = 'x'"],
    "labels are invalid": ["UPDATE labels SET label = 'cow' WHERE vector_id = 3"],
    "rows of vectors belong to rows of photos": ["DELETE FROM photos WHERE id = 30"],
    "rows of vectors belong to rows of models": ["DELETE FROM models WHERE name = 'other'"],
    "rows of labels belong to rows of label_sets": ["DELETE FROM label_sets"],
    "vectors have another number": ["UPDATE vectors SET vector = x'0000' WHERE id IN (20, 21)"],
    "vectors hold values": [
        "UPDATE vectors SET vector = CAST(x'ff7f' || substr(vector, 3) AS BLOB) WHERE id = 20"
    ],
    "vectors are not of unit length": ["UPDATE vectors SET vector = zeroblob(32) WHERE id = 20"],
}


@pytest.mark.parametrize("what", SPOILED)
def test_invalid_rows_are_found_and_repaired(library: Path, what: str) -> None:
    spoil(library, *SPOILED[what])
    report = check(library)
    assert not report.consistent
    assert any(what in wrong for wrong in wrongs(report)), wrongs(report)
    mended = check(library, repair=True)
    assert mended.consistent and any(what in wrong for wrong in wrongs(mended))
    assert check(library).findings == []
    with closing(Catalog(library)) as catalog:
        model = catalog.current_model()
        assert model is not None and model.name == "model-a"
        assert len(list(catalog.iter_embedded_photos(model))) >= COUNT - 4


def test_each_rule_is_tested() -> None:
    assert all(any(what in rule.description for what in SPOILED) for rule in RULES)


def test_problems_name_the_photos(library: Path) -> None:
    spoil(library, "UPDATE vectors SET vector = zeroblob(32) WHERE id > 10 AND model_id = 1")
    (wrong,) = wrongs(check(library))
    assert wrong.startswith("30 vectors are not of unit length, such as of '/photos/1/000000000010'")
    assert wrong.endswith("and 27 more")


def test_values_of_other_types_are_found(library: Path) -> None:
    spoil(
        library,
        "UPDATE vectors SET vector = 'text' WHERE id = 5",
        "UPDATE photos SET mtime_ns = 'x' WHERE id = 6",
        "UPDATE photos SET folder = 'text' WHERE id = 7",
        "UPDATE labels SET probability = 'x' WHERE vector_id = 8",
    )
    assert len(wrongs(check(library))) == 3
    assert check(library, repair=True).consistent
    assert check(library).findings == []


def test_memory_is_bounded_by_the_chunk_size(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is wrong is found in whichever chunk it is, and progress is told."""
    monkeypatch.setattr(check_module, "_CHUNK", 7)
    spoil(library, "UPDATE vectors SET vector = zeroblob(32) WHERE id IN (1, 7, 8, 39, 40)")
    told: list[tuple[str, int, int | None]] = []
    (wrong,) = wrongs(check(library, progress=lambda *step: told.append(step)))
    assert wrong.startswith("5 vectors are not of unit length")
    assert [done for what, done, _ in told if what == "vectors"][-1] == COUNT + 1


# -- index files ------------------------------------------------------------------------------------


def index_of(library: Path, approximate: bool) -> None:
    with closing(Catalog(library)) as catalog:
        model = catalog.current_model()
        assert model is not None
        index = FaissIndex(library / "vectors", catalog, model)
        if approximate:
            assert index.build_approximate(lambda done, total: None)


def rewrite(library: Path, change: Callable[[Any], None]) -> None:
    """Change the index file behind its stamp's back."""
    (file,) = (library / "vectors").glob("*.faiss")
    stat = file.stat()
    index = faiss.read_index(str(file))
    change(index)
    faiss.write_index(index, str(file))
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    stamp = file.with_suffix(".json")
    content = json.loads(stamp.read_text()) | {"file_size": file.stat().st_size, "count": index.ntotal}
    stamp.write_text(json.dumps(content))


def swap_ids(index: Any) -> None:
    """Give two vectors each other's ids."""
    if isinstance(index, faiss.IndexIVF):
        lists = index.invlists
        sizes = [lists.list_size(number) for number in range(index.nlist)]
        number = int(np.argmax(sizes))
        ids = faiss.rev_swig_ptr(lists.get_ids(number), sizes[number])
        ids[:2] = ids[1::-1].copy()
    else:
        ids = faiss.vector_to_array(index.id_map)
        ids[[3, 4]] = ids[[4, 3]]
        faiss.copy_array_to_vector(ids, index.id_map)


def drop_some(index: Any) -> None:
    index.remove_ids(np.array([5, 6, 7]))


@pytest.mark.parametrize("approximate", [False, True], ids=["exact", "approximate"])
@pytest.mark.parametrize(
    ("change", "wrong"), [(swap_ids, "holds 2 vectors that are not"), (drop_some, "lacks 3 vectors")]
)
def test_a_search_file_with_other_vectors_is_found(
    library: Path, approximate: bool, change: Callable[[Any], None], wrong: str
) -> None:
    index_of(library, approximate)
    assert check(library).findings == []
    rewrite(library, change)
    (found,) = wrongs(check(library))
    assert found.startswith("the index file of model-a") and wrong in found
    assert check(library, repair=True).consistent
    assert check(library).findings == []
    index_of(library, False)
    assert check(library).findings == []


def test_index_files_may_be_older_than_the_catalog(library: Path) -> None:
    with closing(Catalog(library)) as catalog:
        model = catalog.current_model()
        assert model is not None
        add_photos(catalog, model, unit_vectors(3, DIM, seed=1), [b"/photos/new%09d" % i for i in range(3)])
        catalog.forget(b"/photos/1")
    assert check(library).findings == []


# -- the file ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library of many pages."""
    library = tmp_path_factory.mktemp("large")
    with closing(Catalog(library)) as catalog:
        model = some_model(catalog, 256)
        add_photos(catalog, model, unit_vectors(600, 256), [path_of(i) for i in range(600)])
        catalog.set_root(b"/photos", '{"exclude": []}', reachable=True, indexed="2026-01-02T03:04:05")
    return library


def kept_vectors(library: Path) -> dict[bytes, bytes]:
    with closing(Catalog(library)) as catalog:
        model = catalog.current_model()
        return (
            {hit.path: hit.vector.tobytes() for hit in catalog.iter_embedded_photos(model)} if model else {}
        )


@pytest.mark.slow
@examples(25)
@given(
    damages=st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 9000), st.booleans()),
        min_size=1,
        max_size=4,
    )
)
def test_repair_keeps_all_readable_rows_of_a_damaged_file(
    large: Path, tmp_path_factory: pytest.TempPathFactory, damages: list[tuple[float, int, bool]]
) -> None:
    library = shutil.copytree(large, tmp_path_factory.mktemp("damaged") / "library")
    file = library / CATALOG_NAME
    content = bytearray(file.read_bytes())
    for place, length, zeros in damages:
        start = 8192 + int(place * (len(content) - 8192))  # the first page is needed to read anything
        end = min(len(content), start + length)
        content[start:end] = bytes(end - start) if zeros else random.Random(start).randbytes(end - start)
    file.write_bytes(content)
    before = kept_vectors(large)
    try:
        report = check(library, repair=True)
    except LibraryError as error:
        assert "nothing can be read" in str(error)
        return
    assert report.consistent
    assert check(library).findings == []
    kept = kept_vectors(library)
    wrong = [path for path, vector in kept.items() if before.get(path) != vector]
    bytes_hit = sum(length for _, length, _ in damages)
    assert len(wrong) <= bytes_hit // 500 + 2 * len(damages)  # bits that nothing tells from others


@pytest.mark.slow
def test_one_damaged_page_loses_only_its_rows(large: Path, tmp_path: Path) -> None:
    library = shutil.copytree(large, tmp_path / "library")
    file = library / CATALOG_NAME
    content = bytearray(file.read_bytes())
    leaves = [
        at
        for at in range(0, len(content), 8192)
        if content[at] == 13 and content[at + 3 : at + 5] > b"\0\x08"
    ]
    content[leaves[-3] : leaves[-3] + 8192] = bytes(8192)
    file.write_bytes(content)
    report = check(library)
    assert not report.consistent and "the catalog is damaged" in wrongs(report)[0]
    assert file.read_bytes() == content  # nothing was done to it
    assert check(library, repair=True).consistent
    assert len(kept_vectors(large)) - len(kept_vectors(library)) in range(1, 40)
    (aside,) = library.glob(f"{CATALOG_NAME}.damaged-*")
    assert aside.stat().st_size == len(content)
    report = check(library)
    assert report.consistent and any(aside.name in note for note in report.notes)


@pytest.mark.slow
def test_a_catalog_that_was_moved_aside_is_recovered(large: Path, tmp_path: Path) -> None:
    library = shutil.copytree(large, tmp_path / "library")
    file = library / CATALOG_NAME
    content = bytearray(file.read_bytes())
    content[-8192 * 5 : -8192 * 4] = bytes(8192)
    file.rename(library / f"{CATALOG_NAME}.damaged-20260101-000000-000000")
    (library / f"{CATALOG_NAME}.damaged-20260101-000000-000000").write_bytes(content)
    with pytest.raises(LibraryError, match="there is no library"):
        check(tmp_path / "elsewhere")
    assert "set aside" in wrongs(check(library))[0]
    Catalog(library).close()  # as the next command does
    assert "set aside" in wrongs(check(library))[0]
    assert check(library, repair=True).consistent
    assert len(kept_vectors(library)) > 500
    assert check(library).findings == []


def test_a_damaged_first_page_can_not_be_repaired(large: Path, tmp_path: Path) -> None:
    library = shutil.copytree(large, tmp_path / "library")
    content = b"garbage!" * 1024 + (library / CATALOG_NAME).read_bytes()[8192:]
    (library / CATALOG_NAME).write_bytes(content)
    assert not check(library).consistent
    with pytest.raises(
        LibraryError, match=r"nothing can be read .* clipsight restore FILE .* clipsight index"
    ):
        check(library, repair=True)
    assert (library / CATALOG_NAME).read_bytes() == content


def test_a_newer_catalog_is_not_touched(library: Path) -> None:
    spoil(library, "PRAGMA user_version = 999")
    before = (library / CATALOG_NAME).read_bytes()
    for repair in (False, True):
        with pytest.raises(LibraryError, match="newer clipsight"):
            check(library, repair=repair)
    assert (library / CATALOG_NAME).read_bytes() == before


@pytest.mark.parametrize("version", VERSIONS)
def test_a_library_of_each_version_is_consistent(version: int, tmp_path: Path) -> None:
    old_catalog(version, tmp_path / "library")
    report = check(tmp_path / "library", repair=True)
    assert (report.findings, report.photos, report.vectors) == ([], 2, 2)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_damaged_library_of_each_version_is_recovered(version: int, tmp_path: Path) -> None:
    old_catalog(version, tmp_path / "library")
    file = tmp_path / "library" / CATALOG_NAME
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("DELETE FROM sqlite_master WHERE name = 'photos_by_hash'")  # its pages are orphans
        connection.commit()
    assert not check(tmp_path / "library").consistent
    report = check(tmp_path / "library", repair=True)
    assert (report.consistent, report.photos, report.vectors) == (True, 2, 2)
    with closing(Catalog(tmp_path / "library")) as catalog:
        texts = [text.words for text in candidates(catalog.database, [["mpk"]])]
    assert texts == (["akai mpk"] if version >= 7 else [])


# -- beside other processes, and what they leave ------------------------------------------------------


def test_check_sees_one_state_while_others_write(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = check_command.find_invalid_vectors  # type: ignore[attr-defined]

    def late(*arguments: Any) -> Iterator[Any]:
        with closing(Catalog(library)) as other:
            other.forget(b"/photos")
        return original(*arguments)

    monkeypatch.setattr(check_command, "find_invalid_vectors", late)
    assert check(library).findings == []


def test_unfinished_files_are_removed_when_they_are_old(library: Path) -> None:
    old, new = library / "vectors" / "tmpabc.tmp", library / "vectors" / "tmpxyz.tmp"
    for file in (old, new):
        file.write_bytes(bytes(2_000_000))
    os.utime(old, (1, 1))
    report = check(library)
    assert report.consistent
    assert (
        report.notes[0]
        == "vectors/tmpabc.tmp (2 MB), left by a killed process, can be removed (`repair=True`)"
    )
    check(library, repair=True)
    assert not old.exists() and new.exists()


# -- photos read again -----------------------------------------------------------------------------------


@pytest.fixture
def indexed(library: Path, photos: Path, tiny_model: Path, tmp_path: Path) -> Path:
    """A library of the sample photos."""
    folder = tmp_path / "indexed"
    with Library.open(folder, model=str(tiny_model)) as opened:
        opened.index(photos)
    return folder


@pytest.mark.slow
def test_a_vector_stored_for_the_wrong_photo_is_found(indexed: Path, photos: Path, tiny_model: Path) -> None:
    assert str(check(indexed, photos=100)) == "consistent: 8 photos, 8 vectors, 8 photos read again"
    before = kept_vectors(indexed)
    spoil(
        indexed,
        "UPDATE vectors SET vector = (SELECT vector FROM vectors WHERE id = 3) WHERE id = 5",
    )
    assert check(indexed).findings == []  # nothing in the catalog tells
    (wrong,) = wrongs(check(indexed, photos=100))
    assert "is not of this photo (cosine " in wrong
    assert check(indexed, photos=100, repair=True).consistent
    report = check(indexed, photos=100)
    assert report.compared == 7 and report.notes == ["1 photos wait to be embedded: clipsight index"]
    with Library.open(indexed) as library:
        library.index(photos)
    assert kept_vectors(indexed) == before


@pytest.mark.slow
def test_a_sample_is_compared_and_unreadable_photos_are_counted(indexed: Path, photos: Path) -> None:
    assert check(indexed, photos=3).compared == 3
    (photos / "cat.png").unlink()
    (photos / "coffee.png").write_bytes(b"another size")
    report = check(indexed, photos=100)
    assert (report.consistent, report.compared) == (True, 6)
    assert report.notes == ["2 photos could not be compared: their files have changed or can't be read"]


def test_a_temporary_disk_error_is_not_damage(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([["database disk image is malformed"], []])
    monkeypatch.setattr(check_module, "_integrity", lambda catalog: next(answers))
    assert check(library, repair=True).findings == []


def test_a_permanent_disk_error_is_reported(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(check_module, "read_through", fail)
    before = (library / CATALOG_NAME).read_bytes()
    (library / CATALOG_NAME).write_bytes(before[:-8192] + bytes(8192))
    with pytest.raises(LibraryError, match=r"the disk failed to read .*: if it does so again"):
        check(library, repair=True)
    assert sorted(file.name for file in library.glob("catalog*")) == [CATALOG_NAME]
