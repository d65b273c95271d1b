"""What a forked process inherits."""

import gc
import os
from contextlib import suppress
from pathlib import Path

import pytest

from clipsight import Library
from clipsight.core.fork import leak_after_fork
from tests.support.forks import in_child


class Loud:
    """Says when it is destroyed."""

    def __init__(self, said: list[str]) -> None:
        self.said = said

    def __del__(self) -> None:
        self.said.append("destroyed")


def test_a_leaked_object_is_destroyed_in_the_parent_process_only() -> None:
    said: list[str] = []
    kept, other = [Loud(said)], [Loud(said)]
    leak_after_fork(kept[0])

    def drop() -> str:
        kept.clear()
        other.clear()
        return str(len(said))

    assert in_child(drop) == "1"
    drop()
    assert len(said) == 2


@pytest.mark.process
def test_a_forked_process_never_closes_a_library(library: Library, photos: Path) -> None:
    library.index(photos)
    library.encoder.encode_texts(["cat"])
    catalog = library.path / "catalog.sqlite3"
    files = handles(catalog)

    def drop() -> str:
        vars(library).clear()
        gc.collect()
        return "" if handles(catalog) == files else "closed"

    assert files and in_child(drop) == ""
    assert handles(catalog) == files


def handles(file: Path) -> list[int]:
    """The open file descriptors of a file."""
    wanted, found = file.stat(), []
    for handle in range(256):
        with suppress(OSError):
            found += [handle] if os.path.samestat(os.fstat(handle), wanted) else []
    return found
