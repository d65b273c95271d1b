"""The HTTP API: its responses, and the requests and clients that it refuses."""

import base64
import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from clipsight import Library
from clipsight.web.service.service import Service
from tests.support import photo_files
from tests.support.properties import examples
from tests.support.samples import SAMPLES, copy_samples
from tests.support.scores import near_result
from tests.support.serving import client_of, id_of, indexed

TOKEN = "a-token-of-some-length"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("api")
    with indexed(folder / "library", copy_samples(folder / "photos"), tiny_model) as opened:
        yield opened


@pytest.fixture(scope="module")
def client(service: Service) -> TestClient:
    return client_of(service)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _sample(name: str) -> str:
    return _base64(SAMPLES[name].read_bytes())


# -- responses ---------------------------------------------------------------------------


@pytest.mark.slow
def test_a_search_answers_as_the_command_prints(client: TestClient, service: Service) -> None:
    with Library.open(service.path) as library:
        expected = library.search("flower + 2:bee", 3).to_dict()
    found = client.get("/api/v1/search", params={"q": "flower + 2:bee", "top": 3}).json()
    parts = [{"text": "flower", "weight": 1}, {"text": "bee", "weight": 2}]
    assert found == {**near_result(expected), "parts": parts, "notes": []}
    posted = {"parts": [{"text": "flower"}, {"text": "bee", "weight": 2}], "top": 3}
    assert client.post("/api/v1/search", json=posted).json() == near_result(found)


@pytest.mark.slow
def test_copies_are_shown_on_request(tmp_path: Path, tiny_model: Path) -> None:
    photos = copy_samples(tmp_path / "photos")
    shutil.copyfile(photos / "cat.png", photos / "a copy.png")
    with indexed(tmp_path / "library", photos, tiny_model) as service:
        client = client_of(service)
        found = client.get("/api/v1/search", params={"q": "cat"}).json()
        (cat,) = (match for match in found["matches"] if "copies" in match)
        assert cat["copies"] == [str(photos / "cat.png")] and cat["path"] == str(photos / "a copy.png")
        assert len(found["matches"]) == len(SAMPLES) and "1 copy of these photos" in found["notes"][0]
        for every in (
            client.get("/api/v1/search", params={"q": "cat", "duplicates": "true"}),
            client.post("/api/v1/search", json={"query": "cat", "duplicates": True}),
        ):
            assert len(every.json()["matches"]) == len(SAMPLES) + 1
        printed = client.get(
            "/api/v1/search/printed", params={"q": "cat", "duplicates": "true", "form": "paths"}
        )
        assert len(printed.text.partition("\n\n")[2].splitlines()) == len(SAMPLES) + 1


def test_a_search_by_an_upload_and_a_photo(client: TestClient, service: Service) -> None:
    cat = id_of(service, "cat.png")
    parts: list[dict[str, Any]] = [{"picture": _sample("cat.png"), "name": "mine.png"}]
    found = client.post("/api/v1/search", json={"parts": parts}).json()
    assert found["query"] == "mine.png" and found["matches"][0]["id"] == cat
    found = client.post("/api/v1/search", json={"parts": [*parts, {"photo": cat, "weight": -0.5}]}).json()
    assert cat not in [match["id"] for match in found["matches"]]


def test_photos_are_listed_without_a_query(client: TestClient, service: Service) -> None:
    found = client.get("/api/v1/photos", params={"top": 3}).json()
    assert found["total"] == len(SAMPLES) and len(found["photos"]) == 3
    rest = client.get("/api/v1/photos", params={"top": 100, "offset": 3}).json()["photos"]
    assert len({photo["id"] for photo in [*found["photos"], *rest]}) == len(SAMPLES)
    png = client.get("/api/v1/photos", params={"format": "png"}).json()
    assert png["total"] == sum(name.endswith(".png") for name in SAMPLES)
    small = client.post("/api/v1/search", json={"query": "cat", "formats": ["png"], "max_width": 1}).json()
    assert small["matches"] == []
    assert "PNG" in client.get("/api/v1/filters").json()["formats"]


