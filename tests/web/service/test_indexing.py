"""Indexing runs of the server, and the searches that follow other processes."""

import shutil
from pathlib import Path

import pytest
from PIL import Image

from clipsight import Library
from clipsight.core.errors import (
    BusyError,
    LibraryError,
    ModelError,
    NoModelError,
    NotFoundError,
)
from clipsight.search.options import SearchOptions
from clipsight.web.service.payloads import Job
from clipsight.web.service.service import Service
from tests.support.samples import SAMPLES, copy_samples
from tests.support.serving import indexed
from tests.support.waiting import wait_until

_ALL = SearchOptions(top=100)


def _end_of(service: Service, job: Job) -> Job:
    wait_until(lambda: not service.indexing.get(job.id).running)
    return service.indexing.get(job.id)


@pytest.mark.process
def test_the_first_run_chooses_the_model_and_finds_the_photos(tmp_path: Path) -> None:
    copy_samples(tmp_path / "photos")
    with Service(tmp_path / "library", roots=[tmp_path]) as service:
        with pytest.raises(NoModelError):
            service.search("cat")
        with pytest.raises(LibraryError, match="choose one"):
            service.indexing.start()
        assert service.browse().total == 0
        assert service.library.health().ok and service.library.model is None
        (root,) = service.folders.roots
        photos = next(each for each in service.folders.children(root.id) if each.name == "photos")
        job = _end_of(service, service.indexing.start([photos.id]))
        assert job.state == "done" and job.embedded == len(SAMPLES) and job.model == "builtin"
        assert any("builtin" in note for note in job.notes)
        assert service.search("a cat")[0].path.name == "cat.png"  # at once, not some seconds later


@pytest.mark.process
def test_a_second_run_is_refused_and_one_can_be_stopped(own: Service, tmp_path: Path) -> None:
    for number in range(150):
        Image.effect_noise((64, 64), 50 + number / 10).save(tmp_path / "photos" / f"{number}.jpg")
    job = own.indexing.start()
    with pytest.raises(BusyError, match="under way"):
        own.indexing.start()
    own.indexing.stop(job.id)
    assert _end_of(own, job).state == "stopped"
    assert own.indexing.all()[0].state == "stopped"
    with pytest.raises(NotFoundError):
        own.indexing.get("no such run")


@pytest.mark.process
def test_a_run_that_is_stopped_twice_still_reports_its_end(own: Service, tmp_path: Path) -> None:
    for number in range(150):
        Image.effect_noise((64, 64), 50 + number / 10).save(tmp_path / "photos" / f"{number}.jpg")
    job = own.indexing.start()
    wait_until(lambda: own.indexing.get(job.id).scanned or not own.indexing.get(job.id).running)
    own.indexing.stop(job.id)
    own.indexing.close()
    assert own.indexing.get(job.id).error is None


@pytest.mark.slow
def test_what_another_process_has_indexed_is_found(own: Service, tmp_path: Path, tiny_model: Path) -> None:
    shutil.copyfile(SAMPLES["cat.png"], tmp_path / "photos" / "another.png")
    with Library.open(own.path) as library:
        library.index()
    wait_until(lambda: "another.png" in [match.path.name for match in own.search("x", _ALL)])


@pytest.mark.slow
def test_a_switch_of_the_model_is_followed_at_once(own: Service, tmp_path: Path) -> None:
    from tests.support.tiny_models import make_model_folder

    other = make_model_folder(tmp_path / "other", dim=16, seed=7, name="other")
    with Library.open(own.path, model=str(other)) as library:
        library.index()
    assert own.search("x", _ALL).model == "other" and len(own.search("x", _ALL)) == len(SAMPLES)
    assert own.embed_texts(["x"]).shape == (1, 16)


@pytest.mark.slow
def test_a_model_must_be_one_of_the_list(own: Service, tmp_path: Path) -> None:
    for name in ("no-such-model", str(tmp_path), "../..", "hf-hub:evil/model"):
        with pytest.raises(ModelError, match="choose one of the list"):
            own.indexing.start(model=name)


@pytest.mark.process
def test_closing_stops_indexing(tmp_path: Path, tiny_model: Path) -> None:
    photos = copy_samples(tmp_path / "photos")
    with indexed(tmp_path / "library", photos, tiny_model) as service:
        for number in range(150):
            Image.effect_noise((64, 64), 50 + number / 10).save(photos / f"{number}.jpg")
        job = service.indexing.start()
    assert service.indexing.get(job.id).state == "stopped"


@pytest.mark.process
def test_sample_photos_are_indexed_on_request(tmp_path: Path) -> None:
    with Service(tmp_path / "library", roots=[tmp_path]) as service:
        assert service.indexing.has_samples
        job = _end_of(service, service.indexing.start_samples())
        assert job.state == "done" and job.error is None
        names = {match.path.name for match in service.search("photo", _ALL)}
        assert {"astronaut.png", "china.jpg"} <= names and "phantom.png" not in names


@pytest.mark.process
def test_what_is_left_out_of_a_folder_can_be_changed(own: Service) -> None:
    (folder,) = own.library.folders()
    assert folder.exclude == ()
    for patterns, left in ((["*.jpg"], {".png"}), (None, {".png"}), ([], {".png", ".jpg"})):
        job = _end_of(own, own.indexing.start([folder.id], exclude=patterns))
        assert job.state == "done"
        assert {match.path.suffix for match in own.search("x", _ALL)} == left
    assert own.library.folders()[0].exclude == ()


def test_without_the_packages_there_are_no_sample_photos(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clipsight.indexing.sample_photos.find_spec", lambda name: None)
    with Service(tmp_path / "library") as service:
        assert not service.indexing.has_samples
        with pytest.raises(LibraryError, match="demo"):
            service.indexing.start_samples()


@pytest.mark.slow
def test_a_job_tells_of_the_text_that_is_read(own: Service) -> None:
    job = own.indexing.start()
    wait_until(lambda: not own.indexing.get(job.id).running)
    own.indexing._apply(job.id, {"read": 2, "to_read": 5})
    assert (own.indexing.get(job.id).done, own.indexing.get(job.id).total) == (2, 5)
