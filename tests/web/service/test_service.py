"""The service: the results of the library, for many threads, by ids, and always up to date."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clipsight import Library
from clipsight.core.errors import (
    LabelError,
    NotFoundError,
    QueryError,
    UploadError,
)
from clipsight.models.encoder import Cancelled
from clipsight.search.options import SearchOptions
from clipsight.store.filters import Filters
from clipsight.web.service.query_parts import PhotoPart, TextPart, UploadPart, parse_query
from clipsight.web.service.service import Service
from tests.support import photo_files
from tests.support.samples import SAMPLES
from tests.support.scores import near, near_result
from tests.support.serving import id_of

_ALL = SearchOptions(top=100)

QUERIES = ("a cat", "flower + 2:bee - cartoon", "0.5:red - rocket", "two dogs on a beach")


def _picture(name: str) -> UploadPart:
    return UploadPart(SAMPLES[name].read_bytes(), name)


@pytest.mark.parametrize("query", QUERIES)
def test_results_are_those_of_the_library(service: Service, query: str) -> None:
    with Library.open(service.path) as library:
        expected = near_result(library.search(query, 5).to_dict())
        assert service.search(query, SearchOptions(top=5)).to_dict() == expected
        expected = near_result(library.search(query, 3, offset=2, sort="path").to_dict())
        assert service.search(query, SearchOptions(top=3, offset=2, sort="path")).to_dict() == expected


@pytest.mark.slow
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


def test_words_never_name_a_file_or_a_url(service: Service, tmp_path: Path) -> None:
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


@pytest.mark.slow
def test_filters(own: Service, tmp_path: Path) -> None:
    (folder,) = own.library.folders()
    years = Counter((match.taken or "")[:4] for match in own.search("x", _ALL))
    assert len(own.search("x", _ALL, folders=[folder.id])) == len(SAMPLES)
    for year, count in years.items():
        assert len(own.search("x", _taken(year, str(int(year) + 1)))) == count
    assert not own.search("x", _taken(None, min(years)))
    list(own.classify(["cat", "rocket"], keep=True))
    counts = {each.label: each.photos for each in own.library.labels()}
    assert sum(counts.values()) == len(SAMPLES)
    for label, count in counts.items():
        chosen = _ALL.updated(labels=[label], filters=Filters(after=min(years)))
        assert len(own.search("x", chosen, folders=[folder.id])) == count
    with pytest.raises(LabelError, match="no photo has"):
        own.search("x", _ALL.updated(labels=["dog"]))
    with pytest.raises(NotFoundError):
        own.search("x", folders=[str(tmp_path / "photos")])


def test_sure_selects_the_same_photos_as_the_library(service: Service) -> None:
    with Library.open(service.path) as library:
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


def test_classification_is_the_librarys(service: Service) -> None:
    with Library.open(service.path) as library:
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
    with Library.open(service.path) as library:
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
