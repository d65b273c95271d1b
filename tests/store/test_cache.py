"""The cache of byte strings: even with a damaged file, it returns the stored value or none."""

import random
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipsight.store import cache as cache_module
from clipsight.store.cache import BlobCache
from tests.support.properties import examples


def opened(folder: Path, max_bytes: int = 1 << 26) -> BlobCache:
    return BlobCache(folder / "cache.sqlite3", max_bytes=max_bytes)


def some(count: int, seed: int = 0, size: int = 128) -> dict[bytes, bytes]:
    return {
        b"%d %d" % (seed, number): random.Random(f"{seed} {number}").randbytes(size)
        for number in range(count)
    }


def test_values_round_trip(tmp_path: Path) -> None:
    cache, values = opened(tmp_path), some(1200)
    assert cache.get(values) == {} and not cache.file.exists()
    cache.put(values)
    assert opened(tmp_path).get([*values, b"another key"]) == values
    changed = {key: value[::-1] for key, value in values.items()}
    cache.put(changed)
    assert cache.get(values) == changed


def test_the_oldest_are_evicted_and_the_file_stays_small(tmp_path: Path) -> None:
    cache = opened(tmp_path, max_bytes=200_000)
    for seed in range(40):
        cache.put(some(10, seed, size=1000))
    found = [len(cache.get(some(10, seed))) for seed in range(40)]
    assert found == sorted(found) and found[:20] == [0] * 20 and found[-10:] == [10] * 10
    assert cache.file.stat().st_size < 250_000


def test_values_larger_than_the_cache_are_not_kept(tmp_path: Path) -> None:
    cache = opened(tmp_path, max_bytes=100_000)
    cache.put({b"small": b"1"})
    cache.put({b"large": bytes(200_000)})
    assert cache.get([b"small", b"large"]) == {}
    cache.put({b"small": b"1"})
    assert cache.get([b"small", b"large"]) == {b"small": b"1"}


def test_a_file_of_an_earlier_version_is_replaced(tmp_path: Path) -> None:
    cache = opened(tmp_path)
    connection = sqlite3.connect(cache.file)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE thumbnails (number INTEGER PRIMARY KEY, key TEXT, jpeg BLOB)")
    connection.execute("INSERT INTO thumbnails VALUES (1, 'a', ?)", (bytes(10**6),))
    connection.commit()  # and left open, as by a server that still runs
    assert cache.get(some(3)) == {}
    cache.put(some(3))
    assert cache.get(some(3)) == some(3) and cache.file.stat().st_size < 10**5
    assert connection.execute("SELECT length(jpeg) FROM thumbnails").fetchall() == [(10**6,)]
    connection.close()
    assert cache.get(some(3)) == some(3)


def test_threads_share_it(tmp_path: Path) -> None:
    cache = opened(tmp_path)

    def work(seed: int) -> None:
        for _ in range(10):
            cache.put(some(5, seed))
            found.append(cache.get(some(5, seed)) == some(5, seed))

    found: list[bool] = []
    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 40


@examples(60)
@given(data=st.data())
@pytest.mark.slow
def test_damaged_values_are_never_returned(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    cache, values = opened(tmp_path_factory.mktemp("cache")), some(40)
    cache.put(values)
    content = bytearray(cache.file.read_bytes())
    for _ in range(data.draw(st.integers(1, 30))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content))) :]
    cache.file.write_bytes(content)
    found = cache.get(values)
    assert all(values[key] == value for key, value in found.items())
    cache.put(values)
    found = cache.get(values)
    assert all(values[key] == value for key, value in found.items())


def test_a_schema_that_is_not_text_counts_as_damage(tmp_path: Path) -> None:
    """SQLite quotes it in its message, which Python then can't decode."""
    cache, values = opened(tmp_path), some(5)
    cache.put(values)
    content = cache.file.read_bytes()
    cache.file.write_bytes(content.replace(b"sqlite_autoindex_entries_1", b"sqlite_autoindex_entries_\x80"))
    assert cache.get(values) == {}
    cache.put(values)
    assert cache.get(values) == values


@pytest.mark.parametrize("content", [b"no database at all" * 500, b"", b"SQLite format 3\0" + bytes(4000)])
def test_a_damaged_cache_is_replaced(tmp_path: Path, content: bytes) -> None:
    cache, values = opened(tmp_path), some(5)
    cache.file.write_bytes(content)
    assert cache.get(values) == {}
    cache.put(values)
    assert cache.get(values) == values


def test_a_file_with_another_table_is_replaced(tmp_path: Path) -> None:
    cache, values = opened(tmp_path), some(5)
    with sqlite3.connect(cache.file) as connection:
        connection.execute("CREATE TABLE entries (name TEXT)")
    connection.close()
    assert cache.get(values) == {}
    cache.put(values)
    assert cache.get(values) == values


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    cache = opened(tmp_path / "file")
    cache.put(some(3))
    assert cache.get(some(3)) == {}


def test_a_locked_file_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module, "_TIMEOUT_SECONDS", 0.05)
    cache = opened(tmp_path)
    cache.put(some(3))
    other = sqlite3.connect(cache.file, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    cache.put(some(3, seed=1))
    assert cache.get(some(3)) == {}
    other.close()
    assert cache.get([*some(3), *some(3, seed=1)]) == some(3)


WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from tests.store.test_cache import opened, some
cache = opened(Path(sys.argv[1]))
for seed in range(10):
    cache.put(some(20, seed))
    cache.put(some(20, 100 * int(sys.argv[2]) + seed))
    assert cache.get(some(20, seed)) == some(20, seed)
"""


@pytest.mark.process
def test_processes_share_it(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    here = str(Path(__file__).parents[2])
    writers = [subprocess.Popen([*command, str(number), here]) for number in range(1, 5)]
    assert [writer.wait() for writer in writers] == [0] * 4
    cache = opened(tmp_path)
    for seed in (*range(10), *(100 * number + seed for number in range(1, 5) for seed in range(10))):
        assert cache.get(some(20, seed)) == some(20, seed)
