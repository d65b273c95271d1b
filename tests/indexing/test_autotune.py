"""Indexing settings: the choice from given times, the cache and its keys, and damaged caches."""

import json
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipsight.indexing import autotune
from clipsight.indexing.autotune import (
    DEFAULT_SETTINGS,
    MIN_FILES_PER_CORE,
    PipelineSettings,
    TimePerPhoto,
    choose_settings,
    load_settings,
    settings_for,
)
from clipsight.indexing.core_limiter import CoreLimiter
from clipsight.models.encoder import Encoder
from clipsight.models.folder import ModelFolder

BATCHES = (1, 2, 4, 8, 16)


def even(settings: PipelineSettings) -> TimePerPhoto:
    """Nothing makes a difference."""
    return TimePerPhoto(1.0, 1.0)


def of_batch(seconds: Mapping[int, float]) -> autotune.Measure:
    """An encoder whose time depends on the batch size, and grows with the threads of a run."""
    return lambda setting: TimePerPhoto(*[seconds[setting.batch_size] * setting.intra_op_threads**0.5] * 2)


def test_defaults_are_kept_if_nothing_is_faster() -> None:
    assert choose_settings(even, even, cores=8) == DEFAULT_SETTINGS


@pytest.mark.parametrize("best", BATCHES)
def test_the_fastest_batch_size_is_chosen(best: int) -> None:
    seconds = {batch_size: 1 + abs(BATCHES.index(batch_size) - BATCHES.index(best)) for batch_size in BATCHES}
    assert choose_settings(of_batch(seconds), even, cores=8) == PipelineSettings(batch_size=best)


@given(st.lists(st.floats(0.01, 2), min_size=5, max_size=5))
def test_never_below_0_95_of_the_best(costs: list[float]) -> None:
    seconds = dict(zip(BATCHES, costs, strict=True))
    chosen = choose_settings(of_batch(seconds), even, cores=2)
    assert min(costs) >= 0.95 * seconds[chosen.batch_size]


def test_more_intra_op_threads_are_chosen_if_faster() -> None:
    def shared(setting: PipelineSettings) -> TimePerPhoto:
        """As on a machine whose cores slow each other down."""
        return TimePerPhoto(*[1 / min(setting.intra_op_threads, 4)] * 2)

    assert choose_settings(shared, even, cores=8) == PipelineSettings(batch_size=16, intra_op_threads=4)
    assert choose_settings(shared, even, cores=3) == PipelineSettings(batch_size=8, intra_op_threads=2)
    assert choose_settings(shared, even, cores=1) == DEFAULT_SETTINGS


def test_a_gain_in_only_one_of_both_times_does_not_count() -> None:
    def wall(settings: PipelineSettings) -> TimePerPhoto:
        return TimePerPhoto(1 / settings.batch_size, 1.0)

    def cpu(settings: PipelineSettings) -> TimePerPhoto:
        return TimePerPhoto(1.0, 1 / settings.batch_size)

    assert choose_settings(wall, even, cores=2) == DEFAULT_SETTINGS
    assert choose_settings(cpu, even, cores=2) == DEFAULT_SETTINGS


def test_full_size_decoding_is_chosen_if_faster() -> None:
    def decoding(reduced: float, full: float) -> autotune.Measure:
        return lambda each: TimePerPhoto(*[reduced if each.reduce_jpegs else full] * 2)

    assert choose_settings(even, decoding(2.0, 1.0), cores=2) == PipelineSettings(reduce_jpegs=False)
    assert choose_settings(even, decoding(1.0, 2.0), cores=2) == DEFAULT_SETTINGS


# -- on a real encoder ------------------------------------------------------------


@pytest.fixture
def encoder(tiny_model: Path) -> Encoder:
    return Encoder(ModelFolder.read(tiny_model), threads=2)


