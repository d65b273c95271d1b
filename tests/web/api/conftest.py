"""A service of a test's own, for tests that change its library or its photos."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from clipsight.web.service.service import Service
from tests.support.samples import copy_samples
from tests.support.serving import client_of, indexed


@pytest.fixture
def service(tmp_path: Path, tiny_model: Path) -> Iterator[Service]:
    with indexed(tmp_path / "library", copy_samples(tmp_path / "photos"), tiny_model) as opened:
        yield opened


@pytest.fixture
def client(service: Service) -> TestClient:
    return client_of(service)
