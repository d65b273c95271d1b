"""The service: the results of the library, for many threads, by ids, and always up to date."""

import shutil
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clipsight import Library
from clipsight.core.errors import (
    BusyError,
    LabelError,
    LibraryError,
    ModelError,
    NoModelError,
    NotFoundError,
    QueryError,
    UploadError,
)
from clipsight.models.encoder import Cancelled
from clipsight.search.options import SearchOptions
from clipsight.store.filters import Filters
from clipsight.web.service.payloads import Job
from clipsight.web.service.query_parts import PhotoPart, TextPart, UploadPart, parse_query
from clipsight.web.service.service import Service
from tests.support import photo_files
from tests.support.samples import SAMPLES, copy_samples
from tests.support.scores import near, near_result
from tests.support.serving import id_of, indexed
from tests.support.waiting import wait_until

_ALL = SearchOptions(top=100)

QUERIES = ("a cat", "flower + 2:bee - cartoon", "0.5:red - rocket", "two dogs on a beach")


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


def _picture(name: str) -> UploadPart:
    return UploadPart(SAMPLES[name].read_bytes(), name)


def _end_of(service: Service, job: Job) -> Job:
    return list(service.watch(job.id))[-1]


# -- searching ---------------------------------------------------------------------


@pytest.mark.parametrize("query", QUERIES)
def test_answers_are_those_of_the_library(service: Service, query: str) -> None:
    with Library.open(service.library) as library:
        expected = near_result(library.search(query, 5).to_dict())
        assert service.search(query, SearchOptions(top=5)).to_dict() == expected
        expected = near_result(library.search(query, 3, offset=2, sort="path").to_dict())
        assert service.search(query, SearchOptions(top=3, offset=2, sort="path")).to_dict() == expected


def test_many_threads_get_the_answers_that_one_would(service: Service) -> None:
    expected = {query: service.search(query).to_dicts() for query in QUERIES}
    with ThreadPoolExecutor(16) as pool:
        queries = list(QUERIES) * 10
        found = list(pool.map(lambda query: service.search(query).to_dicts(), queries))
    for query, each in zip(queries, found, strict=True):
        assert [match["id"] for match in each] == [match["id"] for match in expected[query]]
        assert [match["score"] for match in each] == pytest.approx(
            [match["score"] for match in expected[query]], abs=1e-5
        )


def test_an_upload_finds_its_own_photo_and_the_photo_finds_the_others(service: Service) -> None:
    cat = id_of(service, "cat.png")
    best = service.search([_picture("cat.png")])[0]
    assert best.id == cat and best.score > 0.99
    others = service.search([PhotoPart(cat)], _ALL)
    assert len(others) == len(SAMPLES) - 1 and cat not in [match.id for match in others]
    mixed = service.search([TextPart("a cat", 0.5), PhotoPart(cat, -1), _picture("rocket.jpg")], _ALL)
    assert str(mixed.query) == f"0.5:a cat - photo {cat} + rocket.jpg"


def test_words_are_never_a_path_or_an_address(service: Service, tmp_path: Path) -> None:
    for text in (str(SAMPLES["cat.png"]), "/etc/passwd", "cat.png", "~/x"):
        assert service.search(text).query == text
        assert parse_query(f"flower + 2:{text}") == (TextPart("flower"), TextPart(text, 2.0))
    for text in ("http://127.0.0.1:9/x.jpg", "cat - 2:HTTPS://example.org"):
        with pytest.raises(QueryError, match="fetches no addresses"):
            service.search(text)


@pytest.mark.parametrize("text", ["", "  ", "a + ", "two:bee", "+", "a - 2:"])
def test_invalid_queries_are_reported(service: Service, text: str) -> None:
    with pytest.raises(QueryError):
        service.search(text)


def _taken(after: str | None, before: str) -> SearchOptions:
    return _ALL.updated(filters=Filters(after=after, before=before))


