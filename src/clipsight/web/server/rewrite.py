"""Middleware that rewrites requests before they are routed: a path prefix of a proxy, and HEAD."""

import ipaddress
import re
from contextlib import suppress

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from clipsight.web.server.errors import error_response

_PREFIX = re.compile(r"(/(?!\.{1,2}(/|$))[A-Za-z0-9._~-]+)+")
_UNSAFE_PATHS = ("//", "/\\")
"""Beginnings of a path that a browser interprets as another host."""


def is_prefix(text: str) -> bool:
    """Check that a text is a path prefix, such as "/photos": unreserved characters, no slash at its end."""
    return _PREFIX.fullmatch(text) is not None


def path_below_root(scope: Scope) -> str:
    """The path of a request without the prefix, which is the scope's `root_path`."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


class PrefixMiddleware:
    """Serves the application below a path prefix: `root_path`, or X-Forwarded-Prefix of a proxy.

    The proxy may remove the prefix from the path or leave it. Its header is used only if it runs on this
    machine and `root_path` is empty. Redirects to the server itself are sent as a path without a host, which
    is correct behind any proxy.
    """

    def __init__(self, app: ASGIApp, root_path: str = "") -> None:
        self.app, self.root_path = app, root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as an ASGI application."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        prefix = self.root_path or _forwarded_prefix(scope, headers) or scope.get("root_path", "")
        if prefix and not is_prefix(prefix):
            refusal = error_response(400, "bad_prefix", "X-Forwarded-Prefix must be a path, such as /photos")
            await refusal(scope, receive, send)
            return
        path = scope["path"]
        if prefix and (path == prefix or path.startswith(f"{prefix}/")):
            path = path[len(prefix) :]

        async def send_with_relative_location(message: Message) -> None:
            if message["type"] == "http.response.start":
                sent = MutableHeaders(raw=message["headers"])
                if location := sent.get("location"):
                    sent["location"] = _without_host(location, headers.get("host", ""))
            await send(message)

        inner = {**scope, "root_path": prefix, "path": prefix + path}
        await self.app(inner, receive, send_with_relative_location)


class HeadMiddleware:
    """Answers HEAD as GET, without the body. Ranges are defined for GET only (RFC 9110, 14.2)."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as an ASGI application."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self.app(scope, receive, send)
            return
        is_ended = False

        async def send_head(message: Message) -> None:
            nonlocal is_ended
            if message["type"] == "http.response.start":
                await send(message)
            elif not is_ended:  # the first part of the body; streams end with it
                is_ended = True
                await send({"type": "http.response.body", "body": b"", "more_body": False})

        headers = [(name, value) for name, value in scope["headers"] if name != b"range"]
        inner = {**scope, "method": "GET", "headers": headers}
        try:
            await self.app(inner, receive, send_head)
        finally:
            if "route" in inner:  # MetricsMiddleware reads it
                scope["route"] = inner["route"]


def _forwarded_prefix(scope: Scope, headers: Headers) -> str:
    """The X-Forwarded-Prefix of a proxy on this machine; "" without one."""
    client = scope.get("client")
    with suppress(ValueError):
        if client and ipaddress.ip_address(client[0]).is_loopback:
            return headers.get("x-forwarded-prefix", "").rstrip("/")
    return ""


def _without_host(location: str, host: str) -> str:
    """The path of a redirect to `host`; other locations as they are."""
    rest = location.partition("://")[2]
    path = rest[len(host) :]
    is_own = bool(host) and rest.startswith(f"{host}/") and not path.startswith(_UNSAFE_PATHS)
    return path if is_own else location
