"""A service over the sample photos, to read from or to change."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from clipsight.web.service.service import Service
from tests.support.samples import SAMPLES, copy_samples
from tests.support.serving import indexed


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[Service]:
    """One that tests only read from."""
    folder = tmp_path_factory.mktemp("service")
    photos = copy_samples(folder / "photos")
    shutil.copyfile(SAMPLES["cat.png"], photos / "broken.jpg")
    (photos / "broken.jpg").write_bytes(b"\xff\xd8\xff no photo")
    with indexed(folder / "library", photos, tiny_model) as opened:
        yield opened


@pytest.fixture
def own(tmp_path: Path, tiny_model: Path) -> Iterator[Service]:
    """One that a test may change; its photos are in tmp_path / "photos"."""
    with indexed(tmp_path / "library", copy_samples(tmp_path / "photos"), tiny_model) as opened:
        yield opened