def test_filters(own: Service, tmp_path: Path) -> None:
    (folder,) = own.folders()
    years = Counter((match.taken or "")[:4] for match in own.search("x", _ALL))
    assert len(own.search("x", _ALL, folders=[folder.id])) == len(SAMPLES)
    for year, count in years.items():
        assert len(own.search("x", _taken(year, str(int(year) + 1)))) == count
    assert not own.search("x", _taken(None, min(years)))
    list(own.classify(["cat", "rocket"], keep=True))
    counts = {each.label: each.photos for each in own.labels()}
    assert sum(counts.values()) == len(SAMPLES)
    for label, count in counts.items():
        chosen = _ALL.updated(labels=[label], filters=Filters(after=min(years)))
        assert len(own.search("x", chosen, folders=[folder.id])) == count
    with pytest.raises(LabelError, match="no photo has"):
        own.search("x", _ALL.updated(labels=["dog"]))
    with pytest.raises(NotFoundError):
        own.search("x", folders=[str(tmp_path / "photos")])


def test_sure_keeps_what_the_library_would(service: Service) -> None:
    with Library.open(service.library) as library:
        for query in QUERIES[:1]:
            expected = library.search(query, sure=True).to_dicts()
            assert service.search(query, SearchOptions(sure=True)).to_dicts() == near(expected)
    with pytest.raises(QueryError, match="words alone"):
        service.search([_picture("cat.png")], SearchOptions(sure=True))


def test_a_cancelled_call_raises(service: Service) -> None:
    stop = threading.Event()
    stop.set()
    for call in (
        lambda: service.search("cat", stop=stop),
        lambda: service.search([_picture("cat.png")], stop=stop),
        lambda: service.embed_texts(["cat"], stop=stop),
        lambda: list(service.classify(["cat", "dog"], stop=stop)),
        lambda: service.explain("a cat", id_of(service, "cat.png"), stop=stop),
    ):
        with pytest.raises(Cancelled):
            call()


# -- classifying, explaining, embedding ------------------------------------------------


def test_classification_is_the_librarys(service: Service) -> None:
    with Library.open(service.library) as library:
        expected = {each.id: each.probabilities for each in library.classify(["cat", "rocket", "dog"])}
    found = {each.id: each.probabilities for each in service.classify(["cat", "rocket", "dog"])}
    assert found.keys() == expected.keys()
    assert all(np.allclose(found[id_], expected[id_], atol=1e-5) for id_ in found)
    some = list(service.classify(["cat", "rocket", "dog"], photos=[3, 1], pictures=[_picture("cat.png")]))
    assert [each.id for each in some] == [0, 3, 1] and some[0].path == Path("cat.png")
    assert np.allclose(some[1].probabilities, expected[3], atol=1e-5)


def test_classification_refuses_files_for_templates(service: Service, tmp_path: Path) -> None:
    (tmp_path / "templates.txt").write_text("a photo of a {}.")
    with pytest.raises(LabelError, match="no templates"):
        service.classify(["cat", "dog"], templates=str(tmp_path / "templates.txt"))
    with pytest.raises(NotFoundError):
        service.classify(["cat", "dog"], photos=[10**9])


def test_explanations_are_the_librarys_and_name_no_temporary_file(service: Service) -> None:
    cat = id_of(service, "cat.png")
    found = service.explain("a red cat", cat)
    assert [word.word for word in found.words] == ["a", "red", "cat"]
    assert found.score == pytest.approx(service.search("a red cat", _ALL)[0].score, abs=1) and found.region
    joint = [TextPart("a cat"), PhotoPart(id_of(service, "rocket.jpg"), -0.5), _picture("coffee.png")]
    found = service.explain(joint, _picture("cat.png"))  # type: ignore[arg-type]
    assert [part.part for part in found.parts] == [
        "a cat",
        f"- photo {id_of(service, 'rocket.jpg')}",
        "coffee.png",
    ]
    assert found.photo == Path("cat.png") and "/" not in found.query and "/" not in found.region_of


def test_vectors_are_the_encoders(service: Service) -> None:
    with Library.open(service.library) as library:
        texts = [f"text {number}" for number in range(100)]
        assert np.allclose(service.embed_texts(texts), library.encoder.encode_texts(texts), atol=1e-5)
        image = Image.open(SAMPLES["cat.png"]).convert("RGB")
        expected = library.encoder.encode_images([image])
        assert np.allclose(service.embed_pictures([_picture("cat.png")]), expected, atol=1e-5)


