"""Searches by the text in photos over HTTP, stored here by hand."""

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from clipsight.core.text import TextLine
from clipsight.store.catalog import Catalog
from clipsight.store.text_index import put_text
from clipsight.web.client import remote
from clipsight.web.service.service import Service


@pytest.fixture
def read(service: Service) -> None:
    """The text of one photo."""
    catalog = Catalog(service.path)
    content = catalog.database.value("SELECT hash FROM photos WHERE name = ?", (b"cat.png",))
    put_text(catalog.database, content, [TextLine("AKAI MPK", 0.9, 0.1, 0.2, 0.3, 0.4)])
    catalog.close()
    service._current.refresh()


def paths(answer: dict[str, list[dict[str, str]]]) -> list[str]:
    return [Path(match["path"]).name for match in answer["matches"]]


@pytest.mark.slow
@pytest.mark.usefixtures("read")
def test_words_that_were_read(client: TestClient) -> None:
    found = client.get("/api/v1/search", params={"q": "akai mpk"}).json()
    assert paths(found)[0] == "cat.png" and found["matches"][0]["text"] == ["AKAI MPK"]
    assert "text" not in found["matches"][1]
    off = client.get("/api/v1/search", params={"q": "akai mpk", "text": "false"}).json()
    assert not any("text" in match for match in off["matches"])
    only = client.get("/api/v1/search", params={"q": "akai mpk", "text_only": "true"}).json()
    assert paths(only) == ["cat.png"]
    status = client.get("/api/v1/status").json()
    assert (status["text_read"], status["with_text"]) == (1, 1)


@pytest.mark.slow
@pytest.mark.usefixtures("read")
def test_the_operator_and_its_part(client: TestClient) -> None:
    found = client.get("/api/v1/search", params={"q": 'flower + text:"akai mpk"'}).json()
    assert paths(found)[0] == "cat.png"
    assert found["parts"] == [{"text": "flower", "weight": 1.0}, {"printed": "akai mpk", "weight": 1.0}]
    parts = client.post("/api/v1/search", json={"parts": found["parts"]}).json()
    assert parts["matches"] == found["matches"] and parts["query"] == found["query"]
    without = client.post("/api/v1/search", json={"query": 'cat - text:"akai"'}).json()
    assert "cat.png" not in paths(without)
    printed = client.get("/api/v1/search/printed", params={"q": 'text:"akai mpk"', "form": "csv"}).text
    assert ",AKAI MPK\n" in printed


@pytest.mark.slow
@pytest.mark.usefixtures("read")
def test_an_explanation_has_the_boxes(client: TestClient) -> None:
    id_ = client.get("/api/v1/search", params={"q": "akai", "text_only": "true"}).json()["matches"][0]["id"]
    found = client.post("/api/v1/explain", json={"query": 'text:"akai mpk"', "photo": id_}).json()
    assert found["text"] == [{"text": "AKAI MPK", "box": [0.1, 0.2, 0.3, 0.4]}]
    assert client.post("/api/v1/explain", json={"query": "cat", "photo": id_}).json()["text"] == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ({"query": "text:"}, 400),
        ({"query": 'text:""'}, 400),
        ({"query": "cat", "text_only": True}, 400),
        ({"query": "cat", "text_only": True, "text": False}, 400),
        ({"query": 'text:"akai"'}, 400),
        ({"parts": [{"printed": "?!"}]}, 422),
        ({"parts": [{"printed": "akai", "text": "cat"}]}, 422),
        ({"parts": [{"printed": "akai", "weight": -1}]}, 400),
    ],
)
def test_what_can_not_be_answered_is_refused(
    client: TestClient, request_: dict[str, object], status: int
) -> None:
    answer = client.post("/api/v1/search", json=request_)
    assert answer.status_code == status and answer.json()["detail"]


def test_a_match_of_another_server_is_read() -> None:
    found = {"path": "/a.jpg", "score": 0.5, "id": 1, "width": 1, "height": 1, "taken": None}
    assert remote._match({**found, "text": ["AKAI\x1b"]}).text == ("AKAI\\x1b",)
    assert remote._match(found).text == ()
