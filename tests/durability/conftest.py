"""The server of processes that tests of durability kill."""

from pathlib import Path

import pytest

from tests.durability.faults import Faults
from tests.durability.world import World, new_world


@pytest.fixture(scope="session")
def faults(tmp_path_factory: pytest.TempPathFactory) -> Faults:
    """A warm server, shared by all tests."""
    return Faults(tmp_path_factory.mktemp("faults"))


@pytest.fixture
def counted(faults: Faults) -> Faults:
    """The server, where calls can be counted."""
    if not faults.counts_calls:
        pytest.skip("there is no C compiler, or this is not Linux")
    return faults


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Photos and models, and no library yet."""
    return new_world(tmp_path / "world", 0)