def test_an_upload_is_named_by_its_id(client: TestClient, service: Service) -> None:
    sent = client.post("/api/v1/uploads", json={"picture": _sample("cat.png"), "name": "mine.png"})
    id_ = sent.json()["id"]
    assert sent.status_code == 201
    found = client.post("/api/v1/search", json={"query": "cat", "parts": [{"upload": id_}]}).json()
    assert found["matches"][0]["id"] == id_of(service, "cat.png")
    assert found["parts"] == [
        {"text": "cat", "weight": 1},
        {"upload": id_, "name": "picture", "weight": 1},
    ]
    shown = client.get(f"/api/v1/uploads/{id_}/thumbnail", params={"size": 160})
    assert shown.headers["content-type"] == "image/jpeg"
    body = {"labels": ["cat", "rocket"], "uploads": [{"upload": id_, "name": "mine.png"}]}
    assert client.post("/api/v1/classify", json=body).json()["photos"][0]["path"] == "mine.png"
    assert client.post("/api/v1/explain", json={"query": "cat", "upload": id_}).status_code == 200
    unknown = client.post("/api/v1/search", json={"parts": [{"upload": "0" * 32}]})
    assert unknown.status_code == 404 and unknown.json()["code"] == "not_found"


def test_a_folder_is_forgotten_and_its_files_stay(tmp_path: Path, tiny_model: Path) -> None:
    photos = copy_samples(tmp_path / "photos")
    with indexed(tmp_path / "library", photos, tiny_model) as service:
        client = client_of(service)
        (folder,) = client.get("/api/v1/folders").json()
        assert client.delete("/api/v1/folders/nothing").status_code == 404
        assert client.delete(f"/api/v1/folders/{folder['id']}").json() == {"photos": len(SAMPLES)}
        assert client.get("/api/v1/photos").json()["total"] == 0
        assert len(list(photos.iterdir())) == len(SAMPLES)


def test_the_command_line_prints_the_servers_response(client: TestClient, service: Service) -> None:
    printed = client.get("/api/v1/search/printed", params={"q": "cat", "form": "json", "top": 2}).text
    notes, _, out = printed.partition("\n\n")
    with Library.open(service.path) as library:
        assert json.loads(out) == library.search("cat", 2).to_dict()
    assert notes.startswith("answered by")


def test_classification(client: TestClient, service: Service) -> None:
    body = {
        "labels": ["cat", "rocket", "dog"],
        "photos": [id_of(service, "cat.png")],
        "pictures": [{"picture": _sample("rocket.jpg"), "name": "mine.jpg"}],
        "top": 2,
    }
    found = client.post("/api/v1/classify", json=body).json()
    assert len(found["photos"]) == 2 and found["photos"][0]["path"] == "mine.jpg"
    for photo in found["photos"]:
        first, second = (each["probability"] for each in photo["labels"])
        assert first >= second
    everything = client.post("/api/v1/classify", json={"labels": ["cat", "dog"], "everything": True}).json()
    assert len(everything["photos"]) == len(SAMPLES)


def test_an_explanation(client: TestClient, service: Service) -> None:
    body = {"query": "a cat", "photo": id_of(service, "cat.png")}
    found = client.post("/api/v1/explain", json=body).json()
    assert [word["word"] for word in found["words"]] == ["a", "cat"] and found["region"]["heat"]


def test_embeddings_in_both_shapes(client: TestClient, service: Service) -> None:
    expected = service.embed_texts(["a cat"])[0]
    found = client.post(
        "/api/v1/embed", json={"texts": ["a cat"], "pictures": [{"picture": _sample("cat.png")}]}
    )
    assert np.allclose(found.json()["vectors"][0], expected, atol=1e-6) and len(found.json()["vectors"]) == 2
    body: dict[str, Any] = {"input": "a cat", "model": service.library.model}
    answer = client.post("/v1/embeddings", json=body).json()
    assert answer["object"] == "list" and np.allclose(answer["data"][0]["embedding"], expected, atol=1e-6)
    assert answer["usage"]["prompt_tokens"] == answer["usage"]["total_tokens"] == 4
    packed = client.post(
        "/v1/embeddings", json={**body, "input": ["x", "a cat"], "encoding_format": "base64"}
    )
    second = np.frombuffer(base64.b64decode(packed.json()["data"][1]["embedding"]), "<f4")
    assert np.allclose(second, expected, atol=1e-6)
    assert client.post("/v1/embeddings", json={**body, "model": "text-embedding-3-small"}).status_code == 404


