"""Cached properties that one thread computes."""

import time
from concurrent.futures import ThreadPoolExecutor
from threading import RLock

import pytest

from clipsight.core.cached_property import clear_cached, locked_cached_property


class Counter:
    def __init__(self) -> None:
        self._lock = RLock()
        self.computed = 0

    @locked_cached_property
    def value(self) -> int:
        """The number of computations."""
        time.sleep(0.01)
        self.computed += 1
        if self.computed == 3:
            raise ValueError("the third")
        return self.computed


def test_threads_get_one_value() -> None:
    counter = Counter()
    with ThreadPoolExecutor(8) as pool:
        values = list(pool.map(lambda _: counter.value, range(16)))
    assert (set(values), counter.computed) == ({1}, 1)
    assert Counter.value.__doc__ == "The number of computations."


def test_a_cleared_value_and_one_that_failed_are_computed_again() -> None:
    counter = Counter()
    assert counter.value == 1
    clear_cached(counter, "value")
    assert (counter.value, counter.value) == (2, 2)
    clear_cached(counter, "value")
    with pytest.raises(ValueError, match="the third"):
        _ = counter.value
    assert counter.value == 4
    clear_cached(Counter(), "value")
