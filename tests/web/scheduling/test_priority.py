"""The priority semaphore: its limit, its order, and that no lane starves."""

import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipsight.web.scheduling.priority import Lane, PrioritySemaphore
from tests.support.properties import examples
from tests.support.waiting import PATIENCE, wait_until


def test_no_more_threads_than_permits_are_inside() -> None:
    semaphore, inside, peak = PrioritySemaphore(3), 0, 0
    lock = threading.Lock()

    def work(lane: Lane) -> None:
        nonlocal inside, peak
        for _ in range(20):
            with lane:
                with lock:
                    inside += 1
                    peak = max(peak, inside)
                time.sleep(0.0005)
                with lock:
                    inside -= 1

    threads = [
        threading.Thread(target=work, args=(lane,))
        for lane in (semaphore.high, semaphore.normal, semaphore.low)
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert (inside, peak) == (0, 3)


def order_of(semaphore: PrioritySemaphore, arrivals: list[str]) -> list[str]:
    """The order in which threads that arrive while the only permit is taken get it, as "lane number"."""
    order: list[str] = []

    def work(lane: Lane, name: str) -> None:
        with lane:
            order.append(name)

    threads = []
    with semaphore.high:
        for name in arrivals:
            lane = getattr(semaphore, name)
            place = len(lane.waiting)
            threads.append(threading.Thread(target=work, args=(lane, f"{name} {place}")))
            threads[-1].start()
            wait_until(lambda lane=lane, place=place: len(lane.waiting) == place + 1)  # type: ignore[misc]
    for thread in threads:
        thread.join(PATIENCE)
    return order


@given(st.lists(st.sampled_from(["high", "normal", "low"]), max_size=16))
@examples(30)
def test_each_lane_is_first_in_first_out_and_none_is_skipped_too_often(arrivals: list[str]) -> None:
    order = order_of(PrioritySemaphore(1, max_skips=4), arrivals)
    for lane in ("high", "normal", "low"):
        expected = [f"{lane} {n}" for n in range(arrivals.count(lane))]
        assert [each for each in order if each.startswith(lane)] == expected
    for lane in ("normal", "low"):
        permits = [n for n, each in enumerate(order) if each.startswith(lane)]
        assert all(b - a <= 4 + 1 for a, b in zip([-1, *permits], permits, strict=False))


def test_the_high_lane_goes_first() -> None:
    order = order_of(PrioritySemaphore(1, max_skips=4), ["low"] * 3 + ["normal"] * 3 + ["high"] * 9)
    lanes = [each.partition(" ")[0] for each in order]
    others = ["normal", "low"]
    assert lanes == ["high", *(["high", "high", *others] * 3), "high", "high"]


def test_an_error_releases_the_permit() -> None:
    semaphore = PrioritySemaphore(1)
    with pytest.raises(ZeroDivisionError), semaphore.low:
        _ = 1 / 0
    with semaphore.high:
        pass
