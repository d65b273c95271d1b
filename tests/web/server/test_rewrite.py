"""The server below a path prefix: headers of proxies, redirects, cookies and forms."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from clipsight.web.server.app import create_app
from clipsight.web.server.auth import AccessPolicy
from clipsight.web.server.cancellation import RequestThreads
from clipsight.web.server.rewrite import is_prefix
from clipsight.web.service.service import Service

TOKEN = "a-token-of-some-length"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with Service(tmp_path / "library") as service:
        yield service


def _client(service: Service, root_path: str = "", *, peer: str = "127.0.0.1") -> TestClient:
    app = create_app(service, AccessPolicy(7860, TOKEN), RequestThreads(), page=False, root_path=root_path)
    return TestClient(app, base_url="http://localhost:7860", client=(peer, 50000), follow_redirects=False)


FORWARDED = {"X-Forwarded-Prefix": "/photos/", "X-Forwarded-For": "203.0.113.7", "X-Forwarded-Proto": "https"}


@pytest.mark.parametrize(("root_path", "headers"), [("/photos", {}), ("", FORWARDED)])
@pytest.mark.parametrize("kept", ["", "/photos"])
@pytest.mark.slow
def test_below_a_prefix_that_the_proxy_removes_or_keeps(
    service: Service, root_path: str, headers: dict[str, str], kept: str
) -> None:
    client = _client(service, root_path)
    assert client.get(f"{kept}/health", headers=headers).json() == {"ok": True}
    refused = client.get(f"{kept}/api/v1/status", headers=headers)
    assert refused.status_code == 401 and refused.headers["www-authenticate"] == "Bearer"
    assert 'action="/photos/login"' in client.get(f"{kept}/en/", headers=headers).text
    answer = client.get(f"{kept}/en/?token={TOKEN}&q=cat", headers=headers)
    assert answer.status_code == 303 and answer.headers["location"] == "/photos/en/?q=cat"
    assert "Path=/photos;" in answer.headers["set-cookie"]
    answer = _client(service, root_path).post(f"{kept}/login", data={"token": TOKEN}, headers=headers)
    assert answer.status_code == 303 and answer.headers["location"] == "/photos/"
    token = {"Authorization": f"Bearer {TOKEN}"}
    assert client.get(f"{kept}/api/v1/status", headers=headers | token).json()["photos"] == 0
    description = client.get(f"{kept}/api/v1/openapi.json", headers=headers | token).json()
    assert description["servers"] == [{"url": "/photos"}]
    slash = client.get(f"{kept}/api/v1/status/", headers=headers | token)
    assert slash.status_code == 307 and slash.headers["location"] == "/photos/api/v1/status"
    assert client.get("/photosx/health", headers=headers | token).status_code == 404


def test_the_prefix_without_a_slash_leads_to_the_page(service: Service) -> None:
    answer = _client(service, "/photos").get(f"/photos?token={TOKEN}")
    assert answer.status_code == 303 and answer.headers["location"] == "/photos/"


@pytest.mark.slow
def test_other_machines_can_not_set_a_prefix(service: Service) -> None:
    answer = _client(service, peer="192.168.1.9").get(f"/en/?token={TOKEN}", headers=FORWARDED)
    assert answer.headers["location"] == "/en/" and "Path=/;" in answer.headers["set-cookie"]
    answer = _client(service, "/fixed").get(f"/en/?token={TOKEN}", headers=FORWARDED)
    assert answer.headers["location"] == "/fixed/en/"


@pytest.mark.parametrize(
    "prefix", ["//evil.example", "/\\evil.example", "https://evil.example", "/a/../b", '/"x', "x"]
)
def test_a_prefix_that_is_no_path_is_refused(service: Service, prefix: str) -> None:
    answer = _client(service).get(f"/en/?token={TOKEN}", headers={"X-Forwarded-Prefix": prefix})
    assert answer.status_code == 400 and "location" not in answer.headers
    assert not is_prefix(prefix)


@pytest.mark.parametrize("path", ["//evil.example/", "/photos//evil.example", "/photos/\\evil.example"])
@pytest.mark.slow
def test_no_redirect_leads_elsewhere(service: Service, path: str) -> None:
    location = (
        _client(service, "/photos").get(f"http://localhost:7860{path}?token={TOKEN}").headers["location"]
    )
    assert location.startswith("/photos/")