def test_photos(client: TestClient, service: Service) -> None:
    rocket = id_of(service, "rocket.jpg")
    photo = client.get(f"/api/v1/photos/{rocket}").json()
    assert photo["path"].endswith("rocket.jpg") and photo["latitude"] is None
    thumbnail = client.get(f"/api/v1/photos/{rocket}/thumbnail?size=100")
    assert thumbnail.headers["content-type"] == "image/jpeg" and thumbnail.content[:2] == b"\xff\xd8"
    tag = thumbnail.headers["etag"]
    again = client.get(f"/api/v1/photos/{rocket}/thumbnail?size=100", headers={"If-None-Match": tag})
    assert again.status_code == 304 and not again.content
    file = client.get(f"/api/v1/photos/{rocket}/file")
    assert file.headers["content-disposition"] == "inline; filename*=UTF-8''rocket.jpg"
    original = client.get(f"/api/v1/photos/{rocket}/file?original=true")
    assert original.content == SAMPLES["rocket.jpg"].read_bytes()
    assert original.headers["content-disposition"].startswith("attachment")


@pytest.mark.slow
def test_head_is_get_without_the_body(client: TestClient, service: Service) -> None:
    rocket = id_of(service, "rocket.jpg")
    description = client.get("/api/v1/openapi.json").json()["paths"]
    paths = [path for path, methods in description.items() if "get" in methods]
    assert len(paths) > 15
    for path in (*paths, "/api/v1/openapi.json"):
        path = path.replace("/photos/{id}", f"/photos/{rocket}") + ("?q=cat" if "/search" in path else "")
        head, got = client.head(path), client.get(path)
        assert (head.status_code, head.content) == (got.status_code, b""), path
        assert head.headers["content-type"] == got.headers["content-type"]
        if path != "/metrics":
            assert head.headers["content-length"] == got.headers["content-length"]
    assert client.head("/api/v1/embed").status_code == 405
    assert 'method="HEAD",route="/api/v1/photos/{id}/file",status="200"' in client.get("/metrics").text


@pytest.mark.parametrize("original", ["", "?original=true"])
@pytest.mark.slow
def test_a_file_can_be_fetched_in_ranges(client: TestClient, service: Service, original: str) -> None:
    path = f"/api/v1/photos/{id_of(service, 'rocket.jpg')}/file{original}"
    whole = client.get(path)
    data, size, tag = whole.content, len(whole.content), whole.headers["etag"]
    assert whole.status_code == 200 and whole.headers["accept-ranges"] == "bytes"
    for header, first, stop in (
        ("bytes=0-99", 0, 100),
        ("bytes=100-", 100, size),
        ("bytes=-100", size - 100, size),
        (f"bytes=-{size * 2}", 0, size),
        (f"BYTES={size - 1}-{size * 2}", size - 1, size),
    ):
        part = client.get(path, headers={"Range": header, "If-Range": tag})
        assert part.status_code == 206 and part.content == data[first:stop], header
        assert part.headers["content-range"] == f"bytes {first}-{stop - 1}/{size}"
        assert part.headers["content-length"] == str(stop - first) and part.headers["etag"] == tag
        assert part.headers["content-disposition"] == whole.headers["content-disposition"]
    for header in (f"bytes={size}-", f"bytes={'9' * 30}-", "bytes=-0"):
        refused = client.get(path, headers={"Range": header})
        assert refused.status_code == 416 and refused.headers["content-range"] == f"bytes */{size}"
    for header in ("bytes=5-2", "bytes=-", "bytes=a-b", "lines=0-1", "bytes=0-1,5-9", "bytes"):
        assert client.get(path, headers={"Range": header}).content == data
    for changed in ('"another"', f"W/{tag}", "Sat, 29 Oct 1994 19:43:31 GMT"):
        assert client.get(path, headers={"Range": "bytes=0-9", "If-Range": changed}).content == data
    assert client.get(path, headers={"If-None-Match": f'"x", {tag}'}).status_code == 304
    head = client.head(path, headers={"Range": "bytes=0-9"})
    assert head.status_code == 200 and head.headers["content-length"] == str(size)


