"""Access rules: the server's host names, the origins of browser requests, and the token.

They are checked with the request line and headers alone, before the body is read.
"""

import hmac
import ipaddress
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from http.cookies import CookieError, SimpleCookie

MIN_TOKEN_LENGTH = 16
"""Characters; a shorter token could be guessed."""


@dataclass(frozen=True)
class AccessPolicy:
    """The access rules of one server. Without `token`, everyone who can reach the server may use it.

    `hosts` are its names in addition to `localhost`, the name of this machine and IP addresses. `port` is in
    the name of its cookie, which browsers would otherwise mix up with another server's on this machine.
    """

    port: int
    token: str | None = None
    hosts: Sequence[str] = ()

    @property
    def cookie_name(self) -> str:
        """Name of the page's cookie."""
        return f"clipsight-{self.port}"

    @property
    def cookie_value(self) -> str:
        """HMAC that proves knowledge of the token without revealing it."""
        return hmac.new((self.token or "").encode(), b"clipsight page", sha256).hexdigest()

    def allows_host(self, header: str) -> bool:
        """Check that a Host header names this server (against DNS rebinding).

        A browser that was sent here by the DNS entry of another site sends the name of that site. With an IP
        address as host, no DNS is involved.
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

    def allows_origin(self, headers: Mapping[str, str], *, may_navigate: bool) -> bool:
        """Check that a request comes from the server's own page, or from no page at all.

        `may_navigate`: the request is for a page itself, to which other sites may link.
        """
        site = headers.get("sec-fetch-site")
        if site is not None and site not in ("same-origin", "none"):
            return may_navigate and headers.get("sec-fetch-mode") == "navigate"
        origin = headers.get("origin")
        return origin is None or origin.partition("://")[2] == headers.get("host")

    def is_authenticated(self, headers: Mapping[str, str]) -> bool:
        """Check the token of a request, in its Authorization header or as the page's cookie."""
        if self.token is None:
            return True
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self.is_token(token.strip()):
            return True
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(self.cookie_name)
        except CookieError:
            return False
        return cookie is not None and _constant_time_equal(cookie.value, self.cookie_value)

    def is_token(self, text: str) -> bool:
        """Check a token; False if the server has none."""
        return self.token is not None and _constant_time_equal(text, self.token)


def _constant_time_equal(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(errors="surrogateescape"), other.encode())


def _host_name(header: str) -> str | None:
    """The name in a Host header, without port and brackets; None if the header is malformed."""
    if header.startswith("["):
        name, bracket, rest = header[1:].partition("]")
        return name if bracket and ":" in name and (not rest or _is_port(rest)) else None
    name, colon, port = header.partition(":")
    return name.lower().rstrip(".") if name and (not colon or _is_port(colon + port)) else None


def _is_port(text: str) -> bool:
    return text[0] == ":" and text[1:].isascii() and text[1:].isdigit()