@pytest.mark.parametrize("format_", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"])
def test_bombs_are_refused_before_they_are_decoded(service: Service, format_: str) -> None:
    with pytest.raises(UploadError):
        service.search([UploadPart(photo_files.bomb(format_))])


@pytest.mark.parametrize("data", [b"", b"text", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"\0" * 100])
def test_uploads_that_are_no_pictures_are_refused(service: Service, data: bytes) -> None:
    with pytest.raises(UploadError, match="can't use the picture"):
        service.embed_pictures([UploadPart(data)])


# -- photos -------------------------------------------------------------------------


def test_thumbnails_are_small_upright_and_kept(own: Service, tmp_path: Path) -> None:
    photo = id_of(own, "temple.jpg")
    for size, longest in ((1, 160), (320, 320), (321, 640), (5000, 640)):
        made = own.thumbnail(photo, size)
        with Image.open(BytesIO(made.data)) as image:
            assert image.format == "JPEG" and max(image.size) == longest
        assert own.thumbnail(photo, size) == made
    assert own.thumbnail(photo, 160).tag != own.thumbnail(photo, 320).tag


def test_coordinates_are_sent_only_if_requested(tmp_path: Path, tiny_model: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    place = {1: "N", 2: (47.0, 30.0, 0.0), 3: "E", 4: (8.0, 30.0, 0.0)}
    exif = photo_files.exif({0x010F: "SecretCamera"}, gps=place)
    for name, format_ in (("a.jpg", "JPEG"), ("b.png", "PNG"), ("c.webp", "WEBP")):
        Image.new("RGB", (64, 48), "red").save(photos / name, format_, exif=exif)
    with Library.open(tmp_path / "library", model=str(tiny_model)) as library:
        library.index(photos, gps=True)
    with Service(tmp_path / "library") as service:
        for name in ("a.jpg", "b.png", "c.webp"):
            photo = id_of(service, name)
            assert service.photo(photo).latitude is None
            assert service.photo(photo, location=True).latitude == pytest.approx(47.5)
            sent = (service.photo_file(photo).data, service.thumbnail(photo).data)
            for data in sent:
                with Image.open(BytesIO(data)) as image:
                    assert not image.getexif().get_ifd(0x8825) and b"Secret" not in data
            original = service.photo_file(photo, original=True)
            assert original.data == (photos / name).read_bytes() and original.name == name


def test_a_photo_whose_file_is_gone_or_changed_is_reported(own: Service, tmp_path: Path) -> None:
    cat, rocket, flower = (id_of(own, name) for name in ("cat.png", "rocket.jpg", "flower.jpg"))
    photos = tmp_path / "photos"
    (photos / "cat.png").unlink()
    secret = tmp_path / "secret.jpg"
    shutil.copyfile(SAMPLES["temple.jpg"], secret)
    (photos / "rocket.jpg").unlink()
    (photos / "rocket.jpg").symlink_to(secret)
    (photos / "flower.jpg").write_bytes(SAMPLES["flower.jpg"].read_bytes()[:-1] + b"x")
    for photo, why in ((cat, "moved or deleted"), (rocket, "changed"), (flower, "changed")):
        for call in (own.thumbnail, own.photo_file, lambda id_: own.photo_file(id_, original=True)):
            with pytest.raises(NotFoundError, match=why):
                call(photo)
    with pytest.raises(NotFoundError, match="search again"):
        own.photo(10**6)


def test_a_photo_that_became_a_pipe_does_not_hang(own: Service, tmp_path: Path) -> None:
    import os

    cat = id_of(own, "cat.png")
    (tmp_path / "photos" / "cat.png").unlink()
    os.mkfifo(tmp_path / "photos" / "cat.png")
    with pytest.raises(NotFoundError):
        own.thumbnail(cat)


# -- the library ----------------------------------------------------------------------


def test_what_the_library_holds(service: Service) -> None:
    (folder,) = service.folders()
    assert folder.photos == len(SAMPLES) and folder.id == service.roots()[0].id
    assert service.status().counts.present == len(SAMPLES)
    (failed,) = service.failures()
    assert failed.path.name == "broken.jpg" and failed.reason
    assert service.failures(offset=1) == []
    health = service.health()
    assert health.ok and health.photos == len(SAMPLES) and health.model == service.model


def test_health_fails_when_the_catalog_is_gone(own: Service) -> None:
    (own.library / "catalog.sqlite3").rename(own.library / "elsewhere")
    health = own.health()
    assert not health.ok and "is gone" in health.problems[0]


def test_health_fails_when_the_model_can_not_be_used(own: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ModelError("the model could not be run")

    with own._current.use() as reader:
        monkeypatch.setattr(reader.encoder, "check", fail)
    assert own.health().problems == ("the model could not be run",)


def test_a_library_whose_model_is_gone_does_not_open(tmp_path: Path, tiny_model: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(tiny_model, model)
    with indexed(tmp_path / "library", copy_samples(tmp_path / "photos"), model):
        pass
    shutil.rmtree(model)
    with pytest.raises(ModelError):
        Service(tmp_path / "library")


# -- indexing -------------------------------------------------------------------------


@pytest.mark.process
def test_the_first_run_chooses_the_model_and_finds_the_photos(tmp_path: Path) -> None:
    copy_samples(tmp_path / "photos")
    with Service(tmp_path / "library", roots=[tmp_path]) as service:
        with pytest.raises(NoModelError):
            service.search("cat")
        with pytest.raises(LibraryError, match="choose one"):
            service.start_index()
        assert service.health().ok and service.model is None
        photos = next(each for each in service.subfolders(service.roots()[0].id) if each.name == "photos")
        job = _end_of(service, service.start_index([photos.id]))
        assert job.state == "done" and job.embedded == len(SAMPLES) and job.model == "builtin"
        assert any("builtin" in note for note in job.notes)
        assert service.search("a cat")[0].path.name == "cat.png"  # at once, not some seconds later


@pytest.mark.process
def test_a_second_run_is_refused_and_one_can_be_stopped(own: Service, tmp_path: Path) -> None:
    for number in range(150):
        Image.effect_noise((64, 64), 50 + number / 10).save(tmp_path / "photos" / f"{number}.jpg")
    job = own.start_index()
    with pytest.raises(BusyError, match="under way"):
        own.start_index()
    own.stop_job(job.id)
    assert _end_of(own, job).state == "stopped"
    assert own.jobs()[0].state == "stopped"
    with pytest.raises(NotFoundError):
        own.job("no such run")


@pytest.mark.process
def test_a_run_that_is_stopped_twice_still_reports_its_end(own: Service, tmp_path: Path) -> None:
    for number in range(150):
        Image.effect_noise((64, 64), 50 + number / 10).save(tmp_path / "photos" / f"{number}.jpg")
    job = own.start_index()
    wait_until(lambda: own.job(job.id).scanned or not own.job(job.id).running)
    own.stop_job(job.id)
    own._jobs.close()
    assert own.job(job.id).error is None


def test_what_another_process_has_indexed_is_found(own: Service, tmp_path: Path, tiny_model: Path) -> None:
    shutil.copyfile(SAMPLES["cat.png"], tmp_path / "photos" / "another.png")
    with Library.open(own.library) as library:
        library.index()
    wait_until(lambda: "another.png" in [match.path.name for match in own.search("x", _ALL)])


def test_a_switch_of_the_model_is_followed_at_once(own: Service, tmp_path: Path) -> None:
    from tests.support.tiny_models import make_model_folder

    other = make_model_folder(tmp_path / "other", dim=16, seed=7, name="other")
    with Library.open(own.library, model=str(other)) as library:
        library.index()
    assert own.search("x", _ALL).model == "other" and len(own.search("x", _ALL)) == len(SAMPLES)
    assert own.embed_texts(["x"]).shape == (1, 16)


def test_a_model_must_be_one_of_the_list(own: Service, tmp_path: Path) -> None:
    for name in ("no-such-model", str(tmp_path), "../..", "hf-hub:evil/model"):
        with pytest.raises(ModelError, match="choose one of the list"):
            own.switch_model(name)


@pytest.mark.process
def test_closing_stops_indexing(tmp_path: Path, tiny_model: Path) -> None:
    photos = copy_samples(tmp_path / "photos")
    with indexed(tmp_path / "library", photos, tiny_model) as service:
        for number in range(150):
            Image.effect_noise((64, 64), 50 + number / 10).save(photos / f"{number}.jpg")
        job = service.start_index()
    assert service.job(job.id).state == "stopped"
