"""Query pictures from the web, against a real server on 127.0.0.1."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from clipsight import Library
from clipsight.core.errors import QueryError
from clipsight.indexing.media import fetch
from clipsight.indexing.media.fetch import fetch_picture


@pytest.fixture
def server(photos: Path) -> Iterator[str]:
    """The address of a server that serves the sample photos, a text, and a body longer than the limit."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name, kind = self.path.lstrip("/"), "image/jpeg"
            if name == "letter.jpg":
                body = b"Dear Sir or Madam"
            elif name == "endless.jpg":
                body = bytes(5000)
            elif name == "page.jpg":
                body, kind = b"<html>log in</html>", "text/html"
            elif (photos / name).is_file():
                body = (photos / name).read_bytes()
            else:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Keep the test's output clean."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        Thread(target=http.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()


def test_picture_from_the_web_is_a_query(server: str, library: Library, photos: Path) -> None:
    library.index(photos)
    found = library.search(f"{server}/flower.jpg", top=1)
    assert found[0].path.name == "flower.jpg"  # not left out: it is not the library's own file
    assert found[0].score == pytest.approx(1, abs=2e-3)
    with pytest.raises(QueryError, match="not an image"):
        library.search(f"{server}/letter.jpg")


def test_what_can_go_wrong_is_told(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(QueryError, match="sent text/html, not a picture"):
        fetch_picture(f"{server}/page.jpg")
    with pytest.raises(QueryError, match="404"):
        fetch_picture(f"{server}/nothing.jpg")
    monkeypatch.setattr(fetch, "MAX_BYTES", 4999)
    with pytest.raises(QueryError, match="larger than"):
        fetch_picture(f"{server}/endless.jpg")
    monkeypatch.setattr(fetch, "MAX_BYTES", 5000)
    assert len(fetch_picture(f"{server}/endless.jpg")) == 5000
    with pytest.raises(QueryError, match="can't fetch"):
        fetch_picture("http://127.0.0.1:1/closed.jpg")
    with pytest.raises(QueryError, match="can't fetch"):
        fetch_picture("http://[broken/address.jpg")
