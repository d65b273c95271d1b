"""Tuning: what is chosen from given costs, what is kept and for whom, and what damage does to that."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipsight.indexing import autotune
from clipsight.indexing.autotune import DEFAULT, PAYS, Cost, Tuning, choose, kept_tuning, tuning_for
from clipsight.indexing.core_limiter import Cores
from clipsight.models.encoder import Encoder
from clipsight.models.folder import ModelFolder

BATCHES = (1, 2, 4, 8, 16)


def even(tuning: Tuning) -> Cost:
    """Nothing makes a difference."""
    return Cost(1.0, 1.0)


def of_batch(seconds: dict[int, float]) -> autotune.EncoderCost:
    """An encoder whose cost is its batch's, the more with several threads a run."""
    return lambda setting: Cost(*[seconds[setting.batch] * setting.threads_a_run**0.5] * 2)


def test_defaults_where_nothing_gains() -> None:
    assert choose(even, even, cores=8) == DEFAULT


@pytest.mark.parametrize("best", BATCHES)
def test_the_cheapest_batch(best: int) -> None:
    seconds = {batch: 1 + abs(BATCHES.index(batch) - BATCHES.index(best)) for batch in BATCHES}
    assert choose(of_batch(seconds), even, cores=8) == Tuning(batch=best)


@given(st.lists(st.floats(0.01, 2), min_size=5, max_size=5))
def test_never_below_0_95_of_the_best(costs: list[float]) -> None:
    seconds = dict(zip(BATCHES, costs, strict=True))
    chosen = choose(of_batch(seconds), even, cores=2)
    assert min(costs) >= 0.95 * seconds[chosen.batch]


def test_threads_a_run_where_they_gain() -> None:
    def shared(setting: Tuning) -> Cost:  # as on a machine whose cores are in each other's way
        return Cost(*[1 / min(setting.threads_a_run, 4)] * 2)

    assert choose(shared, even, cores=8) == Tuning(batch=16, threads_a_run=4)
    assert choose(shared, even, cores=3) == Tuning(batch=8, threads_a_run=2)
    assert choose(shared, even, cores=1) == DEFAULT


def test_a_gain_by_one_clock_only_is_none() -> None:
    assert choose(lambda each: Cost(1 / each.batch, 1.0), even, cores=2) == DEFAULT
    assert choose(lambda each: Cost(1.0, 1 / each.batch), even, cores=2) == DEFAULT


def test_full_size_where_reducing_costs_more() -> None:
    assert choose(even, lambda each: Cost(*[2.0 if each.reduce else 1.0] * 2), cores=2) == Tuning(
        reduce=False
    )
    assert choose(even, lambda each: Cost(*[1.0 if each.reduce else 2.0] * 2), cores=2) == DEFAULT


# -- on a real encoder ------------------------------------------------------------


@pytest.fixture
def encoder(tiny_model: Path) -> Encoder:
    return Encoder(ModelFolder.read(tiny_model), threads=2)


