"""Killed at any moment, a library is what it was, or what it was to become.

The same run with 200 kills: `python -m tests.durability.kills`.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from clipsight.core.errors import LibraryError
from clipsight.maintenance.backup import backup as back_up
from clipsight.maintenance.backup import restore
from clipsight.maintenance.check import check
from clipsight.maintenance.check_catalog import integrity_problems
from clipsight.store.catalog import CATALOG_NAME, Catalog
from tests.durability import work
from tests.durability.faults import Action, Fault, Faults
from tests.durability.kills import Kills
from tests.durability.world import World

KILLS = (Action.KILL_BEFORE, Action.KILL_WITHIN, Action.KILL_AFTER)


@pytest.mark.process
def test_kills(faults: Faults, world: World) -> None:
    run = Kills(faults, world, wanted=20)
    run.run()
    assert run.killed.total() >= 20 and run.reads > 0


def photos_of(library: Path) -> int:
    with closing(Catalog(library)) as catalog:
        return catalog.counts().present


def killed(
    faults: Faults, folder: Path, every: int, step: Callable[..., Any], *arguments: Any
) -> Iterator[None]:
    """Kill a step at each `every`-th of its calls, the folder as it was each time; yields after each."""
    kept = folder.with_name("kept")
    shutil.copytree(folder, kept)

    def reset() -> None:
        shutil.rmtree(folder)
        shutil.copytree(kept, folder)

    calls = faults.run(step, *arguments, fault=Fault(folder)).calls
    for number, at in enumerate((*range(1, calls, every), calls)):
        reset()
        assert faults.run(step, *arguments, fault=Fault(folder, KILLS[number % 3], at)).killed
        yield


@pytest.mark.process
def test_a_restore_that_is_killed_leaves_the_old_library_or_the_new(counted: Faults, world: World) -> None:
    world.add(4)
    counted.run(work.index, world.library, world.photos, world.models[0])
    backup = world.folder / "backup.sqlite3"
    back_up(world.library, backup)
    world.add(3)
    counted.run(work.index, world.library, world.photos, world.models[0])
    found = set()
    for _ in killed(counted, world.library, 4, work.restore, backup, world.library):
        found.add(photos_of(world.library))
        world.seen()
        world.sound()
    assert found == {4, 7}


@pytest.mark.process
def test_a_killed_repair_can_be_started_again(counted: Faults, world: World) -> None:
    world.add(6)
    counted.run(work.index, world.library, world.photos, world.models[0])
    assert photos_of(world.library) == 6  # closing it empties the journal
    with (world.library / CATALOG_NAME).open("r+b") as file:
        file.seek(-8192 * 3, os.SEEK_END)
        file.write(bytes(8192))
    assert integrity_problems(world.library / CATALOG_NAME)
    found = set()
    for _ in killed(counted, world.library, 8, work.repair, world.library):
        assert check(world.library, repair=True).consistent
        world.seen()
        found.add(photos_of(world.library))
    assert len(found) == 1  # all that can be read is there, whenever it was killed


@pytest.mark.process
def test_a_backup_that_is_killed_leaves_the_file_as_it_was(counted: Faults, world: World) -> None:
    world.add(4)
    counted.run(work.index, world.library, world.photos, world.models[0])
    backup = world.folder / "backups" / "backup.sqlite3"
    backup.parent.mkdir()
    backup.write_bytes(b"the old one")
    found = set()
    for _ in killed(counted, backup.parent, 2, work.back_up, world.library, backup):
        old = backup.read_bytes() == b"the old one"
        assert old or not integrity_problems(backup)
        found.add(old)
    assert found == {False, True}


@pytest.mark.process
def test_a_restore_beside_another_process_is_refused(faults: Faults, world: World) -> None:
    world.add(4)
    faults.run(work.index, world.library, world.photos, world.models[0])
    backup = world.folder / "backup.sqlite3"
    back_up(world.library, backup)
    with closing(Catalog(world.library)):
        outcome = faults.run(work.restore, backup, world.library)
        assert outcome.error is not None and "end other clipsight processes" in outcome.error
    with pytest.raises(LibraryError, match="4 photos: `replace=True`"):
        restore(backup, world.library)
    assert faults.run(work.restore, backup, world.library).error is None
    world.complete()
