"""The routes of Gradio that can be reached: a real server, and raw requests."""

import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

pytest.importorskip("gradio", reason="the page needs clipsight[web]")

from tests.support.browser import serving

pytestmark = pytest.mark.slow  # importing Gradio takes seconds

SECRET = "the secret of this test"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    folder = tmp_path_factory.mktemp("server")
    (folder / "secret.txt").write_text(SECRET)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CLIPSIGHT_HOME", str(folder / "home"))
        patch.setenv("GRADIO_TEMP_DIR", str(folder / "gradio"))
        patch.chdir(folder)  # Gradio would serve what lies here
        with serving(folder / "library") as url:
            yield url, folder


def request(url: str, method: str, path: str, body: str | None = None) -> tuple[int, str]:
    """Status and body of the answer; the path is sent as it stands."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
    answer = connection.getresponse()
    try:
        return answer.status, answer.read().decode(errors="replace")
    finally:
        connection.close()


@pytest.mark.parametrize("place", ["en", "zh-Hant", "zh-Hans"])
def test_the_page_is_there_and_names_no_other_host(server: tuple[str, Path], place: str) -> None:
    status, text = request(server[0], "GET", f"/{place}/")
    assert status == 200
    assert "fonts.googleapis" not in text and "cdnjs" not in text


def test_no_path_of_a_request_leads_to_a_file(server: tuple[str, Path]) -> None:
    url, folder = server
    secret = folder / "secret.txt"
    up = "../" * 12
    paths = [
        f"/en/gradio_api/file={secret}",
        "/en/gradio_api/file=secret.txt",
        f"/en/gradio_api/file%3D{secret}",
        f"/en//gradio_api/file={secret}",
        f"/en/./gradio_api/file={secret}",
        f"/en/assets/../gradio_api/file={secret}",
        f"/en/assets/%2e%2e/gradio_api/file={secret}",
        f"/en/gradio_api/file/{secret}",
        f"/en/gradio_api/proxy=file://{secret}",
        f"/en/assets/{up}{secret}",
        f"/en/static/{up.replace('/', '%2f')}{secret}",
        f"/en/static/{secret}",
        f"/page/{up}{secret}",
        f"/page/{secret}",
        f"/page/{up.replace('.', '%2e')}{secret}",
    ]
    for path in paths:
        status, text = request(url, "GET", path)
        assert status == 404, path
        assert SECRET not in text, path


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/en/gradio_api/upload"),
        ("GET", "/en/gradio_api/upload_progress?upload_id=1"),
        ("POST", "/en/gradio_api/component_server"),
        ("POST", "/en/gradio_api/process_recording"),
        ("POST", "/en/gradio_api/vibe-edit/"),
        ("POST", "/en/gradio_api/call/find"),
        ("POST", "/en/gradio_api/run/find"),
        ("POST", "/en/gradio_api/api/find"),
        ("POST", "/en/gradio_api/stream/1"),
        ("POST", "/en/gradio_api/queue/join"),
        ("GET", "/en/gradio_api/queue/data?session_hash=1"),
        ("GET", "/en/gradio_api/heartbeat/1"),
        ("GET", "/en/gradio_api/info"),
        ("GET", "/en/gradio_api/openapi.json"),
        ("GET", "/en/gradio_api/deep_link"),
        ("GET", "/en/?deep_link=../../secret"),
        ("GET", "/en/gradio_api/runs"),
        ("GET", "/en/gradio_api/custom_component/1/client/component/x.js"),
        ("GET", "/en/monitoring"),
        ("GET", "/en/login_check"),
        ("GET", "/en/docs"),
        ("GET", "/en/openapi.json"),
        ("PUT", "/en/"),
        ("DELETE", "/en/config"),
    ],
)
def test_other_routes_of_gradio_are_not_served(server: tuple[str, Path], method: str, path: str) -> None:
    status, _ = request(server[0], method, path, "{}" if method == "POST" else None)
    assert status in (404, 405)


def test_a_file_named_in_an_event_is_not_read(server: tuple[str, Path]) -> None:
    url, folder = server
    config = json.loads(request(url, "GET", "/en/config")[1])
    named = {"path": str(folder / "secret.txt"), "meta": {"_type": "gradio.FileData"}, "orig_name": "x"}
    assert len(config["dependencies"]) > 20
    for function in config["dependencies"]:
        for value in (named, [named]):
            event = {
                "data": [value] * max(1, len(function["inputs"])),
                "fn_index": function["id"],
                "session_hash": "s",
            }
            assert request(url, "POST", "/en/gradio_api/run/predict", json.dumps(event))[0] == 400
    event_data = {"data": [], "event_data": named, "fn_index": 0, "session_hash": "s"}
    assert SECRET not in request(url, "POST", "/en/gradio_api/run/predict", json.dumps(event_data))[1]
    assert [file for file in (folder / "gradio").rglob("*") if file.is_file()] == []


@pytest.mark.parametrize(
    "body",
    ["", "{", "[]", "7", "null", '{"data": 7}', '{"data": [{}]}', '{"data": [[[]]]}', "[" * 100_000],
)
def test_a_malformed_event_is_refused(server: tuple[str, Path], body: str) -> None:
    status, _ = request(server[0], "POST", "/en/gradio_api/run/predict", body or " ")
    assert status in (400, 422)


def test_the_root_below_a_prefix_redirects_below_it(server: tuple[str, Path]) -> None:
    connection = http.client.HTTPConnection(urlsplit(server[0]).netloc, timeout=30)
    for path in ("/", "/photos/", "/photos"):
        connection.request("GET", path, headers={"Accept-Language": "zh-TW", "X-Forwarded-Prefix": "/photos"})
        answer = connection.getresponse()
        answer.read()
        expected = "/photos/" if path == "/photos" else "/photos/zh-Hant/"
        assert (answer.status, answer.headers["location"]) == (307, expected)
    connection.close()


def test_the_root_redirects_to_the_language_of_the_browser(server: tuple[str, Path]) -> None:
    connection = http.client.HTTPConnection(urlsplit(server[0]).netloc, timeout=30)
    connection.request("GET", "/?q=cat", headers={"Accept-Language": "zh-TW,en;q=0.5"})
    answer = connection.getresponse()
    assert (answer.status, answer.headers["location"]) == (307, "zh-Hant/?q=cat")
    assert answer.headers["vary"] == "Accept-Language"
    connection.close()
