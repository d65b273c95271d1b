"""`clipsight optimize`: as a command on a few photos; in Python on a thousand, with a lower threshold."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from clipsight import Library
from clipsight.cli.app import app
from clipsight.core.errors import LibraryError
from clipsight.store.vectors import faiss as vectors_module
from clipsight.store.vectors import flat
from tests.support.catalogs import unit_vectors
from tests.support.scores import near
from tests.support.shell import Shell
from tests.support.waiting import wait_until


@pytest.fixture
def many(tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Library]:
    """A library of a thousand imported photos, which are to be many."""
    monkeypatch.setattr(flat, "MAX_VECTORS", 0)
    monkeypatch.setattr(vectors_module, "MIN_VECTORS", 1000)
    vectors = unit_vectors(1200, 32)
    np.savez(
        tmp_path / "v.npz", paths=np.array([f"/far/{n % 7}/{n}.jpg" for n in range(1200)]), vectors=vectors
    )
    with Library.open(tmp_path / "library", model=str(tiny_model)) as library:
        library.import_(tmp_path / "v.npz")
        yield library


@pytest.mark.slow
def test_searches_of_large_libraries_recommend_optimize(many: Library) -> None:
    before = many.search("a cat", top=20)
    assert before.notes == ("1,200 photos: clipsight optimize, once, makes searches faster",)
    seen: list[tuple[int, int]] = []
    done = many.optimize(lambda so_far, count: seen.append((so_far, count)))
    assert (done.photos, done.approximate, seen[-1]) == (1200, True, (1200, 1200))
    after = many.search("a cat", top=20)
    (note,) = after.notes
    assert (
        note
        == "found by an approximate index, which may miss 1 in 100 of the best; the option exact misses none"
    )
    every = many.search("a cat", top=1200, exact=True)
    places = [match.id for match in every]
    assert [places.index(match.id) for match in after] == sorted(places.index(match.id) for match in after)
    assert (len(every), len(after)) == (1200, 20)
    exact = many.search("a cat", top=20, exact=True)
    assert exact.to_dicts() == near(before.to_dicts()) and exact.notes == ()
    few = many.search("a cat", top=300, folders=["/far/3"])
    assert (len(few), few.notes) == (171, ())
    assert many.optimize() == done  # nothing is left to do
    assert many.search_many([]) == []


def test_nothing_to_do(library: Library, photos: Path) -> None:
    assert library.optimize().photos == 0
    library.index(photos)
    done = library.optimize()
    assert (done.photos, done.approximate) == (8, False)


@pytest.mark.slow
def test_an_unwritable_folder_is_an_error(many: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    import faiss

    def full(index: object, name: str) -> None:
        raise RuntimeError("No space left on device")

    many.search("a cat")
    monkeypatch.setattr(faiss, "write_index", full)
    with pytest.raises(LibraryError, match=r"can't write the index in .*vectors: free some space"):
        many.optimize()


@pytest.mark.process
@pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")  # as it should be
def test_the_command(shell_of_few: Shell) -> None:
    shell = shell_of_few
    assert "8 photos: few enough for exact searches" in shell.run("optimize").stderr
    done = shell.run("optimize", "--background")
    log = Path(done.stderr.strip().rpartition(": ")[2])
    assert log.name == "optimize.log"
    wait_until(lambda: "few enough" in log.read_text(), step=0.05)
    assert log.read_text() == "clipsight: 8 photos: few enough for exact searches\n"


@pytest.mark.slow
def test_the_command_of_many(many: Library) -> None:
    priority = os.nice(0)
    done = CliRunner().invoke(app, ["optimize", "--library", str(many.path)])
    assert done.exit_code == 0 and "1,200 photos: searches compare the nearest lists only" in done.stderr
    assert os.nice(0) == priority  # only a background process gets a lower one
    found = CliRunner().invoke(app, ["search", "cat", "-n", "--json", "--library", str(many.path), "--exact"])
    assert found.exit_code == 0 and "approximate" not in found.stderr
    assert len(json.loads(found.stdout)["matches"]) == 10


@pytest.fixture
def shell_of_few(photos: Path, tiny_model: Path) -> Shell:
    shell = Shell(photos.parent, tiny_model, photos.parent / "home")
    shell.index()
    return shell
