"""Values for shell completion, read from a catalog without changing it."""

from pathlib import Path

from clipsight import Library
from clipsight.store.known_values import known_values


def test_values_of_a_library(library: Library, photos: Path) -> None:
    library.index(photos)
    list(library.classify(["cat", "a temple"], photos, keep=True).chunks)
    catalog = library.path / "catalog.sqlite3"
    assert known_values(catalog, "folder") == [str(photos)]
    assert set(known_values(catalog, "label")) <= {"cat", "a temple"} != set()
    assert known_values(catalog, "format") == ["JPEG", "PNG"]
    assert known_values(catalog, "camera") == []


def test_other_files_give_no_values_and_are_unchanged(tmp_path: Path) -> None:
    assert known_values(tmp_path / "none" / "catalog.sqlite3", "folder") == []
    assert list(tmp_path.iterdir()) == []
    damaged = tmp_path / "a catalog?#%41.sqlite3"
    damaged.write_bytes(b"no database" * 1000)
    assert known_values(damaged, "label") == []
    assert damaged.read_bytes() == b"no database" * 1000
    (tmp_path / "empty.sqlite3").touch()
    assert known_values(tmp_path / "empty.sqlite3", "camera") == []