@pytest.mark.slow
def test_unknown_query_parameters_are_refused(client: TestClient, service: Service) -> None:
    rocket = id_of(service, "rocket.jpg")
    description = client.get("/api/v1/openapi.json").json()["paths"]
    for template, methods in description.items():
        if "get" not in methods:
            continue
        path = template.replace("/photos/{id}", f"/photos/{rocket}")
        query = {"q": "cat"} if "/search" in path else {}
        refused = client.get(path, params={**query, "no_such": "1"})
        assert refused.status_code == 422 and "query.no_such: unknown" in refused.json()["detail"], path
        for known in methods["get"].get("parameters", []):
            answer = client.get(path, params={**query, known["name"]: "1"})
            assert known["in"] != "query" or "unknown" not in answer.text
    for name in ("labels", "folders", "after", "taken", "limit"):
        assert client.get("/api/v1/search", params={"q": "x", name: "1"}).status_code == 422
    assert client.head(f"/api/v1/photos/{rocket}?lat=1").status_code == 422


def test_every_option_of_the_command_is_a_parameter_of_the_printed_search(client: TestClient) -> None:
    from clipsight.web.api.requests import CommandSearch
    from clipsight.web.client.search_options import FLAGS, OPTIONS

    sent = {"q", "width", "colour", *OPTIONS.values(), *(name for name, _ in FLAGS.values())}
    assert sent - {"library", "server"} <= set(CommandSearch.model_fields)


def test_the_library(client: TestClient, service: Service) -> None:
    assert client.get("/api/v1/status").json()["photos"] == len(SAMPLES)
    (folder,) = client.get("/api/v1/folders").json()
    assert client.get("/api/v1/roots").json()[0]["id"] == folder["id"]
    assert client.get(f"/api/v1/roots/{folder['id']}/folders").json() == []
    assert client.get("/api/v1/search", params={"q": "x", "folder": folder["id"]}).json()["matches"]
    assert client.get("/api/v1/failures").json() == client.get("/api/v1/partial").json() == []
    assert client.get("/api/v1/labels").status_code == 200
    assert "builtin" in [model["name"] for model in client.get("/api/v1/models").json()]


@pytest.mark.slow
def test_partial_photos(tmp_path: Path, tiny_model: Path) -> None:
    photos = copy_samples(tmp_path / "photos")
    (photos / "cut.jpg").write_bytes((photos / "rocket.jpg").read_bytes()[:60_000])
    with indexed(tmp_path / "library", photos, tiny_model) as service, client_of(service) as client:
        assert client.get("/api/v1/status").json()["partial"] == 1
        (partial,) = client.get("/api/v1/partial").json()
        reason = "truncated JPEG: the file ends before its picture does"
        assert partial == {"path": str(photos / "cut.jpg"), "reason": reason}
        assert client.get("/api/v1/partial?offset=1").json() == []
        assert client.get(f"/api/v1/photos/{id_of(service, 'cut.jpg')}").json()["partial"] == reason
        assert client.get(f"/api/v1/photos/{id_of(service, 'cat.png')}").json()["partial"] is None


@pytest.mark.process
def test_the_events_of_an_indexing_run(client: TestClient) -> None:
    job = client.post("/api/v1/index", json={}).json()
    assert client.post("/api/v1/index", json={}).status_code == 409
    with client.stream("GET", f"/api/v1/index/{job['id']}/events") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        events = [json.loads(line.removeprefix("data: ")) for line in stream.iter_lines() if line]
    assert events[0]["id"] == job["id"] and events[-1]["state"] == "done"
    assert client.get(f"/api/v1/index/{job['id']}").json() == events[-1]
    assert client.get("/api/v1/index").json()[0] == events[-1]
    assert client.delete(f"/api/v1/index/{job['id']}").json() == events[-1]


def test_health_and_metrics(client: TestClient, service: Service) -> None:
    assert client.get("/health").json() == {"ok": True}
    assert client.get("/api/v1/health").json()["model"] == service.library.model
    client.get("/api/v1/photos/999999")
    text = client.get("/metrics").text
    assert 'clipsight_requests_total{method="GET",route="/api/v1/photos/{id}",status="404"}' in text
    assert f"clipsight_photos {len(SAMPLES)}" in text and "clipsight_healthy 1" in text
    for line in text.splitlines():
        assert line.startswith("# ") or float(line.rpartition(" ")[2]) >= 0


