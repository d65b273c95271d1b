"""Who may ask: which names the server goes by, which pages may call it, and who knows the token.

Called by `guard` only; all of it is decided from a request's head, before anything else is read.
"""

import hmac
import ipaddress
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from http.cookies import CookieError, SimpleCookie

LEAST_TOKEN = 16
"""Characters of a token: fewer could be guessed."""


@dataclass(frozen=True)
class Access:
    """The rules of one server. Without `token` everyone who reaches it may ask.

    `hosts` are names it goes by beside `localhost`, this machine's own name and bare addresses; `port` tells
    its cookie from that of another server on this machine.
    """

    port: int
    token: str | None = None
    hosts: Sequence[str] = ()

    @property
    def cookie_name(self) -> str:
        return f"clipsight-{self.port}"

    @property
    def cookie_value(self) -> str:
        """What the browser keeps: it proves the token and does not tell it."""
        return hmac.new((self.token or "").encode(), b"clipsight page", sha256).hexdigest()

    def knows_host(self, header: str) -> bool:
        """Whether a Host header names this server.

        A page whose own name has been made to lead here (DNS rebinding) sends that name. Bare addresses
        can't be made to lead elsewhere.
        """
        name = _host_name(header)
        if name is None:
            return False
        try:
            ipaddress.ip_address(name)
        except ValueError:
            machine = socket.gethostname().lower()
            return name in ("localhost", machine, f"{machine}.local", *map(str.lower, self.hosts))
        return True

    def knows_page(self, headers: Mapping[str, str], *, navigates: bool) -> bool:
        """Whether the page that makes a browser send this request, if any does, is the server's own.

        `navigates`: the request is for a page itself, to which links from elsewhere may lead.
        """
        site = headers.get("sec-fetch-site")
        if site is not None and site not in ("same-origin", "none"):
            return navigates and headers.get("sec-fetch-mode") == "navigate"
        origin = headers.get("origin")
        return origin is None or origin.partition("://")[2] == headers.get("host")

    def knows_caller(self, headers: Mapping[str, str]) -> bool:
        """Whether the request brings the token, in its Authorization header or as the page's cookie."""
        if self.token is None:
            return True
        scheme, _, sent = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self.is_token(sent.strip()):
            return True
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(self.cookie_name)
        except CookieError:
            return False
        return cookie is not None and _equal(cookie.value, self.cookie_value)

    def is_token(self, sent: str) -> bool:
        return self.token is not None and _equal(sent, self.token)


def _equal(one: str, other: str) -> bool:
    """In a time that does not tell how much of it is equal."""
    return hmac.compare_digest(one.encode(errors="surrogateescape"), other.encode())


def _host_name(header: str) -> str | None:
    """The name in a Host header, without port and brackets."""
    if header.startswith("["):
        name, bracket, rest = header[1:].partition("]")
        return name if bracket and ":" in name and (not rest or _is_port(rest)) else None
    name, colon, port = header.partition(":")
    return name.lower().rstrip(".") if name and (not colon or _is_port(colon + port)) else None


def _is_port(text: str) -> bool:
    return text[0] == ":" and text[1:].isascii() and text[1:].isdigit()
