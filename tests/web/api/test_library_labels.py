"""Labels that are given by hand."""

from typing import Any

import pytest
from starlette.testclient import TestClient

from clipsight.web.service.service import Service
from tests.support.serving import id_of

pytestmark = pytest.mark.slow


def _post(client: TestClient, action: str, **body: Any) -> Any:
    answer = client.post(f"/api/v1/labels/{action}", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()["photos"]


def test_labels_are_given_beside_others_and_taken_again(client: TestClient, service: Service) -> None:
    cat, rocket = id_of(service, "cat.png"), id_of(service, "rocket.jpg")
    assert _post(client, "give", label="  at   home ", photos=[cat, rocket, cat, 10**6]) == 2
    assert _post(client, "give", label="at home", photos=[cat]) == 0
    assert _post(client, "give", label="pet", photos=[cat]) == 1
    assert client.get(f"/api/v1/photos/{cat}").json()["labels"] == ["at home", "pet"]
    assert client.get("/api/v1/labels").json() == [
        {"label": "at home", "photos": 2},
        {"label": "pet", "photos": 1},
    ]
    found = client.get("/api/v1/photos", params={"label": "at home"}).json()
    assert {photo["id"] for photo in found["photos"]} == {cat, rocket}
    assert _post(client, "take", label="at home", photos=[cat, cat]) == 1
    assert _post(client, "take", label="at home", photos=[cat]) == 0
    assert client.get(f"/api/v1/photos/{cat}").json()["labels"] == ["pet"]


def test_a_label_of_a_classification_can_be_taken_away(client: TestClient, service: Service) -> None:
    photos = [id_of(service, "cat.png")]
    body = {"labels": ["a", "b"], "photos": photos, "keep": True}
    (given,) = client.post("/api/v1/classify", json=body).json()["photos"][0]["labels"][:1]
    assert client.get(f"/api/v1/photos/{photos[0]}").json()["labels"] == [given["label"]]
    assert _post(client, "give", label=given["label"], photos=photos) == 0  # it has it already
    assert _post(client, "take", label=given["label"], photos=photos) == 1
    assert client.get(f"/api/v1/photos/{photos[0]}").json()["labels"] == []


def test_both_forms_of_a_letter_are_one_label(client: TestClient, service: Service) -> None:
    photos = [id_of(service, "cat.png")]
    assert _post(client, "give", label="cafe\u0301", photos=photos) == 1
    assert client.get(f"/api/v1/photos/{photos[0]}").json()["labels"] == ["caf\u00e9"]
    assert _post(client, "take", label="caf\u00e9", photos=photos) == 1


@pytest.mark.parametrize(
    "body", [{"label": " \n ", "photos": [1]}, {"label": "x", "photos": []}, {"label": "x"}]
)
def test_a_label_needs_a_name_and_photos(client: TestClient, body: dict[str, Any]) -> None:
    for action in ("give", "take"):
        assert client.post(f"/api/v1/labels/{action}", json=body).status_code == 422
