"""Access control, request limits and security headers: an ASGI middleware around API and page."""

import asyncio
import time
from urllib.parse import parse_qs, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from clipsight.web.page.files import POLICY as _PAGE_POLICY
from clipsight.web.page.login import login_page
from clipsight.web.server.auth import AccessPolicy
from clipsight.web.server.errors import error_response
from clipsight.web.server.rewrite import path_below_root

MAX_BODY_BYTES = 48 << 20
"""Maximum size of a request: enough for a picture of `pictures.MAX_UPLOAD_BYTES` in base64."""

_TOO_LARGE = f"a request may have {MAX_BODY_BYTES >> 20} MiB: send smaller pictures"
_SMALL_BODY_BYTES = 1 << 20
_MAX_LARGE_REQUESTS = 4
_BODY_SECONDS = 60.0

_API_PREFIXES = ("/api/", "/v1/", "/health", "/metrics")
_API_POLICY = "default-src 'none'; frame-ancestors 'none'; sandbox"
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=()",
}


class SecurityMiddleware:
    """Passes on the requests that `policy` allows, limits their bodies, and adds security headers.

    Only a few large requests are read at once, so that memory stays bounded; others wait.
    """

    def __init__(self, app: ASGIApp, policy: AccessPolicy) -> None:
        self.app, self.policy = app, policy
        self._large_requests = asyncio.Semaphore(_MAX_LARGE_REQUESTS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as an ASGI application."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)
        else:  # there are no WebSockets
            await send({"type": "websocket.close", "code": 1008})

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_api = path_below_root(scope).startswith(_API_PREFIXES)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=message["headers"])
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Content-Security-Policy", _API_POLICY if is_api else _PAGE_POLICY)
                if is_api:
                    headers.setdefault("Cache-Control", "no-store")
            await send(message)

        refusal = await self._check(scope, receive)
        if refusal is not None:
            await refusal(scope, receive, send_with_headers)
        else:
            await self._forward(scope, receive, send_with_headers)

    async def _check(self, scope: Scope, receive: Receive) -> Response | None:
        """The response to a request that is refused; None if it is allowed."""
        headers, path = Headers(scope=scope), path_below_root(scope)
        is_api = path.startswith(_API_PREFIXES)
        if not self.policy.allows_host(headers.get("host", "")):
            return error_response(
                421,
                "wrong_host",
                "the Host header does not name this server: allow its name with clipsight serve --allow-host",
            )
        is_read = scope["method"] in ("GET", "HEAD")
        if not self.policy.allows_origin(headers, may_navigate=is_read and not is_api):
            return error_response(
                403, "other_site", "a page of another site may not send requests to this server"
            )
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > MAX_BODY_BYTES:
            return error_response(413, "too_large", _TOO_LARGE)
        is_public = path == "/health" or (is_read and path.startswith("/static/"))  # the login page's look
        if is_public or self.policy.is_authenticated(headers):
            return None
        if is_api:
            reason = "send the server's token: Authorization: Bearer ..."
            return error_response(401, "unauthorized", reason, {"WWW-Authenticate": "Bearer"})
        return await self._login(scope, receive)

    async def _login(self, scope: Scope, receive: Receive) -> Response:
        """Log a browser in by a link with ?token=... or by a form, and set its cookie."""
        query = parse_qs(scope["query_string"].decode(errors="replace"))
        root_path, target = scope.get("root_path", ""), path_below_root(scope)
        if scope["method"] == "POST" and target == "/login":
            body = b""
            while more := await receive():
                body += more.get("body", b"")
                if not more.get("more_body") or len(body) > 4096:
                    break
            query, target = parse_qs(body.decode(errors="replace")), "/"
        token = query.pop("token", [""])[0]
        if self.policy.is_token(token):
            rest = f"?{urlencode(query, doseq=True)}" if query else ""
            response = RedirectResponse(f"{root_path}/{target.lstrip('/')}{rest}", status_code=303)
            # "lax": links of other sites to the page open it; their other requests don't carry the cookie.
            response.set_cookie(
                self.policy.cookie_name,
                self.policy.cookie_value,
                httponly=True,
                samesite="lax",
                path=root_path or "/",
            )
            return response
        return login_page(Headers(scope=scope), root_path, is_wrong=bool(token))

    async def _forward(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        is_small = int(headers.get("content-length", "0")) <= _SMALL_BODY_BYTES
        if is_small and "transfer-encoding" not in headers:
            await self.app(scope, receive, send)
            return
        async with self._large_requests:
            await self.app(scope, _limited(receive), send)


def _limited(receive: Receive) -> Receive:
    """`receive` that raises `HTTPException` for a body that is too large or arrives too slowly."""
    size, is_complete = 0, False
    deadline = time.monotonic() + _BODY_SECONDS

    async def receive_limited() -> Message:
        nonlocal size, is_complete
        if is_complete:
            return await receive()
        try:
            message = await asyncio.wait_for(receive(), max(0.0, deadline - time.monotonic()))
        except TimeoutError:
            raise HTTPException(408, f"the request did not arrive within {_BODY_SECONDS:.0f} s") from None
        size += len(message.get("body", b""))
        is_complete = not message.get("more_body", False)
        if size > MAX_BODY_BYTES:
            raise HTTPException(413, _TOO_LARGE)
        return message

    return receive_limited
