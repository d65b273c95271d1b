import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import numpy as np
import pytest
from PIL import Image

from clipsight.core.errors import PhotoError
from clipsight.indexing.media import memory, mending, photo
from clipsight.indexing.media.memory import BYTES_PER_PIXEL, MemoryBudget
from clipsight.indexing.media.photo import decode
from tests.support import photo_files as files


class Watched(MemoryBudget):
    """A budget that knows how much was held at most."""

    most = 0

    @property
    def _used(self) -> int:
        return self.used

    @_used.setter
    def _used(self, used: int) -> None:
        self.used = used
        self.most = max(self.most, used)


def test_threads_hold_no_more_than_the_limit_together() -> None:
    budget = Watched(100)
    start = threading.Barrier(8)

    def work(thread: int) -> None:
        start.wait()
        for size in np.random.default_rng(thread).integers(1, 200, 300).tolist():
            with budget.reserve(size):
                pass

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert budget.used == 0
    assert 50 < budget.most <= 100


@pytest.fixture
def budget(monkeypatch: pytest.MonkeyPatch) -> Watched:
    """A budget of one pixel: each picture needs all of it."""
    budget = Watched(BYTES_PER_PIXEL)
    for module in (memory, mending, photo):
        monkeypatch.setattr(module, "DECODING", budget)
    return budget


def test_a_photo_is_counted_until_it_is_released(budget: Watched) -> None:
    file = files.encode("PNG")
    decode(file, mtime_ns=0)
    assert (budget.used, budget.most) == (0, BYTES_PER_PIXEL)
    with ExitStack() as held:
        decode(file, mtime_ns=0, memory=held)
        assert budget.used == BYTES_PER_PIXEL
    assert budget.used == 0


@pytest.mark.parametrize("strict", [False, True])
def test_files_that_fail_or_are_mended_hold_nothing(budget: Watched, strict: bool) -> None:
    """A second attempt that waited for the memory of the first would wait for ever."""
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8))
    for format in ("JPEG", "PNG", "BMP"):
        file = files.encode(format, noise)
        with ExitStack() as held:
            try:
                decode(file[: len(file) * 3 // 4], mtime_ns=0, memory=held, strict=strict)
            except PhotoError:
                assert budget.used == 0
        assert budget.used == 0
