"""Waiting for what another thread or process does; no test says how long it may take."""

import time
from collections.abc import Callable

PATIENCE = 300
"""Seconds after which a wait fails; what passes never takes so long, even on a busy machine."""


def wait_until(condition: Callable[[], object], step: float = 0.005) -> None:
    """Return once `condition()` holds, which is asked every `step` seconds."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"still not so after {PATIENCE} s"
        time.sleep(step)