@pytest.mark.slow
def test_health_fails_when_the_catalog_was_deleted(tmp_path: Path, tiny_model: Path) -> None:
    with indexed(tmp_path / "library", copy_samples(tmp_path / "photos"), tiny_model) as service:
        client = client_of(service)
        (service.path / "catalog.sqlite3").rename(tmp_path / "gone")
        assert client.get("/health").status_code == client.get("/api/v1/health").status_code == 503
        assert "clipsight_healthy 0" in client.get("/metrics").text


def test_a_library_without_a_model_says_what_to_do(tmp_path: Path) -> None:
    with Service(tmp_path / "library") as service:
        client = client_of(service)
        for answer in (
            client.get("/api/v1/search?q=cat"),
            client.post("/api/v1/embed", json={"texts": ["cat"]}),
            client.post("/v1/embeddings", json={"input": "cat"}),
            client.post("/api/v1/classify", json={"labels": ["a", "b"], "everything": True}),
        ):
            assert answer.status_code == 409 and "choose a folder to index" in answer.json()["detail"]
        assert client.get("/health").status_code == 200


# -- invalid requests ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/api/v1/search", None),
        ("GET", "/api/v1/search?q=cat&top=0", None),
        ("GET", "/api/v1/search?q=cat&top=100000", None),
        ("GET", "/api/v1/search?q=cat&min_score=nan", None),
        ("POST", "/api/v1/search", {}),
        ("POST", "/api/v1/search", {"parts": [{"upload": "../uploads"}]}),
        ("POST", "/api/v1/search", {"parts": [{"text": "x", "photo": 1}]}),
        ("POST", "/api/v1/search", {"parts": [{"weight": 1}]}),
        ("POST", "/api/v1/search", {"parts": [{"photo": 2**63}]}),
        ("POST", "/api/v1/search", {"parts": [{"photo": "../1"}]}),
        ("POST", "/api/v1/search", {"parts": [{"path": "/etc/passwd"}]}),
        ("POST", "/api/v1/search", {"parts": [{"picture": "file:///etc/passwd"}]}),
        ("POST", "/api/v1/search", {"query": "\ud800"}),
        ("POST", "/api/v1/classify", {"labels": ["a", "b"]}),
        ("POST", "/api/v1/classify", {"labels": ["a", "b"], "everything": True, "templates": "/etc/passwd"}),
        ("POST", "/api/v1/explain", {"query": "x"}),
        ("POST", "/api/v1/index", {"folders": ["/etc"], "path": "/etc"}),
        ("GET", "/api/v1/photos/0", None),
        ("GET", "/api/v1/photos/99999999999999999999", None),
        ("GET", "/api/v1/photos/1/thumbnail?size=100000", None),
    ],
)
def test_invalid_requests_are_reported_without_their_content(
    client: TestClient, method: str, path: str, body: object
) -> None:
    content = None if body is None else json.dumps(body)
    answer = client.request(method, path, content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422 and "passwd" not in answer.text


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/v1/search", {"query": "a + "}),
        ("/api/v1/search", {"query": "http://127.0.0.1:1/x.jpg"}),
        ("/api/v1/search", {"query": "x", "taken_from": "soon"}),
        ("/api/v1/search", {"query": "x", "labels": ["no such label"]}),
        ("/api/v1/search", {"parts": [{"text": "x"}, {"text": "x", "weight": -1}]}),
        ("/api/v1/classify", {"labels": ["a", "a"], "everything": True}),
        ("/api/v1/classify", {"labels": ["a", "b"], "everything": True, "extra_templates": ["no place"]}),
        ("/api/v1/index", {"model": "no-such-model"}),
    ],
)
def test_impossible_requests_are_reported(client: TestClient, path: str, body: object) -> None:
    answer = client.post(path, json=body)
    assert answer.status_code == 400 and len(answer.json()["detail"]) > 10


ESCAPES = (
    "%2e%2e",
    "../../etc/passwd",
    "/etc/passwd",
    "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "..%5c..%5cwindows",
    "%252e%252e%252f",
    "1/../../../../etc/passwd",
    "1%00.jpg",
    "file:%2f%2f%2fetc%2fpasswd",
    "....//....//etc/passwd",
    "1;/etc/passwd",
    "~root",
    "\N{FULLWIDTH FULL STOP}\N{FULLWIDTH FULL STOP}/etc",
)


