"""Files that are made on request."""

import io
import sqlite3
import zipfile
from pathlib import Path

from PIL import Image
from starlette.testclient import TestClient

from clipsight.web.service.service import Service
from tests.support.samples import SAMPLES
from tests.support.serving import id_of


def test_photos_in_a_zip_file(client: TestClient, service: Service, tmp_path: Path) -> None:
    cat, rocket = id_of(service, "cat.png"), id_of(service, "rocket.jpg")
    (tmp_path / "photos" / "rocket.jpg").unlink()
    answer = client.get("/api/v1/photos/zip", params={"id": [cat, rocket, cat]})
    assert answer.status_code == 200 and answer.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.namelist() == ["cat.png", "left out.txt"]
        assert archive.read("cat.png") == SAMPLES["cat.png"].read_bytes()
        assert f"photo {rocket}" in archive.read("left out.txt").decode()


def test_a_zip_file_of_nothing_or_too_much_is_refused(client: TestClient) -> None:
    for ids in ([], list(range(1, 502))):
        assert client.get("/api/v1/photos/zip", params={"id": ids}).status_code == 422


def test_photos_on_a_contact_sheet(client: TestClient, service: Service, tmp_path: Path) -> None:
    cat, rocket = id_of(service, "cat.png"), id_of(service, "rocket.jpg")

    def sheet(*ids: int) -> Image.Image:
        answer = client.get("/api/v1/photos/sheet", params={"id": ids, "title": "Pets <b> 寵物"})
        assert answer.status_code == 200 and answer.headers["content-type"] == "image/jpeg"
        return Image.open(io.BytesIO(answer.content))

    one, both = sheet(cat, cat), sheet(cat, rocket)
    assert len(one.convert("RGB").getcolors(one.width * one.height) or ()) > 1000
    (tmp_path / "photos" / "rocket.jpg").unlink()
    without = sheet(cat, rocket)
    assert without.size == both.size and without.tobytes() != both.tobytes()
    assert one.tobytes() != without.tobytes()  # its place is kept, with the reason


def test_a_contact_sheet_of_nothing_or_of_unknown_photos_is_refused(client: TestClient) -> None:
    for ids, status in (([], 422), (list(range(1, 502)), 422), ([999_999], 404)):
        assert client.get("/api/v1/photos/sheet", params={"id": ids}).status_code == status


def test_a_backup_is_the_catalog(client: TestClient, tmp_path: Path) -> None:
    answer = client.get("/api/v1/backup")
    assert answer.status_code == 200
    (tmp_path / "backup").write_bytes(answer.content)
    connection = sqlite3.connect(tmp_path / "backup")
    assert connection.execute("SELECT count(*) FROM photos").fetchone() == (len(SAMPLES),)
    connection.close()
