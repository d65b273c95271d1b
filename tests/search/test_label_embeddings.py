"""Labels are embedded once: whatever happens to the file, what comes out of it is right."""

import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clipsight.search import label_embeddings
from clipsight.search.label_embeddings import LabelCache

PLAIN = ("{}",)


def some(count: int, seed: int = 0, dim: int = 32) -> dict[bytes, np.ndarray]:
    random = np.random.default_rng(seed)
    keys = [LabelCache.key("model", PLAIN, f"{seed} {number}") for number in range(count)]
    return dict(zip(keys, random.standard_normal((count, dim), np.float32), strict=True))


def same(found: dict[bytes, np.ndarray], kept: dict[bytes, np.ndarray]) -> bool:
    return set(found) == set(kept) and all(np.array_equal(found[key], kept[key]) for key in kept)


def test_what_is_put_comes_back_bit_for_bit(tmp_path: Path) -> None:
    cache, vectors = LabelCache(tmp_path), some(1200)
    assert cache.get(vectors) == {} and not cache.file.exists()
    cache.put(vectors)
    assert same(LabelCache(tmp_path).get([*vectors, b"another key"]), vectors)
    cache.put({key: -vector for key, vector in vectors.items()})
    assert same(cache.get(vectors), {key: -vector for key, vector in vectors.items()})


def test_a_key_is_of_model_templates_and_label() -> None:
    keys = {
        LabelCache.key(model, templates, label)
        for model in ("m", "m2")
        for templates in (("{}",), ("{}", "a {}"), ("{}a", "{}"), ("{}", "a", "{}"))
        for label in ("dog", "cat", "")
    }
    assert len(keys) == 2 * 4 * 3


def test_the_oldest_go_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_embeddings, "MAX_LABELS", 100)
    cache = LabelCache(tmp_path)
    for seed in range(5):
        cache.put(some(30, seed))
    assert [len(cache.get(some(30, seed))) for seed in range(5)] == [0, 10, 30, 30, 30]


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_damage_is_never_believed(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    cache, vectors = LabelCache(tmp_path_factory.mktemp("cache")), some(40)
    cache.put(vectors)
    content = bytearray(cache.file.read_bytes())
    for _ in range(data.draw(st.integers(1, 30))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content))) :]
    cache.file.write_bytes(content)
    found = cache.get(vectors)
    assert all(np.array_equal(vector, vectors[key]) for key, vector in found.items())
    cache.put(vectors)
    found = cache.get(vectors)
    assert all(np.array_equal(vector, vectors[key]) for key, vector in found.items())


def test_a_schema_that_is_no_text_is_damage(tmp_path: Path) -> None:
    """SQLite quotes it in its message, which Python then can't decode."""
    cache, vectors = LabelCache(tmp_path), some(5)
    cache.put(vectors)
    content = cache.file.read_bytes()
    cache.file.write_bytes(content.replace(b"sqlite_autoindex_labels_1", b"sqlite_autoindex_labels_\x80"))
    assert cache.get(vectors) == {}
    cache.put(vectors)
    assert same(cache.get(vectors), vectors)


@pytest.mark.parametrize("content", [b"no database at all" * 500, b"", b"SQLite format 3\0" + bytes(4000)])
def test_a_damaged_file_is_begun_anew(tmp_path: Path, content: bytes) -> None:
    cache, vectors = LabelCache(tmp_path), some(5)
    cache.file.write_bytes(content)
    assert cache.get(vectors) == {}
    cache.put(vectors)
    assert same(cache.get(vectors), vectors)


def test_a_file_with_another_table_is_begun_anew(tmp_path: Path) -> None:
    cache, vectors = LabelCache(tmp_path), some(5)
    with sqlite3.connect(cache.file) as connection:
        connection.execute("CREATE TABLE labels (name TEXT)")
    connection.close()
    assert cache.get(vectors) == {}
    cache.put(vectors)
    assert same(cache.get(vectors), vectors)


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    cache = LabelCache(tmp_path / "file")
    cache.put(some(3))
    assert cache.get(some(3)) == {}


def test_a_file_that_another_process_holds_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(label_embeddings, "_TIMEOUT_SECONDS", 0.05)
    cache = LabelCache(tmp_path)
    cache.put(some(3))
    other = sqlite3.connect(cache.file, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    cache.put(some(3, seed=1))
    assert cache.get(some(3)) == {}
    other.close()
    assert same(cache.get([*some(3), *some(3, seed=1)]), some(3))


WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from tests.search.test_label_embeddings import some, same
from clipsight.search.label_embeddings import LabelCache
cache = LabelCache(Path(sys.argv[1]))
for seed in range(10):
    cache.put(some(20, seed))
    cache.put(some(20, 100 * int(sys.argv[2]) + seed))
    assert same(cache.get(some(20, seed)), some(20, seed))
"""


def test_processes_share_it(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    here = str(Path(__file__).parents[2])
    writers = [subprocess.Popen([*command, str(number), here]) for number in range(1, 5)]
    assert [writer.wait() for writer in writers] == [0] * 4
    cache = LabelCache(tmp_path)
    for seed in (*range(10), *(100 * number + seed for number in range(1, 5) for seed in range(10))):
        assert same(cache.get(some(20, seed)), some(20, seed))
