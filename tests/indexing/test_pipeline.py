"""The pipeline under stress: real processes, killed and interrupted at random moments."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from clipsight import Library
from clipsight.core.errors import QueryError
from clipsight.indexing import autotune, pipeline
from clipsight.indexing.autotune import PipelineSettings
from clipsight.models.encoder import Encoder
from tests.support.tiny_models import make_model_blind_to_black
from tests.support.waiting import PATIENCE, wait_until

pytestmark = pytest.mark.slow

COUNT = 400
Vectors = dict[str, npt.NDArray[np.float16]]


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
def expected(many: Path, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Vectors:
    """The vectors that an undisturbed run gives, by path."""
    with Library.open(tmp_path_factory.mktemp("undisturbed"), model=str(tiny_model)) as library:
        library.index(many)
        return vectors_of(library)


def vectors_of(library: Library) -> Vectors:
    model = library._connection.catalog.current_model()
    assert model is not None
    return {
        os.fsdecode(hit.path): hit.vector for hit in library._connection.catalog.iter_embedded_photos(model)
    }


def check_vectors(found: Vectors, expected: Vectors) -> None:
    """Each photo has its own vector, but for the last bits: those depend on the batch that it was in."""
    for path, vector in found.items():
        np.testing.assert_allclose(vector, expected[path], atol=1e-3)


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


@pytest.mark.process
def test_killed_at_random_moments(many: Path, tiny_model: Path, tmp_path: Path, expected: Vectors) -> None:
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
            check_vectors(found, expected)
            assert not opened.status().failures
    process = start(library, many, tiny_model)
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    with Library.open(library) as opened:
        found = vectors_of(opened)
        assert found.keys() == expected.keys()
        check_vectors(found, expected)
        assert len(opened.search("red", top=COUNT)) == COUNT


@pytest.mark.process
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupt_ends_soon_and_keeps_what_is_embedded(
    many: Path, tmp_path: Path, number: signal.Signals
) -> None:
    library = tmp_path / "library"
    process = start(library, many, "builtin")  # a real model: slow enough to be caught at work
    wait_until(lambda: committed(library) > 0)
    process.send_signal(number)
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert b"stopped" in errors and b"Traceback" not in errors
    assert 0 < committed(library) < COUNT


@pytest.mark.process
def test_two_processes_at_once(many: Path, tiny_model: Path, tmp_path: Path, expected: Vectors) -> None:
    library = tmp_path / "library"
    processes = [start(library, many, tiny_model) for _ in range(2)]
    for process in processes:
        _, errors = process.communicate()
        assert process.returncode == 0, errors
    with Library.open(library) as opened:
        found = vectors_of(opened)
        assert found.keys() == expected.keys()
        check_vectors(found, expected)
        (report,) = opened.index(many)
        assert report.unchanged == COUNT


class Watched:
    """What threads do while a library is indexed: sizes of batches, sides asked for, how many at once."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, together: int = 1) -> None:
        """The first threads wait for each other until `together` are at work."""
        self.batches: list[int] = []
        self.sides: set[int | None] = set()
        self.most = 0
        self._now = 0
        self._together = together
        self._changed = threading.Condition()
        decode, encode = pipeline.decode, Encoder.encode_pixels  # type: ignore[attr-defined]

        def watched_decode(source: Any, *, min_side: int | None, **others: Any) -> Any:
            self.sides.add(min_side)
            with self._at_work():
                return decode(source, min_side=min_side, **others)

        def watched_encode(encoder: Encoder, pixels: Any, **others: Any) -> Any:
            self.batches.append(len(pixels))
            with self._at_work():
                return encode(encoder, pixels, **others)

        monkeypatch.setattr(pipeline, "decode", watched_decode)
        monkeypatch.setattr(Encoder, "encode_pixels", watched_encode)

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        with self._changed:
            self._now += 1
            self.most = max(self.most, self._now)
            self._changed.notify_all()
            assert self._changed.wait_for(lambda: self.most >= self._together, PATIENCE)
        time.sleep(0.001)
        yield
        with self._changed:
            self._now -= 1


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_no_more_threads_compute_than_configured(
    many: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    watched = Watched(monkeypatch, together=threads)
    with Library.open(tmp_path / "library", model=str(tiny_model), threads=threads) as library:
        library.index(many)
    assert watched.most == threads
    assert max(watched.batches) == 4 and sum(watched.batches) == COUNT


@pytest.mark.parametrize(
    ("settings", "exact", "side"),
    [
        (PipelineSettings(batch_size=2, reduce_jpegs=True), False, 32),
        (PipelineSettings(batch_size=16, intra_op_threads=2, reduce_jpegs=True), True, None),
        (PipelineSettings(batch_size=1, reduce_jpegs=False), False, None),
    ],
)
def test_a_run_uses_its_settings(
    many: Path,
    tiny_model: Path,
    tmp_path: Path,
    expected: Vectors,
    monkeypatch: pytest.MonkeyPatch,
    settings: PipelineSettings,
    exact: bool,
    side: int | None,
) -> None:
    watched = Watched(monkeypatch)
    monkeypatch.setattr(pipeline, "settings_for", lambda encoder, fingerprint, queued: settings)
    with Library.open(tmp_path / "library", model=str(tiny_model), threads=2) as library:
        library.index(many, exact=exact)
        assert library.encoder.workers == 2 // settings.intra_op_threads
        assert vectors_of(library).keys() == expected.keys()
    assert watched.sides == {side}
    assert max(watched.batches) == settings.batch_size and sum(watched.batches) == COUNT


def test_truncated_files_are_counted_or_refused(many: Path, tiny_model: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    file = (many / "0" / "000.jpg").read_bytes()
    (photos / "whole.jpg").write_bytes(file)
    (photos / "without end.jpg").write_bytes(file[:-2])
    (photos / "cut.jpg").write_bytes(file[: len(file) * 3 // 4])
    with Library.open(tmp_path / "library", model=str(tiny_model)) as library:
        (report,) = library.index(photos)
        assert (report.embedded, report.partial, report.failed) == (3, 1, 0)
        assert "3 new, 1 cut short" in str(report)
    with Library.open(tmp_path / "strict", model=str(tiny_model)) as library:
        (report,) = library.index(photos, strict=True)
        assert (report.embedded, report.partial, report.failed) == (2, 0, 1)


def test_a_long_run_measures_first_and_may_be_interrupted_then(
    tiny_model: Path, tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    monkeypatch.setattr(autotune, "MIN_FILES_PER_CORE", 20)
    for number in range(20):
        Image.new("RGB", (8, 8), (number, 0, 0)).save(photos / f"{number}.png")
    monkeypatch.setattr(Encoder, "preprocess", interrupted := Interrupt(Encoder.preprocess))
    with Library.open(tmp_path / "library", model=str(tiny_model), threads=1) as library:
        with pytest.raises(KeyboardInterrupt):
            library.index(photos)
        assert interrupted.calls == 1 and not len(library) and not (home / "tuning.json").exists()
        library.index(photos)
        assert len(library) == 20 and (home / "tuning.json").exists()


class Interrupt:
    """A method whose first call, which is the measurement's, is interrupted."""

    def __init__(self, method: Any) -> None:
        self.calls = 0
        self._method = method

    def __get__(self, encoder: Encoder, kind: type) -> Any:
        def call(image: Any) -> Any:
            self.calls += 1
            if self.calls == 1:
                raise KeyboardInterrupt
            return self._method(encoder, image)

        return call


def test_a_photo_with_an_invalid_vector_is_a_failure_for_its_model(tiny_model: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(40):
        Image.new("RGB", (40, 40), (6 * number, 255 - 6 * number, 90)).save(photos / f"{number}.png")
    for name in ("black.png", "black too.png"):
        Image.new("RGB", (40, 40)).save(photos / name)
    reason = "model m gave a zero or not-a-number vector"
    blind = make_model_blind_to_black(tmp_path / "m", name="m")
    with Library.open(tmp_path / "library", model=str(blind)) as library:
        (report,) = library.index(photos)
        assert (report.embedded, report.failed) == (40, 2)
        failed = {os.path.basename(failure.path): failure.reason for failure in library.status().failures}
        assert failed == dict.fromkeys((b"black.png", b"black too.png"), reason)
        (again,) = library.index(photos)
        assert (again.unchanged, again.failed, again.failed_before) == (40, 0, 2)
        assert len(library.search("blue", top=50)) == 40
        with pytest.raises(QueryError, match=r"can't use the picture .*black\.png: model m gave a zero or"):
            library.search(photos / "black.png")
        (chunk,) = library.embed(photos / "black.png", photos / "3.png")
        assert chunk.paths == (photos / "3.png",) and np.isfinite(chunk.vectors).all()
        assert chunk.failures == ((photos / "black.png", reason),)
    with Library.open(tmp_path / "library", model=str(tiny_model)) as library:
        library.index(photos)
        assert len(library) == 42 and not library.status().failures