@pytest.fixture
def chosen(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let every measurement choose the same, and record the cores of each."""
    calls: list[int] = []

    def fixed(encoder: object, decoding: object, cores: int) -> PipelineSettings:
        calls.append(cores)
        return PipelineSettings(8, 2, False)

    monkeypatch.setattr(autotune, "choose_settings", fixed)
    return calls


ENOUGH = 2 * MIN_FILES_PER_CORE


def test_a_short_run_is_not_measured(encoder: Encoder, chosen: list[int], home: Path) -> None:
    assert settings_for(encoder, "a", ENOUGH - 1) == DEFAULT_SETTINGS
    assert not chosen and not list(home.iterdir())


def test_measured_once_for_each_model_and_number_of_threads(
    encoder: Encoder, chosen: list[int], tiny_model: Path
) -> None:
    assert load_settings("a", 2) is None
    for queued in (ENOUGH, ENOUGH, 1):
        assert settings_for(encoder, "a", queued) == PipelineSettings(8, 2, False)
    assert chosen == [2] and load_settings("a", 2) == PipelineSettings(8, 2, False)
    settings_for(encoder, "b", ENOUGH)
    settings_for(Encoder(ModelFolder.read(tiny_model), threads=3), "a", 3 * MIN_FILES_PER_CORE)
    assert chosen == [2, 2, 3]


def test_another_machine_measures_again(
    encoder: Encoder, chosen: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings_for(encoder, "a", ENOUGH)
    monkeypatch.setattr(autotune, "processor_name", lambda: "another")
    assert load_settings("a", 2) is None
    settings_for(encoder, "a", ENOUGH)
    assert chosen == [2, 2]


DAMAGED = [
    {},
    {"batch_size": 8, "intra_op_threads": 2},
    {"batch_size": 3, "intra_op_threads": 2, "reduce_jpegs": True},
    {"batch_size": 8, "intra_op_threads": 4, "reduce_jpegs": True},
    {"batch_size": 8, "intra_op_threads": 0, "reduce_jpegs": True},
    {"batch_size": 8.0, "intra_op_threads": 2, "reduce_jpegs": True},
    {"batch_size": True, "intra_op_threads": 2, "reduce_jpegs": True},
    {"batch_size": 8, "intra_op_threads": 2, "reduce_jpegs": 1},
    {"batch_size": 8, "intra_op_threads": 2, "reduce_jpegs": True, "more": 1},
    [8, 2, True],
    None,
]


@pytest.mark.parametrize("entry", DAMAGED)
def test_an_invalid_cache_entry_is_measured_again(
    encoder: Encoder, chosen: list[int], home: Path, entry: object
) -> None:
    settings_for(encoder, "a", ENOUGH)
    (file,) = home.iterdir()
    content = json.loads(file.read_text())
    file.write_text(json.dumps(dict.fromkeys(content, entry)))
    assert settings_for(encoder, "a", ENOUGH) == PipelineSettings(8, 2, False)
    assert chosen == [2, 2]
    assert json.loads(file.read_text()) == content


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 100_000, b"null"])
def test_a_damaged_settings_file_is_replaced(
    encoder: Encoder, chosen: list[int], home: Path, content: bytes
) -> None:
    (home / "tuning.json").write_bytes(content)
    for _ in range(2):
        assert settings_for(encoder, "a", ENOUGH) == PipelineSettings(8, 2, False)
    assert chosen == [2]


def test_a_home_that_cannot_be_written(
    encoder: Encoder, chosen: list[int], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "file").touch()
    monkeypatch.setenv("CLIPSIGHT_HOME", str(home / "file"))
    assert settings_for(encoder, "a", ENOUGH) == PipelineSettings(8, 2, False)


@pytest.mark.slow
def test_the_settings_file_stays_small(encoder: Encoder, chosen: list[int], home: Path) -> None:
    for number in range(70):
        settings_for(encoder, f"model {number}", ENOUGH)
    assert len(json.loads((home / "tuning.json").read_text())) == 64
    assert load_settings("model 0", 2) is None and load_settings("model 69", 2) is not None


@pytest.mark.slow
def test_a_real_measurement(encoder: Encoder) -> None:
    found = settings_for(encoder, "a", ENOUGH)
    assert found.batch_size in BATCHES and found.intra_op_threads in (1, 2)
    assert found.reduce_jpegs  # of 12 megapixels, 32 x 32 are wanted
    assert load_settings("a", 2) == found
    assert len(encoder.encode_pixels([[[[0, 0, 0]] * 32] * 32])) == 1  # type: ignore[list-item]


@pytest.mark.slow
def test_batches_have_the_fixed_size_of_a_graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each run of the graph costs the same here, however many of its photos are wanted."""
    from tests.support.tiny_models import make_model_folder

    runs, run = 0, Encoder._run

    def count(self: Encoder, *arguments: Any) -> Any:
        nonlocal runs
        runs += 1
        return run(self, *arguments)

    def measure(work: Callable[[], object], photos: int) -> TimePerPhoto:
        before = runs
        work()
        seconds = (1 + runs - before) / photos
        return TimePerPhoto(seconds, seconds)

    monkeypatch.setattr(Encoder, "_run", count)
    monkeypatch.setattr(autotune, "_measure", measure)
    folder = ModelFolder.read(make_model_folder(tmp_path / "fixed", fixed_batch=16))
    chosen = settings_for(Encoder(folder, threads=1), "fixed", MIN_FILES_PER_CORE)
    assert chosen.batch_size == 16 > DEFAULT_SETTINGS.batch_size


# -- cores --------------------------------------------------------------------------


def test_no_more_threads_compute_than_there_are_cores() -> None:
    limiter, lock = CoreLimiter(3), threading.Lock()
    working, most = 0, 0

    def work(count: int) -> None:
        nonlocal working, most
        with limiter.compute(count):
            with lock:
                working += count
                most = max(most, working)
            time.sleep(0.002)
            with lock:
                working -= count

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(work, [1, 2, 3, 1] * 20))
    assert most == 3 and working == 0


def test_cores_are_released_after_an_error() -> None:
    limiter = CoreLimiter(1)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), limiter.compute():
            _ = 1 / 0


def test_more_threads_run_while_some_wait_for_files(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(time, "perf_counter", lambda: now)

    def spend(reading: float, computing: float) -> int:
        nonlocal now
        with limiter.read():
            now += reading
        with limiter.compute():
            now += computing
        return limiter.target_threads

    limiter = CoreLimiter(4)
    assert limiter.target_threads == 6
    assert spend(0.1, 1) == 6
    assert spend(1.9, 1) == 10  # as long as they have computed: twice the cores
    assert spend(1000, 1) == limiter.max_threads == 22
    assert spend(0, 100_000) == 6
