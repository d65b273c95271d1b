"""HTTP requests with the standard library, limited in time and size; every failure is an `HttpError`."""

import http.client
import re
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import Message
from typing import IO, Any
from urllib.parse import quote, urlsplit, urlunsplit

_CHUNK = 1 << 16
_SAFE = "/%:=&?~#+!$,;'@()*[]"
"""Characters that stay as they are in a URL's path and query."""

_MAX_REDIRECTS = 5


class HttpError(Exception):
    """A request without a usable response; the message gives the reason."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request: GET, or POST if there is `data`."""

    url: str
    data: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    max_bytes: int = 64 << 20
    timeout: float = 20.0
    """seconds for the whole request: name lookup, connection, headers and body"""


@dataclass(frozen=True, slots=True)
class Response:
    """A response of any status, with its complete body."""

    status: int
    reason: str
    headers: Mapping[str, str]
    """by lower-case name"""
    body: bytes

    @property
    def content_type(self) -> str:
        """The media type in lower case, such as "text/html"; "" if there is none."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


def send(request: Request) -> Response:
    """Send a request and return the response, after at most `request.timeout` seconds.

    Redirects are followed to http(s) URLs, up to five; a request with a body or an `Authorization` header is
    not sent to another origin. Raises `HttpError`.
    """
    found: list[Response | Exception] = []

    def run() -> None:
        try:
            found.append(_send(request))
        except Exception as error:
            found.append(error)

    # In a thread: a socket's timeout starts again with each byte, so a slow server would never reach it.
    thread = threading.Thread(target=run, daemon=True, name="clipsight-http")
    thread.start()
    thread.join(request.timeout)
    if not found:
        raise HttpError(f"no answer within {request.timeout:g} seconds")
    (result,) = found
    if isinstance(result, Exception):
        raise HttpError(_reason(result)) from result
    return result


def ascii_url(url: str) -> str:
    """The URL with spaces and characters outside ASCII encoded. Raises `ValueError` if it has no host."""
    parts = urlsplit(url.strip())
    if parts.scheme.lower() not in ("http", "https") or not parts.hostname:
        raise ValueError("not an http(s) URL")
    try:
        _ = parts.port
    except ValueError:
        raise ValueError("the port is not a number from 0 to 65535") from None
    host = parts.netloc if parts.netloc.isascii() else parts.netloc.encode("idna").decode()
    if re.search(r"[\s\x00-\x1f\x7f]", host):
        raise ValueError("the host has a blank or a control character")
    return urlunsplit((parts.scheme, host, quote(parts.path, _SAFE), quote(parts.query, _SAFE), ""))


def _send(request: Request) -> Response:
    started = time.monotonic()
    opener = urllib.request.build_opener(_Redirects())
    plain = urllib.request.Request(
        ascii_url(request.url), data=request.data, headers={"User-Agent": "clipsight", **request.headers}
    )
    try:
        with opener.open(plain, timeout=request.timeout) as answer:
            return _read(answer, answer.status, answer.reason, request, started)
    except urllib.error.HTTPError as error:
        with error:
            return _read(error, error.code, error.reason, request, started)


def _read(answer: Any, status: int, reason: object, request: Request, started: float) -> Response:
    headers = {name.lower(): value for name, value in answer.headers.items()}
    length = headers.get("content-length", "")
    if length.isdigit() and int(length) > request.max_bytes:
        raise HttpError(_too_large(request))
    body = bytearray()
    while chunk := answer.read1(_CHUNK):
        body += chunk
        if len(body) > request.max_bytes:
            raise HttpError(_too_large(request))
        if time.monotonic() > started + request.timeout:
            raise TimeoutError
    if length.isdigit() and len(body) < int(length):
        raise HttpError(f"the answer was cut short, after {len(body):,} of {int(length):,} bytes")
    return Response(status, str(reason), headers, bytes(body))


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Redirects that keep method and body, and never send a body or `Authorization` to another origin."""

    max_redirections = _MAX_REDIRECTS

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> urllib.request.Request | None:
        target = ascii_url(newurl)
        private = req.data is not None or req.has_header("Authorization")
        if private and urlsplit(target)[:2] != urlsplit(req.full_url)[:2]:
            raise HttpError(f"it redirects to {target}: name that address")
        keeps_body = code in (307, 308)
        return urllib.request.Request(
            target,
            data=req.data if keeps_body else None,
            headers=dict(req.header_items()),
            unverifiable=True,
        )

    def http_error_302(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
    ) -> Any:
        """Follow the redirect; on failure close its response, unless an HTTPError still needs it."""
        try:
            return super().http_error_302(req, fp, code, msg, headers)
        except urllib.error.HTTPError:
            raise
        except Exception:
            fp.close()
            raise

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


def _too_large(request: Request) -> str:
    return f"the answer is larger than {request.max_bytes:,} bytes"


def _reason(error: Exception) -> str:
    """The reason for a failure in a few words."""
    if isinstance(error, HttpError):
        return str(error)
    if isinstance(error, http.client.HTTPException):
        return "what answers is not HTTP, or breaks off"
    cause = getattr(error, "reason", error)
    if isinstance(cause, TimeoutError) or isinstance(error, TimeoutError):
        return "no answer in time"
    return getattr(cause, "strerror", None) or str(cause)
