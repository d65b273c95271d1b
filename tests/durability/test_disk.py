"""A disk that is full, or fails: the same with every call is `python -m tests.durability.disk`."""

import resource
import signal

import pytest

from tests.durability import work
from tests.durability.disk import FAILURES, Disk, Failure
from tests.durability.faults import Faults
from tests.durability.work import Report
from tests.durability.world import World


@pytest.mark.process
@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: failure.name)
def test_some_calls_fail(counted: Faults, world: World, failure: Failure) -> None:
    disk = Disk(counted, world)
    said = [line for step in disk.steps() for line in disk.fail(step, failure, every=100, first=7)]
    assert any(said)


def index_with_small_files(report: Report, size: int, *arguments: object) -> None:
    """Index where no file may grow beyond `size` bytes: the system answers as on some full disks."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    work.index(report, *arguments)  # type: ignore[arg-type]


@pytest.mark.process
@pytest.mark.parametrize("size", [1_000, 40_000, 70_000, 150_000])
def test_files_with_a_size_limit(faults: Faults, world: World, size: int) -> None:
    world.add(12)
    outcome = faults.run(index_with_small_files, size, world.library, world.photos, world.models[0])
    assert outcome.error is not None or size == 150_000
    world.seen()
    assert faults.run(work.index, world.library, world.photos, world.models[0]).error is None
    world.complete()
