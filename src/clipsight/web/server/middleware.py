"""What stands before every request: who may ask, how much may be sent, which headers every answer carries.

An ASGI application around the whole server, page included. Called by `app` only.
"""

import asyncio
import html
import time
from urllib.parse import parse_qs, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from clipsight.web.server.auth import Access
from clipsight.web.server.metrics import Metrics

MOST_BODY = 48 << 20
"""Bytes of a request: room for a picture of `pictures.MOST_UPLOAD_BYTES` in base64."""

_TOO_LARGE = f"a request may have {MOST_BODY >> 20} MiB: send smaller pictures"
_SMALL_BODY = 1 << 20
_LARGE_AT_ONCE = 4
_BODY_SECONDS = 60.0

_API = ("/api/", "/v1/", "/health", "/metrics")
_API_POLICY = "default-src 'none'; frame-ancestors 'none'; sandbox"
_PAGE_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; media-src 'self' blob:; worker-src 'self' blob:; "
    "connect-src 'self'; object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
)
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=()",
}

_LOGIN = """<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>clipsight</title>
<style>body{{font:1rem system-ui;max-width:22rem;margin:20vh auto;padding:0 1rem;color-scheme:light dark}}
input,button{{font:inherit;padding:.5rem;width:100%;box-sizing:border-box;margin-top:.5rem}}</style>
<form method="post" action="/login"><label for="token">{problem}Token of this server</label>
<input id="token" name="token" type="password" autocomplete="current-password" autofocus required>
<button>Open</button></form></html>"""


class Guard:
    """Lets requests through to `app` that `access` allows, counts them in `metrics`, bounds what they send.

    At most a few large requests are taken in at once, so that memory stays bounded; others wait.
    """

    def __init__(self, app: ASGIApp, access: Access, metrics: Metrics) -> None:
        self.app, self.access, self.metrics = app, access, metrics
        self._large = asyncio.Semaphore(_LARGE_AT_ONCE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)
        else:  # nothing here speaks WebSocket
            await send({"type": "websocket.close", "code": 1008})

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        started, status = time.perf_counter(), 500
        policy = _API_POLICY if scope["path"].startswith(_API) else _PAGE_POLICY

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(raw=message["headers"])
                for name, value in (*_HEADERS.items(), ("Content-Security-Policy", policy)):
                    headers.setdefault(name, value)
                if policy is _API_POLICY:
                    headers.setdefault("Cache-Control", "no-store")
            await send(message)

        self.metrics.in_progress += 1
        try:
            answer = await self._refusal(scope, receive)
            if answer is not None:
                await answer(scope, receive, send_with_headers)
            else:
                await self._pass(scope, receive, send_with_headers)
        finally:
            self.metrics.in_progress -= 1
            route = getattr(scope.get("route"), "path", "other")
            self.metrics.observe(route, scope["method"], status, time.perf_counter() - started)

    async def _refusal(self, scope: Scope, receive: Receive) -> Response | None:
        """The answer to a request that may not pass; None if it may."""
        headers = Headers(scope=scope)
        is_api = scope["path"].startswith(_API)
        if not self.access.knows_host(headers.get("host", "")):
            return _refuse(421, "this server does not go by the name in the Host header: see --allow-host")
        reads = scope["method"] in ("GET", "HEAD")
        if not self.access.knows_page(headers, navigates=reads and not is_api):
            return _refuse(403, "a page of another site may not ask this server")
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > MOST_BODY:
            return _refuse(413, _TOO_LARGE)
        if scope["path"] == "/health" or self.access.knows_caller(headers):
            return None
        if is_api:
            why = "send the server's token: Authorization: Bearer ..."
            return _refuse(401, why, {"WWW-Authenticate": "Bearer"})
        return await self._login(scope, receive)

    async def _login(self, scope: Scope, receive: Receive) -> Response:
        """The page's way in: a link with ?token=..., or a form; the browser keeps a cookie."""
        query = parse_qs(scope["query_string"].decode(errors="replace"))
        target = scope["path"]
        if scope["method"] == "POST" and scope["path"] == "/login":
            body = b""
            while more := await receive():
                body += more.get("body", b"")
                if not more.get("more_body") or len(body) > 4096:
                    break
            query, target = parse_qs(body.decode(errors="replace")), "/"
        sent = query.pop("token", [""])[0]
        if self.access.is_token(sent):
            rest = f"?{urlencode(query, doseq=True)}" if query else ""
            answer = RedirectResponse(f"/{target.lstrip('/')}{rest}", status_code=303)
            answer.set_cookie(
                self.access.cookie_name, self.access.cookie_value, httponly=True, samesite="strict", path="/"
            )
            return answer
        problem = html.escape("That is not it. " if sent else "")
        return HTMLResponse(_LOGIN.format(problem=problem), status_code=401)

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        is_small = int(headers.get("content-length", "0")) <= _SMALL_BODY
        if is_small and "transfer-encoding" not in headers:
            await self.app(scope, receive, send)
            return
        async with self._large:
            await self.app(scope, _limited(receive), send)


def _limited(receive: Receive) -> Receive:
    """`receive` that gives up on a body that is too large, or too slow in coming."""
    taken, whole = 0, False
    deadline = time.monotonic() + _BODY_SECONDS

    async def receive_some() -> Message:
        nonlocal taken, whole
        if whole:
            return await receive()
        try:
            message = await asyncio.wait_for(receive(), max(0.0, deadline - time.monotonic()))
        except TimeoutError:
            raise HTTPException(408, f"the request did not come within {_BODY_SECONDS:.0f} s") from None
        taken += len(message.get("body", b""))
        whole = not message.get("more_body", False)
        if taken > MOST_BODY:
            raise HTTPException(413, _TOO_LARGE)
        return message

    return receive_some


def _refuse(status: int, why: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"detail": why}, status_code=status, headers=headers)