@pytest.mark.parametrize(
    "place", ["/api/v1/photos/{}", "/api/v1/photos/{}/file", "/api/v1/photos/{}/thumbnail"]
)
@pytest.mark.parametrize("escape", ESCAPES)
def test_no_path_leads_out_through_a_photos_id(client: TestClient, place: str, escape: str) -> None:
    answer = client.get(place.format(escape))
    assert answer.status_code in (404, 422) and b"root:" not in answer.content


@pytest.mark.parametrize("escape", ESCAPES)
def test_no_path_leads_out_through_a_folders_id(client: TestClient, escape: str) -> None:
    assert client.get(f"/api/v1/roots/{escape}/folders").status_code in (404, 422)
    assert client.get("/api/v1/search", params={"q": "x", "folder": escape}).status_code in (404, 422)
    assert client.post("/api/v1/index", json={"folders": [escape]}).status_code in (404, 422)


@pytest.mark.slow
def test_a_symlink_in_place_of_a_photo_is_not_followed(tmp_path: Path, tiny_model: Path) -> None:
    secret = tmp_path / "secret.png"
    secret.write_bytes(SAMPLES["coffee.png"].read_bytes())
    with indexed(tmp_path / "library", copy_samples(tmp_path / "photos"), tiny_model) as service:
        client, cat = client_of(service), id_of(service, "cat.png")
        (tmp_path / "photos" / "cat.png").unlink()
        (tmp_path / "photos" / "cat.png").symlink_to(secret)
        for kind in ("file", "file?original=true", "thumbnail"):
            answer = client.get(f"/api/v1/photos/{cat}/{kind}")
            assert answer.status_code == 404 and "index its folder again" in answer.json()["detail"]


# -- uploads ---------------------------------------------------------------------------------

FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "HEIF")
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
POLYGLOTS = {
    "svg": SVG,
    "svgz": __import__("gzip").compress(SVG),
    "html": b"<!doctype html><script>alert(1)</script>",
    "svg with a name of a picture": b"\xef\xbb\xbf" + SVG,
    "zip": b"PK\x03\x04" + b"\0" * 100,
    "pdf": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n",
    "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/etc/passwd) run\n",
    "gif that is script": b"GIF89a/*" + b"*/=1;alert(1)//",
    "head of a jpeg, then html": b"\xff\xd8\xff\xe0" + b"<script>alert(1)</script>" * 9,
    "mvg": b"push graphic-context\nimage over 0,0 0,0 'url(http://127.0.0.1/)'\n",
    "empty": b"",
}


def _upload(client: TestClient, data: bytes) -> int:
    return client.post("/api/v1/embed", json={"pictures": [{"picture": _base64(data)}]}).status_code


@pytest.mark.parametrize("name", POLYGLOTS)
def test_uploads_that_are_not_pictures_are_refused(client: TestClient, name: str) -> None:
    assert _upload(client, POLYGLOTS[name]) == 400


