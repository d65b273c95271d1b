"""`clipsight check` end to end: its output and exit codes; photos are never changed."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

from clipsight import Library
from clipsight.cli.app import app
from clipsight.core.errors import LibraryError
from clipsight.store.catalog import CATALOG_NAME


@pytest.fixture
def indexed(tmp_path: Path, photos: Path, tiny_model: Path) -> Path:
    folder = tmp_path / "library"
    with Library.open(folder, model=str(tiny_model)) as library:
        library.index(photos)
        library.search("red")
    return folder


def run(*arguments: object) -> tuple[int, list[str], list[str]]:
    """Exit code, and the lines of stdout and stderr."""
    done = CliRunner().invoke(app, ["check", *map(str, arguments)])
    if isinstance(done.exception, LibraryError):
        raise done.exception
    return done.exit_code, done.stdout.splitlines(), done.stderr.splitlines()


def test_a_sound_library(indexed: Path, photos: Path) -> None:
    before = {file: file.stat().st_mtime_ns for file in photos.iterdir()}
    assert run("--library", indexed) == (0, ["consistent: 8 photos, 8 vectors"], [])
    code, lines, notes = run("--library", indexed, "--photos", 5, "--repair")
    assert (code, lines, notes) == (0, ["consistent: 8 photos, 8 vectors, 5 photos read again"], [])
    assert {file: file.stat().st_mtime_ns for file in photos.iterdir()} == before


def test_problems_are_listed_and_then_repaired(indexed: Path) -> None:
    with closing(sqlite3.connect(indexed / CATALOG_NAME)) as connection:
        connection.execute("UPDATE vectors SET vector = zeroblob(64) WHERE id = 3")
        connection.execute("UPDATE photos SET state = 9, state_since = '2026-01-01' WHERE id = 4")
        connection.commit()
    code, lines, _ = run("--library", indexed)
    assert code == 1 and len(lines) == 3
    assert lines[0].startswith("1 photos have an unknown state (--repair: ")
    assert lines[1].startswith("1 vectors are not of unit length, such as of ")
    assert lines[2] == "not consistent: 2 of 2 problems are left"
    code, lines, notes = run("--library", indexed, "--repair")
    assert code == 0 and [line.split(":")[0] for line in lines] == ["repaired", "repaired", "consistent"]
    assert notes == ["clipsight: 1 photos wait to be embedded: clipsight index"]
    assert run("--library", indexed)[:2] == (0, ["consistent: 8 photos, 7 vectors"])


def test_a_damaged_catalog(indexed: Path) -> None:
    file = indexed / CATALOG_NAME
    content = file.read_bytes()
    file.write_bytes(content[:-8192] + b"\x7f" * 8192)
    code, lines, _ = run("--library", indexed)
    assert code == 1 and lines[0].startswith("the catalog is damaged: ")
    code, lines, notes = run("--library", indexed, "--repair")
    assert code == 0 and lines[0].startswith("repaired: the catalog is damaged: ")
    assert any("is an earlier catalog: delete it if nothing is missing" in note for note in notes)


def test_no_library(tmp_path: Path) -> None:
    with pytest.raises(LibraryError, match="there is no library at"):
        run("--library", tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()