@pytest.fixture
def chosen(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let every measurement choose the same, and count them by their cores."""
    calls: list[int] = []

    def fixed(encoder: object, decoding: object, cores: int) -> Tuning:
        calls.append(cores)
        return Tuning(8, 2, False)

    monkeypatch.setattr(autotune, "choose", fixed)
    return calls


ENOUGH = 2 * PAYS


def test_a_short_run_is_not_measured(encoder: Encoder, chosen: list[int], home: Path) -> None:
    assert tuning_for(encoder, "a", ENOUGH - 1) == DEFAULT
    assert not chosen and not list(home.iterdir())


def test_measured_once_for_each_model_and_number_of_threads(
    encoder: Encoder, chosen: list[int], tiny_model: Path
) -> None:
    assert kept_tuning("a", 2) is None
    for queued in (ENOUGH, ENOUGH, 1):
        assert tuning_for(encoder, "a", queued) == Tuning(8, 2, False)
    assert chosen == [2] and kept_tuning("a", 2) == Tuning(8, 2, False)
    tuning_for(encoder, "b", ENOUGH)
    tuning_for(Encoder(ModelFolder.read(tiny_model), threads=3), "a", 3 * PAYS)
    assert chosen == [2, 2, 3]


def test_another_machine_measures_again(
    encoder: Encoder, chosen: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    tuning_for(encoder, "a", ENOUGH)
    monkeypatch.setattr(autotune, "processor", lambda: "another")
    assert kept_tuning("a", 2) is None
    tuning_for(encoder, "a", ENOUGH)
    assert chosen == [2, 2]


DAMAGED = [
    {},
    {"batch": 8, "threads_a_run": 2},
    {"batch": 3, "threads_a_run": 2, "reduce": True},
    {"batch": 8, "threads_a_run": 4, "reduce": True},
    {"batch": 8, "threads_a_run": 0, "reduce": True},
    {"batch": 8.0, "threads_a_run": 2, "reduce": True},
    {"batch": True, "threads_a_run": 2, "reduce": True},
    {"batch": 8, "threads_a_run": 2, "reduce": 1},
    {"batch": 8, "threads_a_run": 2, "reduce": True, "more": 1},
    [8, 2, True],
    None,
]


@pytest.mark.parametrize("entry", DAMAGED)
def test_a_foreign_entry_is_measured_again(
    encoder: Encoder, chosen: list[int], home: Path, entry: object
) -> None:
    tuning_for(encoder, "a", ENOUGH)
    (file,) = home.iterdir()
    content = json.loads(file.read_text())
    file.write_text(json.dumps(dict.fromkeys(content, entry)))
    assert tuning_for(encoder, "a", ENOUGH) == Tuning(8, 2, False)
    assert chosen == [2, 2]
    assert json.loads(file.read_text()) == content


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 100_000, b"null"])
def test_a_damaged_file_is_written_anew(
    encoder: Encoder, chosen: list[int], home: Path, content: bytes
) -> None:
    (home / "tuning.json").write_bytes(content)
    for _ in range(2):
        assert tuning_for(encoder, "a", ENOUGH) == Tuning(8, 2, False)
    assert chosen == [2]


def test_a_home_that_cannot_be_written(
    encoder: Encoder, chosen: list[int], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "file").touch()
    monkeypatch.setenv("CLIPSIGHT_HOME", str(home / "file"))
    assert tuning_for(encoder, "a", ENOUGH) == Tuning(8, 2, False)


def test_the_file_does_not_grow_without_end(encoder: Encoder, chosen: list[int], home: Path) -> None:
    for number in range(70):
        tuning_for(encoder, f"model {number}", ENOUGH)
    assert len(json.loads((home / "tuning.json").read_text())) == 64
    assert kept_tuning("model 0", 2) is None and kept_tuning("model 69", 2) is not None


def test_a_real_measurement(encoder: Encoder) -> None:
    found = tuning_for(encoder, "a", ENOUGH)
    assert found.batch in BATCHES and found.threads_a_run in (1, 2)
    assert found.reduce  # of 12 megapixels, 32 x 32 are wanted
    assert kept_tuning("a", 2) == found
    assert len(encoder.encode_pixels([[[[0, 0, 0]] * 32] * 32])) == 1  # type: ignore[list-item]


def test_a_graph_of_fixed_batch_is_given_as_many(tmp_path: Path) -> None:
    from tests.support.tiny_models import make_model_folder

    folder = ModelFolder.read(make_model_folder(tmp_path / "fixed", fixed_batch=16, size=224))
    assert tuning_for(Encoder(folder, threads=1), "fixed", PAYS).batch > DEFAULT.batch


# -- cores --------------------------------------------------------------------------


def test_no_more_at_work_than_there_are_cores() -> None:
    cores, lock = Cores(3), threading.Lock()
    working, most = 0, 0

    def work(count: int) -> None:
        nonlocal working, most
        with cores.computing(count):
            with lock:
                working += count
                most = max(most, working)
            time.sleep(0.002)
            with lock:
                working -= count

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(work, [1, 2, 3, 1] * 20))
    assert most == 3 and working == 0


def test_cores_are_given_back_when_the_work_fails() -> None:
    cores = Cores(1)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), cores.computing():
            _ = 1 / 0


def test_more_threads_while_files_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(time, "perf_counter", lambda: now)

    def spend(reading: float, computing: float) -> int:
        nonlocal now
        with cores.reading():
            now += reading
        with cores.computing():
            now += computing
        return cores.threads

    cores = Cores(4)
    assert cores.threads == 6
    assert spend(0.1, 1) == 6
    assert spend(1.9, 1) == 10  # as long as they have computed: twice the cores
    assert spend(1000, 1) == cores.most_threads == 22
    assert spend(0, 100_000) == 6
