"""HTTP requests to servers that work, fail, or are not HTTP servers."""

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipsight.core.http import HttpError, Request, Response, ascii_url, send

OK = b"HTTP/1.1 200 OK\r\n"


def _whole_request(connection: socket.socket) -> bytes:
    """Head and body of one request."""
    with connection.makefile("rb") as lines:
        head = b"".join(iter(lines.readline, b"\r\n"))
        length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
        return head + b"\r\n" + lines.read(int(length[1]) if length else 0)


@contextmanager
def raw_server(*answers: bytes, keep_open: bool = False) -> Iterator[tuple[str, list[bytes]]]:
    """A server that sends these bytes, one answer a connection; its URL, and the requests it got."""
    requests: list[bytes] = []
    done = threading.Event()
    with closing(socket.create_server(("127.0.0.1", 0))) as server:

        def serve() -> None:
            for answer in answers:
                connection, _ = server.accept()
                with closing(connection):
                    requests.append(_whole_request(connection))
                    connection.sendall(answer)
                    if keep_open:
                        done.wait(30)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}", requests
        done.set()


def fault(request: Request) -> str:
    with pytest.raises(HttpError) as caught:
        send(request)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_complete_response() -> None:
    with raw_server(OK + b"Content-Type: Image/PNG; x=y\r\nContent-Length: 3\r\n\r\nabc") as (url, requests):
        answer = send(Request(f"{url}/my photo é.jpg?q=a b", headers={"Accept": "image/*"}))
    assert (answer.status, answer.body, answer.content_type) == (200, b"abc", "image/png")
    assert requests[0].startswith(b"GET /my%20photo%20%C3%A9.jpg?q=a%20b HTTP/1.1\r\n")
    assert b"Accept: image/*\r\n" in requests[0]


def test_an_error_status_is_a_response() -> None:
    with raw_server(b"HTTP/1.1 404 No\r\nContent-Length: 4\r\n\r\ngone") as (url, _):
        assert send(Request(url)) == Response(404, "No", {"content-length": "4"}, b"gone")


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"SSH-2.0-OpenSSH\r\n", "not HTTP"),
        (b"", "not HTTP|reset|without response"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nabc", "not HTTP"),
        (OK + b"Content-Length: 900\r\n\r\nabc", "cut short, after 3 of 900"),
        (OK + b"Content-Length: 2000\r\n\r\n", "larger than 1,000"),
        (OK + b"\r\n" + bytes(5000), "larger than 1,000"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://[x\r\n\r\n", "."),
    ],
)
def test_every_error_is_one_line(raw: bytes, reason: str) -> None:
    with raw_server(raw) as (url, _):
        assert re.search(reason, fault(Request(url, max_bytes=1000)))


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://127.0.0.1:abc/x.jpg", "port"),
        ("http://127.0.0.1:79 11/", "port"),
        ("http:///x", "not an http"),
        ("ftp://host/x", "not an http"),
        ("http://[broken/x", ""),
        ("http://a b/", "blank"),
    ],
)
def test_a_url_that_can_not_be_used(url: str, reason: str) -> None:
    assert reason in fault(Request(url))


def test_a_slow_server_times_out() -> None:
    with raw_server(OK, keep_open=True) as (url, _):
        assert "no answer" in fault(Request(url, timeout=0.2))


def test_redirects() -> None:
    with raw_server(OK + b"Content-Length: 2\r\n\r\nok") as (target, seen):
        moved = f"HTTP/1.1 301 Moved\r\nLocation: {target}/there\r\n\r\n".encode()
        with raw_server(moved) as (url, _):
            assert send(Request(url)).body == b"ok"
    assert seen[0].startswith(b"GET /there ")


def test_a_redirect_to_a_file_is_not_followed() -> None:
    with raw_server(b"HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\n\r\n") as (url, _):
        answer = send(Request(url))
    assert answer.status == 302 and not answer.body


@pytest.mark.parametrize("request_", [{"data": b"{}"}, {"headers": {"Authorization": "Bearer x"}}])
def test_credentials_and_bodies_are_not_sent_to_another_origin(request_: dict[str, object]) -> None:
    moved = b"HTTP/1.1 307 Moved\r\nLocation: http://127.0.0.1:9/there\r\n\r\n"
    with raw_server(moved) as (url, _):
        assert "redirects to http://127.0.0.1:9/there" in fault(Request(url, **request_))  # type: ignore[arg-type]


@pytest.mark.parametrize("code", [307, 308])
def test_a_body_is_sent_again_after_307_and_308(code: int) -> None:
    here = f"HTTP/1.1 {code} Moved\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n".encode()
    with raw_server(here, OK + b"Content-Length: 2\r\n\r\nok") as (url, requests):
        assert send(Request(url, data=b"body")).body == b"ok"
    assert requests[1].startswith(b"POST /there ") and requests[1].endswith(b"body")


@given(st.text())
def test_any_text_is_a_url_in_ascii_or_refused(text: str) -> None:
    try:
        url = ascii_url(f"http://host/{text}")
    except ValueError:
        return
    assert url.isascii() and not any(character.isspace() for character in url)
    assert ascii_url(url) == url
