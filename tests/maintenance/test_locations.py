"""Files and folders of clipsight with their sizes; listing them creates nothing."""

import json
import os
from pathlib import Path

import pytest

from clipsight import Library
from clipsight.core import paths
from clipsight.core.files import total_size
from clipsight.maintenance.locations import locations
from tests.support.shell import run_program


def test_files_that_do_not_exist_are_listed_and_not_created(home: Path) -> None:
    found = locations()
    assert {each.size for each in found if each.name != "configuration"} == {None}
    assert list(home.iterdir()) == []
    by_name = {each.name: each.path for each in found}
    assert by_name["library"] == paths.default_library()
    assert by_name["models"] == home / "models"
    assert by_name["configuration"] == Path("/dev/null")


@pytest.mark.slow
def test_sizes_of_a_library(library: Library, photos: Path, home: Path) -> None:
    library.index(photos)
    list(library.classify(["cat", "a temple"], photos, keep=True).chunks)
    (home / "models" / "tiny").mkdir(parents=True)
    (home / "models" / "tiny" / "model.onnx").write_bytes(b"x" * 1234)
    sizes = {each.name: each.size for each in locations(library.path)}
    assert sizes["models"] == 1234 and sizes["thumbnails"] is None
    assert sizes["catalog"] == (library.path / "catalog.sqlite3").stat().st_size
    assert sizes["vectors of labels"] == (library.path / "labels.sqlite3").stat().st_size
    assert sizes["library"] == sum(file.stat().st_size for file in library.path.rglob("*") if file.is_file())
    assert {each.name for each in locations(library.path) if each.is_cache} == {
        "search index",
        "thumbnails",
        "vectors of labels",
        "vectors of texts",
        "measured photos",
    }


def test_the_command(library: Library, tmp_path: Path) -> None:
    done = run_program("where", "--library", "library", "--json", folder=tmp_path)
    found = json.loads(done.stdout)
    assert [each["name"] for each in found] == [each.name for each in locations(library.path)]
    assert found[0] == {
        "name": "library",
        "path": str(library.path),
        "bytes": total_size(library.path),
        "cache": False,
    }
    table = run_program("where", "--library", "library", folder=tmp_path).stdout
    assert all(each["path"] in table for each in found)


def test_sizes_count_each_file_once_and_ignore_files_deleted_meanwhile(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "file").write_bytes(b"12345")
    os.link(tmp_path / "a" / "file", tmp_path / "a" / "same")
    (tmp_path / "a" / "link").symlink_to(tmp_path / "a" / "file")
    (tmp_path / "a" / "gone").symlink_to(tmp_path / "nowhere")
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    assert total_size(tmp_path) == total_size(tmp_path / "a" / "file") == 5
    assert total_size(tmp_path / "nowhere") == 0


@pytest.mark.parametrize("name", ["", "~", "x/../y"])
@pytest.mark.slow
def test_paths_are_absolute(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert all(each.path.is_absolute() and ".." not in each.path.parts for each in locations(name or None))
