"""Power cuts: whatever part of the journal reached the disk, the catalog is a state that was committed."""

import random
import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from clipsight.indexing import pipeline
from clipsight.library import Library
from clipsight.maintenance.check import check
from clipsight.store.catalog import CATALOG_NAME, Catalog
from tests.durability.world import World
from tests.support.catalogs import add_photos, some_model, unit_vectors

COMMITS = 12


@dataclass(frozen=True)
class Journal:
    """A catalog's file and journal, as they were on disk after the last of some commits."""

    file: bytes
    journal: bytes
    ends: tuple[int, ...]
    """Length of the journal after each commit, each of which added a photo."""

    def committed(self, length: int) -> int:
        """How many photos the first `length` bytes of the journal hold."""
        return sum(end <= length for end in self.ends)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Journal:
    """A catalog to which photos were added, one a commit, and never closed."""
    library = tmp_path_factory.mktemp("written")
    with closing(Catalog(library)) as catalog:
        model = some_model(catalog, 64)
        file, journal = library / CATALOG_NAME, library / f"{CATALOG_NAME}-wal"
        catalog.database.run("PRAGMA wal_checkpoint(TRUNCATE)")
        ends = []
        for number, vector in enumerate(unit_vectors(COMMITS, 64)):
            add_photos(catalog, model, vector[None, :], [b"/photos/%016d.jpg" % number])
            ends.append(journal.stat().st_size)
        return Journal(file.read_bytes(), journal.read_bytes(), tuple(ends))


def photos_after(tmp_path: Path, file: bytes, journal: bytes) -> int:
    """How many photos a library of these two files has, which must be sound and go on."""
    library = tmp_path / "library"
    shutil.rmtree(library, ignore_errors=True)
    library.mkdir()
    (library / CATALOG_NAME).write_bytes(file)
    (library / f"{CATALOG_NAME}-wal").write_bytes(journal)
    report = check(library)
    assert report.consistent, report.findings
    with closing(Catalog(library)) as catalog:
        found = catalog.counts().present
        model = catalog.current_model()
        assert model is not None
        assert [hit.path for hit in catalog.iter_embedded_photos(model)] == [
            b"/photos/%016d.jpg" % number for number in range(found)
        ]
        add_photos(catalog, model, unit_vectors(1, 64), [b"/photos/another photo.jpg"])
        assert catalog.counts().present == found + 1
    return found


def offsets(written: Journal) -> Iterator[int]:
    """Places in the journal: the ends of commits, beside them, and some more."""
    yield from {place for end in written.ends for place in (end - 1, end, end + 1)}
    chance = random.Random(0)
    yield from (chance.randrange(len(written.journal)) for _ in range(30))


@pytest.mark.slow
def test_a_journal_cut_anywhere(written: Journal, tmp_path: Path) -> None:
    for length in offsets(written):
        found = photos_after(tmp_path, written.file, written.journal[:length])
        assert found == written.committed(length)


@pytest.mark.slow
def test_a_journal_with_garbage_from_anywhere_on(written: Journal, tmp_path: Path) -> None:
    chance = random.Random(1)
    for length in offsets(written):
        rest = max(0, len(written.journal) - length)
        garbage = chance.randbytes(rest) if chance.random() < 0.5 else bytes(rest)
        found = photos_after(tmp_path, written.file, written.journal[:length] + garbage)
        assert found == written.committed(length)


@pytest.mark.slow
def test_a_sector_of_the_journal_that_was_never_written(written: Journal, tmp_path: Path) -> None:
    chance = random.Random(2)
    for _ in range(40):
        sector = 512 * chance.randrange(len(written.journal) // 512)
        journal = bytearray(written.journal)
        journal[sector : sector + 512] = bytes(512)
        if journal != written.journal:  # else it was all zeros before
            assert photos_after(tmp_path, written.file, bytes(journal)) == written.committed(sector + 1)


@pytest.mark.slow
def test_a_checkpoint_cut_anywhere(written: Journal, tmp_path: Path) -> None:
    """Pages reach the file in any order; the journal, written before them, has them all."""
    library = tmp_path / "checkpointed"
    library.mkdir()
    (library / CATALOG_NAME).write_bytes(written.file)
    (library / f"{CATALOG_NAME}-wal").write_bytes(written.journal)
    Catalog(library).close()
    after = (library / CATALOG_NAME).read_bytes()
    assert after != written.file
    chance = random.Random(3)
    for _ in range(25):
        pages = [
            (after if chance.random() < 0.5 else written.file.ljust(len(after), b"\0"))[start : start + 8192]
            for start in range(0, len(after), 8192)
        ]
        assert photos_after(tmp_path, b"".join(pages), written.journal) == COMMITS


@pytest.mark.slow
def test_an_index_file_of_lost_commits_is_rebuilt(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ids of lost commits are given out again: the index file, which knows them, must not be believed."""
    monkeypatch.setattr(pipeline, "COMMIT_SECONDS", 0.0)
    world.add(6)
    journal = world.library / f"{CATALOG_NAME}-wal"
    with Library.open(world.library, model=str(world.models[0])) as library:
        library.index(world.photos)
        kept = (world.library / CATALOG_NAME).read_bytes(), journal.read_bytes()
        world.add(5)
        library.index(world.photos)
        library.search("red")
    (world.library / CATALOG_NAME).write_bytes(kept[0])
    journal.write_bytes(kept[1])
    for _ in range(4):  # other photos get the ids
        file = next(iter(world.files))
        file.unlink()
        del world.files[file]
    world.add(5)
    world.sound()
    with Library.open(world.library) as library:
        library.index(world.photos)
    world.complete()
