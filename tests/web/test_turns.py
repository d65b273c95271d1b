import threading
import time
from collections.abc import Callable

import pytest

from clipsight.web.turns import PATIENCE, Line, Turns


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
        threading.Thread(target=work, args=(line,)) for line in (turns.first, turns.later) for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert (inside, most) == (0, 3)


def test_who_can_wait_comes_later_but_comes() -> None:
    turns = Turns(1)
    order: list[str] = []

    def work(line: Line, name: str) -> None:
        with line:
            order.append(name)

    threads = []
    with turns.first:
        for number in range(8):
            for name, line in (("later", turns.later), ("first", turns.first)):
                threads.append(threading.Thread(target=work, args=(line, f"{name} {number}")))
                threads[-1].start()
                wait_for(lambda line=line, number=number: len(line.waiting) == number + 1)
    for thread in threads:
        thread.join(30)
    firsts, laters = ([f"{name} {number}" for number in range(8)] for name in ("first", "later"))
    expected = []
    while firsts:
        expected += firsts[: PATIENCE - 1]
        firsts = firsts[PATIENCE - 1 :]
        if firsts:
            expected.append(laters.pop(0))
    assert order == expected + laters


def test_a_turn_ends_with_an_error() -> None:
    turns = Turns(1)
    with pytest.raises(ZeroDivisionError), turns.later:
        _ = 1 / 0
    with turns.first:
        pass
