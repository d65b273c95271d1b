"""The pipeline under fire: real processes, killed and interrupted at random moments."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clipsight import Library

COUNT = 400


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos enough for a run to be caught in the middle; each of another colour pattern."""
    folder = tmp_path_factory.mktemp("many")
    generator = np.random.default_rng(0)
    for number in range(COUNT):
        small = generator.integers(0, 255, (4, 4, 3), dtype=np.uint8)
        picture = Image.fromarray(small).resize((600, 400), Image.Resampling.NEAREST)
        (folder / f"{number % 7}").mkdir(exist_ok=True)
        picture.save(folder / f"{number % 7}" / f"{number:03}.jpg")
    return folder


@pytest.fixture(scope="module")
def expected(many: Path, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The vectors that an undisturbed run gives, by path."""
    with Library.open(tmp_path_factory.mktemp("undisturbed"), model=str(tiny_model)) as library:
        library.index(many)
        return vectors_of(library)


def vectors_of(library: Library) -> dict[str, bytes]:
    model = library._catalog.current_model()
    assert model is not None
    return {os.fsdecode(hit.path): hit.vector.tobytes() for hit in library._catalog.each_hit(model)}


def start(library: Path, folder: Path, model: Path | str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [
            sys.executable,
            "-m",
            "clipsight",
            "index",
            str(folder),
            "--library",
            str(library),
            "--model",
            str(model),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def committed(library: Path) -> int:
    """How many vectors another process can see; 0 as long as there is no catalog."""
    try:
        with sqlite3.connect(f"file:{library / 'catalog.sqlite3'}?mode=ro", uri=True) as connection:
            return int(connection.execute("SELECT count(*) FROM vectors").fetchone()[0])
    except sqlite3.OperationalError:
        return 0


def test_killed_at_random_moments(
    many: Path, tiny_model: Path, tmp_path: Path, expected: dict[str, bytes]
) -> None:
    random.seed(2)
    library, kept = tmp_path / "library", 0
    for _ in range(12):
        process = start(library, many, tiny_model)
        time.sleep(random.uniform(0.2, 1.6))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert committed(library) >= kept, "something committed was lost"
        kept = committed(library)
        with Library.open(library, model=str(tiny_model)) as opened:
            found = vectors_of(opened)
            assert found.items() <= expected.items()
            assert not opened.status().failures
    process = start(library, many, tiny_model)
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    with Library.open(library) as opened:
        assert vectors_of(opened) == expected
        assert len(opened.search("red", top=COUNT)) == COUNT


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupt_ends_soon_and_keeps_what_is_embedded(
    many: Path, tmp_path: Path, number: signal.Signals
) -> None:
    library = tmp_path / "library"
    process = start(library, many, "builtin")  # a real model: slow enough to be caught at work
    deadline = time.monotonic() + 60
    while not committed(library) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(number)
    asked = time.monotonic()
    _, errors = process.communicate(timeout=30)
    assert time.monotonic() - asked < 2
    assert process.returncode == 130
    assert b"stopped" in errors and b"Traceback" not in errors
    assert 0 < committed(library) < COUNT


def test_two_processes_at_once(
    many: Path, tiny_model: Path, tmp_path: Path, expected: dict[str, bytes]
) -> None:
    library = tmp_path / "library"
    processes = [start(library, many, tiny_model) for _ in range(2)]
    for process in processes:
        _, errors = process.communicate()
        assert process.returncode == 0, errors
    with Library.open(library) as opened:
        assert vectors_of(opened) == expected
        (report,) = opened.index(many)
        assert report.unchanged == COUNT
