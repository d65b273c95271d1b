"""Facts about the library, and its health."""

import shutil
from pathlib import Path

import pytest

from clipsight.core.errors import (
    ModelError,
)
from clipsight.web.service.service import Service
from tests.support.samples import SAMPLES, copy_samples
from tests.support.serving import indexed


def test_facts_about_the_library(service: Service) -> None:
    (folder,) = service.library.folders()
    assert folder.photos == len(SAMPLES) and folder.id == service.folders.roots[0].id
    assert service.library.status().counts.present == len(SAMPLES)
    (failed,) = service.library.failures()
    assert failed.path.name == "broken.jpg" and failed.reason
    assert service.library.failures(offset=1) == []
    health = service.library.health()
    assert health.ok and health.photos == len(SAMPLES) and health.model == service.library.model


@pytest.mark.slow
def test_health_fails_when_the_catalog_was_deleted(own: Service) -> None:
    (own.path / "catalog.sqlite3").rename(own.path / "elsewhere")
    health = own.library.health()
    assert not health.ok and "was moved or deleted" in health.problems[0]


def test_health_fails_when_the_model_can_not_be_used(own: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ModelError("the model could not be run")

    with own._current.use() as reader:
        monkeypatch.setattr(reader.encoder, "check", fail)
    assert own.library.health().problems == ("the model could not be run",)


@pytest.mark.slow
def test_a_library_whose_model_was_deleted_can_not_be_opened(tmp_path: Path, tiny_model: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(tiny_model, model)
    with indexed(tmp_path / "library", copy_samples(tmp_path / "photos"), model):
        pass
    shutil.rmtree(model)
    with pytest.raises(ModelError):
        Service(tmp_path / "library")
