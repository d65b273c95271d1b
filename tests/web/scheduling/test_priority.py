import threading
import time
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clipsight.web.scheduling.priority import Line, Turns


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "nothing happened for 30 seconds"
        time.sleep(0.001)


def test_no_more_than_so_many_are_inside() -> None:
    turns, inside, most = Turns(3), 0, 0
    lock = threading.Lock()

    def work(line: Line) -> None:
        nonlocal inside, most
        for _ in range(20):
            with line:
                with lock:
                    inside += 1
                    most = max(most, inside)
                time.sleep(0.0005)
                with lock:
                    inside -= 1

    threads = [
        threading.Thread(target=work, args=(line,))
        for line in (turns.first, turns.second, turns.last)
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert (inside, most) == (0, 3)


def order_of(turns: Turns, arrivals: list[str]) -> list[str]:
    """In which order those that come while the only turn is taken get it: names of lines and numbers."""
    order: list[str] = []

    def work(line: Line, name: str) -> None:
        with line:
            order.append(name)

    threads = []
    with turns.first:
        for name in arrivals:
            line = getattr(turns, name)
            place = len(line.waiting)
            threads.append(threading.Thread(target=work, args=(line, f"{name} {place}")))
            threads[-1].start()
            wait_for(lambda line=line, place=place: len(line.waiting) == place + 1)
    for thread in threads:
        thread.join(30)
    return order


@given(st.lists(st.sampled_from(["first", "second", "last"]), max_size=16))
@settings(max_examples=30, deadline=None)
def test_each_line_comes_in_order_before_the_next_but_for_patience(arrivals: list[str]) -> None:
    order = order_of(Turns(1, patience=4), arrivals)
    places = {
        name: [f"{name} {n}" for n in range(arrivals.count(name))] for name in ("first", "second", "last")
    }
    for name, expected in places.items():
        assert [each for each in order if each.startswith(name)] == expected
    for name in ("second", "last"):  # none waits longer than it must
        turns_of = [n for n, each in enumerate(order) if each.startswith(name)]
        assert all(b - a <= 4 + 1 for a, b in zip([-1, *turns_of], turns_of, strict=False))


def test_what_is_short_comes_first() -> None:
    lines = order_of(Turns(1, patience=4), ["last"] * 3 + ["second"] * 3 + ["first"] * 9)
    names = [each.partition(" ")[0] for each in lines]
    others = ["second", "last"]
    assert names == ["first", *(["first", "first", *others] * 3), "first", "first"]


def test_a_turn_ends_with_an_error() -> None:
    turns = Turns(1)
    with pytest.raises(ZeroDivisionError), turns.last:
        _ = 1 / 0
    with turns.first:
        pass
