"""The process that watches folders for the server."""

from contextlib import closing
from pathlib import Path

import pytest

from clipsight import Library
from clipsight.store.catalog import Catalog
from clipsight.web.service.watch_process import watching
from tests.support.samples import SAMPLES
from tests.support.waiting import wait_until

pytestmark = pytest.mark.process


def test_photos_are_indexed_while_the_server_runs(tmp_path: Path, tiny_model: Path) -> None:
    pytest.importorskip("watchfiles")
    photos = tmp_path / "photos"
    photos.mkdir()
    with Library.open(tmp_path / "library", model=str(tiny_model)) as library:
        library.index(photos)
    with closing(Catalog(tmp_path / "library")) as catalog:
        with watching(tmp_path / "library", "cpu", None):
            (photos / "cat.png").write_bytes(SAMPLES["cat.png"].read_bytes())
            wait_until(lambda: catalog.counts().present == 1)
        (photos / "coffee.png").write_bytes(SAMPLES["coffee.png"].read_bytes())
        assert catalog.counts().present == 1


def test_an_empty_library_is_told_of_and_ends_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with watching(tmp_path / "library", "cpu", None):
        pass
    assert "Traceback" not in capfd.readouterr().err
