"""Fixtures of tests of indexing."""

import time
from collections.abc import Iterator

import pytest


@pytest.fixture
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Local time is UTC."""
    yield from _in_zone("UTC0", monkeypatch)


@pytest.fixture
def eight_hours_ahead(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Local time is eight hours ahead of UTC, as in Taipei."""
    yield from _in_zone("TPE-8", monkeypatch)


def _in_zone(zone: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as context:
        context.setenv("TZ", zone)
        time.tzset()
        yield
    time.tzset()
