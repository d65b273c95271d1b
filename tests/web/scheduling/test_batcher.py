"""Batches: every caller gets its own results in order, from as few runs as possible."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import pytest

from clipsight.models.encoder import Cancelled
from clipsight.web.scheduling.batcher import Batcher
from tests.support.waiting import PATIENCE, wait_until


class _Doubler:
    """Doubles numbers; its first batch waits until it may go on, so that callers gather behind it."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.busy = threading.Event()
        self.go_on = threading.Event()

    def __call__(self, items: list[int]) -> list[int]:
        self.batches.append(items)
        self.busy.set()
        assert self.go_on.wait(PATIENCE)
        if 13 in items:
            raise ValueError("thirteen")
        return [2 * item for item in items]


def test_waiting_callers_share_a_batch_and_each_gets_its_own_results() -> None:
    work = _Doubler()
    batcher = Batcher("test", work, 100, permit=nullcontext())
    with ThreadPoolExecutor(20) as pool:
        first = pool.submit(batcher, [0])
        assert work.busy.wait(PATIENCE)
        rest = [pool.submit(batcher, [n, n + 100]) for n in range(20, 39)]
        wait_until(lambda: batcher._waiting.qsize() == 19)
        work.go_on.set()
        assert first.result() == [0]
        assert [each.result() for each in rest] == [[2 * n, 2 * n + 200] for n in range(20, 39)]
    assert [len(batch) for batch in work.batches] == [1, 38]
    batcher.close()


def test_a_batch_ends_at_the_request_that_fills_it() -> None:
    work = _Doubler()
    batcher = Batcher("test", work, 4, permit=nullcontext())
    with ThreadPoolExecutor(8) as pool:
        pool.submit(batcher, [0])
        assert work.busy.wait(PATIENCE)
        rest = [pool.submit(batcher, [1, 2, 3]) for _ in range(4)]
        wait_until(lambda: batcher._waiting.qsize() == 4)
        work.go_on.set()
        assert [each.result() for each in rest] == [[2, 4, 6]] * 4
    assert [len(batch) for batch in work.batches] == [1, 6, 6]
    batcher.close()


def test_an_error_reaches_all_callers_of_its_batch_and_no_others() -> None:
    work = _Doubler()
    work.go_on.set()
    batcher = Batcher("test", work, 4, permit=nullcontext())
    with pytest.raises(ValueError, match="thirteen"):
        batcher([13])
    assert batcher([1]) == [2]
    batcher.close()


def test_a_cancelled_request_is_not_computed() -> None:
    work = _Doubler()
    batcher = Batcher("test", work, 4, permit=nullcontext())
    stop = threading.Event()
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(batcher, [0])
        assert work.busy.wait(PATIENCE)
        second = pool.submit(batcher, [1], stop=stop)
        stop.set()
        with pytest.raises(Cancelled):
            second.result(timeout=PATIENCE)
        work.go_on.set()
        assert first.result() == [0]
    assert batcher([2]) == [4]
    assert work.batches == [[0], [2]]
    batcher.close()


@pytest.mark.slow
def test_closing_cancels_waiting_and_later_calls() -> None:
    work = _Doubler()
    batcher = Batcher("test", work, 1, threads=2, permit=nullcontext())
    with ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(batcher, [n]) for n in range(6)]
        wait_until(lambda: len(work.batches) == 2)
        closing = pool.submit(batcher.close)
        for each in waiting:
            with pytest.raises(Cancelled):
                each.result(timeout=PATIENCE)
        work.go_on.set()
        closing.result(timeout=PATIENCE)
    assert len(work.batches) == 2
    with pytest.raises(Cancelled):
        batcher([1])
