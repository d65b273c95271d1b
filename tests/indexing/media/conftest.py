"""Fixtures of tests of metadata."""

import time
from collections.abc import Iterator

import pytest


@pytest.fixture
def eight_hours_ahead(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Local time is eight hours ahead of UTC, as in Taipei."""
    with monkeypatch.context() as context:
        context.setenv("TZ", "TPE-8")
        time.tzset()
        yield
    time.tzset()
