"""How the page's files are served: in the reader's language, compressed, and cached until they change."""

import gzip
import io
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from starlette.testclient import TestClient

from clipsight.web.page.files import PageFiles
from clipsight.web.page.languages import LANGUAGES, STATIC
from clipsight.web.server.app import create_app
from clipsight.web.server.auth import AccessPolicy
from clipsight.web.server.cancellation import RequestThreads
from clipsight.web.service.service import Service

TOKEN = "a-token-of-some-length"


def _client(service: Service, token: str | None = None, root_path: str = "") -> TestClient:
    app = create_app(service, AccessPolicy(7860, token), RequestThreads(), root_path=root_path)
    return TestClient(app, base_url="http://localhost:7860", follow_redirects=False)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with Service(tmp_path_factory.mktemp("page") / "library") as service:
        yield service


@pytest.mark.parametrize("path", ["/", "/classify", "/draw", "/library?q=cat"])
def test_every_view_is_the_page_in_the_readers_language(service: Service, path: str) -> None:
    answer = _client(service).get(path, headers={"Accept-Language": "zh-TW,en;q=0.5"})
    assert answer.status_code == 200 and answer.headers["content-type"] == "text/html; charset=utf-8"
    assert '<html lang="zh-Hant">' in answer.text and '<base href="/">' in answer.text
    assert "{" not in answer.text  # all is filled in
    assert {each.strip() for each in answer.headers["vary"].split(",")} >= {"Accept-Language", "Cookie"}


def test_a_language_that_was_chosen_comes_first(service: Service) -> None:
    client = _client(service)
    for chosen, shown in (("de", "de"), ("xx", "fr")):
        headers = {"Accept-Language": "fr", "Cookie": f"clipsight-language={chosen}"}
        assert f'<html lang="{shown}">' in client.get("/", headers=headers).text


def test_nothing_is_inline_and_nothing_comes_from_other_hosts(service: Service) -> None:
    client = _client(service)
    answer = client.get("/")
    policy = answer.headers["content-security-policy"]
    assert "unsafe" not in policy and "default-src 'none'" in policy and "http" not in policy
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\bstyle=|\bon\w+=|https?://", answer.text)


def test_files_are_compressed_and_kept_by_browsers_until_they_change(service: Service) -> None:
    client = _client(service)
    addresses = re.findall(r'(?:src|href)="(static/[^"]+)"', client.get("/").text)
    assert len(addresses) > 10
    for address in addresses:
        answer = client.get(f"/{address}")
        assert answer.status_code == 200, address
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert answer.headers["content-encoding"] == "gzip"
        again = client.get(f"/{address}", headers={"If-None-Match": answer.headers["etag"]})
        assert again.status_code == 304 and not again.content
        plain = client.get(f"/{address}", headers={"Accept-Encoding": "identity"})
        assert "content-encoding" not in plain.headers and plain.content == answer.content
    of_before = client.get(f"/static/0123456789abcdef/{addresses[0].split('/', 2)[2]}")
    assert of_before.status_code == 200 and of_before.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("path", ["nothing.js", "%2e%2e/page/files.py", "index.html", ""])
def test_no_other_file_is_served(service: Service, path: str) -> None:
    assert _client(service).get(f"/static/x/{path}").status_code == 404


def test_the_page_can_be_installed(service: Service) -> None:
    client = _client(service, root_path="/photos")
    manifest = client.get("/photos/manifest.webmanifest").json()
    for icon in manifest["icons"]:
        answer = client.get(f"/photos/{icon['src']}")
        assert answer.status_code == 200 and answer.headers["content-type"] == icon["type"]
        if icon["type"] == "image/png":
            side = Image.open(io.BytesIO(answer.content)).size
            assert icon["sizes"] == f"{side[0]}x{side[1]}"
    worker = client.get("/photos/share.js")  # takes what is shared; its place is the page's own, as its scope
    assert worker.headers["content-type"] == "text/javascript; charset=utf-8"
    assert manifest["share_target"]["action"] == "share" and manifest["share_target"]["method"] == "POST"


def test_the_page_is_light(service: Service) -> None:
    """The first load of any language is at most 100 kB."""
    files = [STATIC / "index.html", *STATIC.glob("*.js"), *STATIC.glob("*.css"), *STATIC.glob("vendor/*.js")]
    always = sum(len(gzip.compress(path.read_bytes(), 9)) for path in files)
    texts = max(len(gzip.compress((STATIC / f"locales/{code}.json").read_bytes(), 9)) for code in LANGUAGES)
    assert always + texts < 60_000


def test_below_a_prefix_all_addresses_are_below_it(service: Service) -> None:
    client = _client(service, root_path="/photos")
    assert '<base href="/photos/">' in client.get("/photos/").text
    answer = client.get("/photos/zh-Hans/?q=cat")
    assert answer.status_code == 308 and answer.headers["location"] == "/photos/?q=cat&lang=zh-Hans"


def test_addresses_of_earlier_versions_lead_to_the_page(service: Service) -> None:
    answer = _client(service).get("/en/?q=flower+%2B+2%3Abee")
    assert answer.status_code == 308 and answer.headers["location"] == "/?q=flower+%2B+2%3Abee&lang=en"


def test_the_version_is_of_all_files(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("{lang}")
    (tmp_path / "app.js").write_text("1")
    before = PageFiles(tmp_path).version
    assert PageFiles(tmp_path).version == before
    (tmp_path / "app.js").write_text("2")
    assert PageFiles(tmp_path).version != before


def test_the_description_of_the_api_is_served_from_here(service: Service) -> None:
    client = _client(service, root_path="/photos")
    answer = client.get("/photos/docs")
    assert answer.status_code == 200 and "unsafe" not in answer.headers["content-security-policy"]
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\bstyle=|https?://|\{", answer.text)
    addresses = re.findall(r'(?:src|href)="(static/[^"]+)"', answer.text)
    assert len(addresses) == 4
    assert all(client.get(f"/photos/{address}").status_code == 200 for address in addresses)


def test_the_description_of_the_api_is_behind_the_guard(service: Service) -> None:
    client = _client(service, TOKEN)
    assert client.get("/docs").status_code == 401 and "swagger" not in client.get("/docs").text
    assert client.get("/docs", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
    assert client.get("/docs", headers={"Host": "other.example"}).status_code == 421


def test_at_a_wrong_address_a_browser_gets_a_page_and_a_program_json(service: Service) -> None:
    browser = {"Accept": "text/html,application/xhtml+xml", "Accept-Language": "de"}
    client = _client(service, root_path="/photos")
    answer = client.get("/photos/nowhere", headers=browser)
    assert answer.status_code == 404 and answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "Hier ist nichts" in answer.text and 'href="/photos/"' in answer.text and "{" not in answer.text
    for path, headers in (("nowhere", {}), ("api/v1/nowhere", browser), ("v1/nowhere", browser)):
        found = client.get(f"/photos/{path}", headers=headers)
        assert found.status_code == 404 and found.json()["code"] == "not_found"
    assert client.post("/photos/nowhere", headers=browser).json()["code"] == "not_found"
