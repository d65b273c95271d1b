"""Several processes at once, wrong clocks and dates, swapped names, temporary disk errors."""

import os
import shutil
import threading
from contextlib import closing, suppress
from pathlib import Path

import pytest

from clipsight import Library
from clipsight.core.errors import LibraryError
from clipsight.indexing import pipeline
from clipsight.maintenance.check import check
from clipsight.store import database as database_module
from clipsight.store.catalog import CATALOG_NAME
from clipsight.store.database import Database
from tests.durability import work
from tests.durability.faults import Action, Fault, Faults
from tests.durability.kills import PICTURE
from tests.durability.world import World

DAY = 86_400


def index(world: World) -> None:
    """Index all photos in this process."""
    with Library.open(world.library, model=str(world.models[0])) as library:
        library.index(world.photos)


@pytest.mark.process
def test_two_writers_and_a_reader_while_photos_change(faults: Faults, world: World) -> None:
    world.add(20)
    index(world)
    end = world.folder / "end"
    reader = faults.start(work.read_on, world.library, PICTURE, end)
    for number in range(4):
        world.disturb()
        arguments = (world.library, world.photos, world.models[0])
        writers = [faults.start(work.index, *arguments) for _ in range(2)]
        others = [faults.start(work.optimize, world.library), faults.start(work.label, world.library)]
        if number % 2:
            writers[0].wait_or_kill(world.chance.uniform(0, 0.5))
        for running in (*writers, *others):
            assert running.wait().error is None
        world.seen()
        world.sound()
    index(world)
    world.complete()
    end.touch()
    assert reader.wait().result > 0


@pytest.mark.process
def test_two_writers_with_two_models(faults: Faults, world: World) -> None:
    """One finishes its switch, the other's model is dropped under its hands: an error at most."""
    world.add(20)
    index(world)
    for _ in range(3):
        world.disturb()
        running = [faults.start(work.index, world.library, world.photos, model) for model in world.models]
        for each in running:
            error = each.wait().error
            assert error is None or "\n" not in error
        world.seen()
        world.sound()
    with Library.open(world.library, model=str(world.current_model())) as library:
        library.index(world.photos)
    world.complete()


@pytest.mark.slow
def test_names_that_are_swapped(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "COMMIT_SECONDS", 1000.0)  # both in one commit
    world.add(2)
    index(world)
    first, second = world.files
    first.rename(world.folder / "aside")
    second.rename(first)
    (world.folder / "aside").rename(second)
    world.files = {first: world.files[second], second: world.files[first]}
    world.ever |= {(str(file), content) for file, content in world.files.items()}
    index(world)
    world.complete()


@pytest.mark.slow
def test_a_photo_that_is_copied_and_then_changed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "COMMIT_SECONDS", 1000.0)
    world.add(1)
    index(world)
    (file,) = world.files
    copy = file.with_name("zz.png")  # read after the changed one
    world.files[copy] = world.files[file]
    shutil.copy2(file, copy)
    world.add(1)
    (new,) = world.files.keys() - {file, copy}
    os.replace(new, file)
    world.files[file] = world.files.pop(new)
    world.ever |= {(str(path), content) for path, content in world.files.items()}
    index(world)
    world.complete()


@pytest.mark.process
def test_a_clock_that_goes_back_and_forth(counted: Faults, world: World) -> None:
    world.add(12)
    for days in (0, -400, 20, -20_000, 5):
        world.disturb()
        fault = Fault(world.folder, clock=days * DAY)
        arguments = (world.library, world.photos, world.models[0])
        assert counted.run(work.index, *arguments, fault=fault).error is None
        assert counted.run(work.search, world.library, PICTURE, fault=fault).result == len(world.files)
        world.complete()


@pytest.mark.slow
def test_file_dates_that_are_wrong(world: World) -> None:
    """An older date, a date before 1970, far ahead, and none: only that it is another one counts."""
    world.add(8)
    index(world)
    for stamp in (1, 0, -(10**18), 4 * 10**18):
        for file in list(world.files)[::2]:
            content = world._new_content()
            world._put(file, content)
            os.utime(file, ns=(stamp, stamp))
        for file in list(world.files)[1::2]:
            os.utime(file, ns=(stamp, stamp))
        index(world)
        world.complete()


@pytest.mark.slow
def test_a_change_that_keeps_size_and_date(world: World) -> None:
    """Indexing takes such a file for unchanged; reading photos again finds it, and mends it."""
    world.add(5)
    index(world)
    file = next(iter(world.files))
    stat = file.stat()
    content = world._new_content()
    while world.contents[content].stat().st_size != stat.st_size:
        content = world._new_content()
    world._put(file, content)
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    index(world)
    assert check(world.library).consistent
    report = check(world.library, photos=5)
    assert [finding.description for finding in report.findings] == [
        f"{str(file)!r} was changed, though its size and date were not"
    ]
    assert check(world.library, photos=5, repair=True).consistent
    index(world)
    world.complete()


@pytest.mark.process
def test_one_failed_read_does_not_move_the_catalog_aside(counted: Faults, world: World) -> None:
    """SQLite says "malformed" of a page that the disk failed to read."""
    world.add(6)
    index(world)
    reading = Fault(world.library, reads=True)
    calls = counted.run(work.search, world.library, PICTURE, fault=reading).calls
    said = set()
    for at in range(1, calls + 1, 3):
        fault = Fault(world.library, Action.FAIL_ONCE, at, 5, reads=True)
        outcome = counted.run(work.search, world.library, PICTURE, fault=fault)
        said.add("the disk failed" in (outcome.error or ""))
        assert not list(world.library.glob("*.damaged-*"))
        assert (world.library / CATALOG_NAME).exists()
    assert True in said
    world.complete()


def test_permanent_read_errors_do_not_move_the_catalog_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / CATALOG_NAME
    Database(path).close()
    path.write_bytes(b"garbage" * 10_000)

    def fail(path: Path) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(database_module, "read_through", fail)
    with pytest.raises(LibraryError, match="the disk failed to read"):
        Database(path)
    assert path.exists()


def test_closing_while_other_threads_read(tmp_path: Path) -> None:
    """It used to crash the process."""
    for _ in range(30):
        with closing(Database(tmp_path / CATALOG_NAME)) as database:
            started = threading.Barrier(3)

            def read(database: Database = database, started: threading.Barrier = started) -> None:
                started.wait()
                with suppress(LibraryError):
                    while True:
                        database.rows("SELECT * FROM sqlite_master ORDER BY sql, name")

            threads = [threading.Thread(target=read) for _ in range(2)]
            for thread in threads:
                thread.start()
            started.wait()
        for thread in threads:
            thread.join()
