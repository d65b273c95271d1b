"""Catalogs of every schema version open; a migration that was released is never edited.

`tests/golden/catalog-vN.sql` is a small catalog of schema N as SQL text. For a new version:

    PYTHONPATH=src:. python tests/store/test_schema.py > tests/golden/catalog-vN.sql
"""

import re
import sqlite3
import tempfile
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from clipsight.core.text import TextLine
from clipsight.store.catalog import CATALOG_NAME, Catalog
from clipsight.store.database import Database
from clipsight.store.labels import LabelCount, PhotoLabel, count_labels, store_labels, vector_ids_labelled
from clipsight.store.records import Counts, PhotoInfo, Root, State
from clipsight.store.schema import MIGRATIONS
from clipsight.store.text_index import PhotoText, candidates, put_text, text_of
from tests.support.catalogs import stat_of

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
VERSIONS = range(1, len(MIGRATIONS) + 1)

VECTOR = np.array([0.6, -0.8, 0.0], dtype="<f2")
INFO = PhotoInfo(640, 480, "JPEG", "2024-05-06T07:08:09", "exif", "A Camera", 6, 48.1, 11.5)
LINE = TextLine("AKAI MPK", 0.9, 0.1, 0.2, 0.3, 0.4)
PARTIAL = "truncated JPEG"
"""What the catalogs since version 5 have for the first photo."""


def old_catalog(version: int, library: Path) -> None:
    """Write the golden catalog of this schema version into the folder `library`."""
    library.mkdir()
    with closing(sqlite3.connect(library / CATALOG_NAME)) as connection:
        connection.executescript((GOLDEN / f"catalog-v{version}.sql").read_text())


def tables(path: Path) -> dict[str, str]:
    """The definition of each table and index, without comments and the room between words."""
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    return {name: " ".join(re.sub(r"--[^\n]*", "", sql).split()) for name, sql in rows}


@pytest.mark.parametrize("version", VERSIONS)
def test_a_catalog_of_each_version_opens_with_its_content(version: int, tmp_path: Path) -> None:
    old_catalog(version, tmp_path / "library")
    catalog = Catalog(tmp_path / "library")
    model = catalog.current_model()
    assert model is not None
    assert (model.fingerprint, model.name, model.source, model.dim) == ("a" * 64, "tiny", "./tiny", 3)
    assert catalog.roots() == [Root(b"/p\xff", '{"exclude": []}', True, "2026-01-02T03:04:05")]
    assert catalog.counts() == Counts(1, 1, 0)
    first, second = catalog.iter_embedded_photos(model)
    assert (first.photo_id, first.path, first.size, first.state) == (1, b"/p\xff/a.jpg", 7, State.PRESENT)
    partial = PARTIAL if version >= 5 else None
    assert first.info == replace(INFO, partial=partial)
    assert np.array_equal(first.vector, VECTOR)
    assert (second.path, second.state) == (b"/p\xff/sub/b.jpg", State.UNREACHABLE)
    assert second.info == PhotoInfo() and np.array_equal(second.vector, -VECTOR)
    assert [(failure.path, failure.reason) for failure in catalog.failures()] == [
        (b"/p\xff/c.jpg", "cut short")
    ]
    assert catalog.find_content(b"\x01" * 16, model) == (1, b"/p\xff/a.jpg")
    if version >= 7:
        assert text_of(catalog.database, 1) == (LINE,)
        assert candidates(catalog.database, [["mpk"]]) == [PhotoText(1, "akai mpk")]
    assert catalog.last_vector_id() == 3  # of which one is dead, and its id is not used again
    catalog.put_vector(catalog.put_photo(stat_of(b"/p\xff/new.jpg"), None, PhotoInfo()), model, VECTOR)
    assert [hit.vector_id for hit in catalog.iter_embedded_photos(model)] == [1, 3, 4]
    catalog.close()


@pytest.mark.parametrize("version", VERSIONS)
def test_labels_of_a_catalog_of_each_version(version: int, tmp_path: Path) -> None:
    old_catalog(version, tmp_path / "library")
    catalog = Catalog(tmp_path / "library")
    model = catalog.current_model()
    catalog.close()
    assert model is not None
    with closing(Database(tmp_path / "library" / CATALOG_NAME)) as database:
        assert count_labels(database, model) == ([LabelCount("dog", 1)] if version >= 2 else [])
        store_labels(database, model, ["cat", "dog"], [PhotoLabel(2, "dog", 0.5)])
        assert vector_ids_labelled(database, model, ["dog"]).tolist() == ([1, 3] if version >= 2 else [3])


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.slow
def test_released_migrations_are_unchanged(version: int, tmp_path: Path) -> None:
    old_catalog(version, tmp_path / "library")
    with closing(sqlite3.connect(tmp_path / "fresh.sqlite3")) as connection:
        for script in MIGRATIONS[:version]:
            connection.executescript(script)
    assert tables(tmp_path / "library" / CATALOG_NAME) == tables(tmp_path / "fresh.sqlite3")


def test_a_migrated_catalog_equals_a_new_one(tmp_path: Path) -> None:
    old_catalog(1, tmp_path / "old")
    Catalog(tmp_path / "old").close()
    Catalog(tmp_path / "new").close()
    assert tables(tmp_path / "old" / CATALOG_NAME) == tables(tmp_path / "new" / CATALOG_NAME)


FTS = "writable_schema|INTO sqlite_master|[\"']text_index"
"""Statements of a dump that are about the tables of FTS5, which it makes itself."""


def dump(library: Path) -> str:
    """A small catalog of the schema of today as SQL text."""
    catalog = Catalog(library)
    model = catalog.add_model("a" * 64, "tiny", "./tiny", 3)
    catalog.set_current_model(model)
    catalog.set_root(b"/p\xff", '{"exclude": []}', reachable=True, indexed="2026-01-02T03:04:05")
    info = replace(INFO, partial=PARTIAL)
    first = catalog.put_photo(stat_of(b"/p\xff/a.jpg", size=7), b"\x01" * 16, info)
    second = catalog.put_photo(stat_of(b"/p\xff/sub/b.jpg"), None, PhotoInfo(), State.UNREACHABLE)
    catalog.put_vector(first, model, VECTOR)
    for _ in range(2):  # the first of the two dies
        catalog.put_vector(second, model, -VECTOR)
    catalog.put_failure(stat_of(b"/p\xff/c.jpg"), "cut short")
    put_text(catalog.database, b"\x01" * 16, [LINE])
    catalog.close()
    with closing(Database(library / CATALOG_NAME)) as database:
        store_labels(database, model, ["dog", "cat"], [PhotoLabel(first, "dog", 0.75)])
    with closing(sqlite3.connect(library / CATALOG_NAME)) as connection:
        statements = [each for each in connection.iterdump() if not re.search(FTS, each)]
        (index,) = connection.execute("SELECT sql FROM sqlite_master WHERE name = 'text_index'").fetchone()
    fill = "INSERT INTO text_index (rowid, letters) SELECT id, replace(words, ' ', '') FROM texts;"
    end = [f"{index};", fill, "COMMIT;", f"PRAGMA user_version = {len(MIGRATIONS)};", ""]
    return "\n".join([*statements[:-1], *end])


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        print(dump(Path(folder) / "library"), end="")
