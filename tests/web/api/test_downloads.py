"""Files that are made on request."""

import io
import sqlite3
import zipfile
from pathlib import Path

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


def test_a_backup_is_the_catalog(client: TestClient, tmp_path: Path) -> None:
    answer = client.get("/api/v1/backup")
    assert answer.status_code == 200
    (tmp_path / "backup").write_bytes(answer.content)
    connection = sqlite3.connect(tmp_path / "backup")
    assert connection.execute("SELECT count(*) FROM photos").fetchone() == (len(SAMPLES),)
    connection.close()