@pytest.mark.parametrize("format_", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"])
def test_bombs_are_refused(client: TestClient, format_: str) -> None:
    assert _upload(client, photo_files.bomb(format_)) == 400


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.slow
def test_fuzzed_photos_are_answered(client: TestClient, format_: str) -> None:
    whole = photo_files.encode(format_)
    assert _upload(client, whole) == 200
    dice = random.Random(format_)
    for _ in range(12):
        damaged = bytearray(whole)
        for _ in range(dice.randint(1, 20)):
            damaged[dice.randrange(len(damaged))] = dice.randrange(256)
        assert _upload(client, bytes(damaged)) in (200, 400)
        assert _upload(client, whole[: dice.randrange(len(whole))]) in (200, 400)
    assert _upload(client, whole[: len(whole) // 20]) == 400  # of more, what is there may be used


@pytest.mark.slow
@examples(30)
@given(st.binary(max_size=300))
def test_anything_can_be_uploaded(client: TestClient, data: bytes) -> None:
    assert _upload(client, data) in (200, 400)


@pytest.mark.slow
def test_uploads_are_limited_in_bytes(client: TestClient) -> None:
    assert _upload(client, b"\xff\xd8\xff" + b"\0" * (33 << 20)) == 400
    assert client.post("/api/v1/embed", content=b" " * (49 << 20)).status_code == 413

    def endless() -> Iterator[bytes]:
        for _ in range(60):
            yield b" " * (1 << 20)

    streamed = client.post("/api/v1/embed", content=endless(), headers={"Content-Type": "application/json"})
    assert streamed.status_code == 413


# -- clients that are refused ---------------------------------------------------------------------


def test_dns_rebinding_is_refused(client: TestClient) -> None:
    answer = client.get("/api/v1/status", headers={"Host": "evil.example:7860"})
    assert answer.status_code == 421 and "photos" not in answer.json()


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:9999"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
    ],
)
def test_pages_of_other_sites_are_refused(client: TestClient, headers: dict[str, str]) -> None:
    for method, path in (
        ("POST", "/api/v1/index"),
        ("GET", "/api/v1/photos/1/thumbnail"),
        ("DELETE", "/api/v1/index/1"),
    ):
        answer = client.request(method, path, headers=headers)
        assert answer.status_code == 403 and "access-control-allow-origin" not in answer.headers
    preflight = client.options("/api/v1/search", headers={**headers, "Access-Control-Request-Method": "POST"})
    assert preflight.status_code == 403


def test_a_form_can_not_post_json(client: TestClient) -> None:
    answer = client.post("/api/v1/index", content=b"{}", headers={"Content-Type": "text/plain"})
    assert answer.status_code == 422


@pytest.mark.parametrize(
    "path", ["/api/v1/search?q=cat", "/api/v1/photos/1/file", "/metrics", "/api/v1/openapi.json"]
)
def test_the_token_is_required(service: Service, path: str) -> None:
    client = client_of(service, TOKEN)
    refused = client.get(path)
    assert refused.status_code == 401 and refused.headers["www-authenticate"] == "Bearer"
    assert client.get(path, headers={"Authorization": "Bearer wrong-token-of-length"}).status_code == 401
    assert client.get(path, headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
    assert client.get("/health").json() == {"ok": True}


@pytest.mark.slow
def test_the_pages_link_gives_a_cookie_that_opens_the_api(service: Service) -> None:
    client = client_of(service, TOKEN)
    form = client.get("/", headers={"Sec-Fetch-Site": "none"})
    assert form.status_code == 401 and "<form" in form.text
    assert client.get("/?token=wrong", follow_redirects=False).status_code == 401
    answer = client.get(f"/en/?token={TOKEN}&q=cat", follow_redirects=False)
    assert answer.status_code == 303 and answer.headers["location"] == "/en/?q=cat"
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=lax" in cookie and "Path=/" in cookie and TOKEN not in cookie
    assert client.get("/api/v1/status").status_code == 200  # with the cookie that it has now


def test_the_form_gives_the_cookie_too(service: Service) -> None:
    client = client_of(service, TOKEN)
    assert client.post("/login", data={"token": "wrong"}, follow_redirects=False).status_code == 401
    answer = client.post("/login", data={"token": TOKEN}, follow_redirects=False)
    assert answer.status_code == 303 and answer.headers["location"] == "/"
    assert client.get("/api/v1/status").status_code == 200


@pytest.mark.slow
def test_no_redirect_leads_elsewhere(service: Service) -> None:
    for path in ("//evil.example/", "///evil.example", "/\\evil.example"):
        answer = client_of(service, TOKEN).get(
            f"http://localhost:7860{path}?token={TOKEN}", follow_redirects=False
        )
        location = answer.headers["location"]
        assert location.startswith("/") and not location.startswith(("//", "/\\"))


def test_every_response_has_the_security_headers(client: TestClient) -> None:
    for path in ("/api/v1/status", "/api/v1/photos/1/thumbnail", "/nowhere", "/api/v1/search", "/health"):
        headers = client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff" and headers["x-frame-options"] == "DENY"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["cross-origin-resource-policy"] == "same-origin" and "server" not in headers


def test_nothing_in_the_description_is_loaded_from_elsewhere(client: TestClient) -> None:
    assert client.get("/docs").status_code == client.get("/redoc").status_code == 404
    description = client.get("/api/v1/openapi.json").json()
    assert description["info"]["title"] == "clipsight" and len(description["paths"]) > 20
