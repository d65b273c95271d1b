"""`clipsight backup` and `clipsight restore` end to end."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from clipsight import Library
from clipsight.cli.app import app
from clipsight.core.errors import LibraryError
from tests.support.scores import near


def run(*arguments: object) -> list[str]:
    """The lines of stderr; a user's error is raised."""
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if isinstance(done.exception, LibraryError):
        raise done.exception
    assert done.exit_code == 0 and done.stdout == ""
    return done.stderr.splitlines()


@pytest.mark.slow
def test_there_and_back(tmp_path: Path, photos: Path, tiny_model: Path) -> None:
    library, file = tmp_path / "library", tmp_path / "photos.backup"
    with Library.open(library, model=str(tiny_model)) as opened:
        opened.index(photos)
        expected = opened.search("red").to_dicts()
    assert run("backup", file, "--library", library) == [
        f"clipsight: 8 photos of {library} are backed up in {file}"
    ]
    with pytest.raises(LibraryError, match="exists"):
        run("backup", file, "--library", library)
    run("backup", file, "--library", library, "--replace")
    with pytest.raises(LibraryError, match="holds 8 photos"):
        run("restore", file, "--library", library)
    lines = run("restore", file, "--library", library, "--replace")
    assert lines[0] == f"clipsight: 8 photos are restored in {library}"
    assert ".replaced-" in lines[1] and "delete it when nothing is missing" in lines[1]
    run("restore", file, "--library", tmp_path / "elsewhere")
    for folder in (library, tmp_path / "elsewhere"):
        with Library.open(folder) as opened:
            assert opened.search("red").to_dicts() == near(expected)
            (report,) = opened.index()
            assert report.unchanged == 8
