"""The server process: its socket, its announcement to local clients, and its graceful shutdown."""

import asyncio
import ipaddress
import secrets
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from urllib.parse import urlsplit

import uvicorn
from starlette.types import ASGIApp

from clipsight.core.arguments import MAX_THREADS, whole_number
from clipsight.core.errors import ServerError
from clipsight.web.client.discovery import NAME, ServerFile
from clipsight.web.server.app import create_app
from clipsight.web.server.auth import MIN_TOKEN_LENGTH, AccessPolicy
from clipsight.web.server.cancellation import RequestThreads
from clipsight.web.server.rewrite import is_prefix
from clipsight.web.service.service import Service
from clipsight.web.service.watch_process import watching

_GRACE_SECONDS = 8
"""Time that running requests have to finish at shutdown; then they are cancelled."""

_SHUTDOWN_SECONDS = 12

_TEST_NET = "192.0.2.1"
"""An address reserved for documentation, which no machine has (RFC 5737)."""

_OWN_PATHS = (
    *("/api", "/v1", "/health", "/metrics", "/login", "/static", "/classify", "/draw", "/library"),
    *("/en", "/zh-Hant", "/zh-Hans"),
)
"""Paths of the server itself, which are ambiguous as a prefix: a proxy may remove the prefix or leave it."""

_SWITCH_SECONDS = 0.001
"""Interval at which threads release the interpreter lock, so that small requests are answered soon."""


def serve(
    *,
    library: Path | None,
    roots: Sequence[Path],
    host: str,
    port: int,
    token: str | None,
    allowed_hosts: Sequence[str],
    device: str,
    threads: int | None,
    page: bool,
    root_path: str = "",
    watch: bool = False,
    on_ready: Callable[[str], None],
) -> None:
    """Serve the library until SIGINT or SIGTERM; call `on_ready` with the URL once requests are accepted.

    `root_path` is the path prefix below which a proxy serves it, such as "/photos". With `watch`, another
    process indexes photos of the library's folders as they change.

    Raises `ServerError` for an address that is taken, or open to other machines without a token, for an
    invalid `root_path`, and what `Service` raises.
    """
    whole_number(port, "port", maximum=65535, required=True, error=ServerError)
    whole_number(threads, "threads", minimum=1, maximum=MAX_THREADS, error=ServerError)
    check_token(host, token)
    root_path = check_root_path(root_path)
    sys.setswitchinterval(_SWITCH_SECONDS)
    listener = listen(host, port)
    with listener, Service(library, roots=roots, device=device, threads=threads) as service:
        server_file = _claim(service.path)
        try:
            bound_port = listener.getsockname()[1]
            url = server_url(host, bound_port)
            request_threads = RequestThreads()
            policy = AccessPolicy(bound_port, token, (host, *allowed_hosts))
            app = create_app(service, policy, request_threads, page=page, root_path=root_path)

            def announce() -> None:
                server_file.write(url, token)
                on_ready(url + root_path)

            with watching(service.path, device, threads) if watch else nullcontext():
                asyncio.run(_run(app, request_threads, listener, announce))
        finally:
            server_file.remove()


def check_token(host: str, token: str | None) -> None:
    """Raise `ServerError` if other machines could connect without a token, or the token could be guessed."""
    if token is None and not is_loopback(host):
        raise ServerError(
            f"other machines can reach the host {host}: set a `token` that they have to send, such as "
            f"CLIPSIGHT_TOKEN={secrets.token_urlsafe(18)}"
        )
    if token is not None and (
        len(token) < MIN_TOKEN_LENGTH or not token.isascii() or not token.isprintable()
    ):
        raise ServerError(
            f"the token must have at least {MIN_TOKEN_LENGTH} printable ASCII characters: "
            f"{secrets.token_urlsafe(18)}, for example"
        )


def check_root_path(root_path: str) -> str:
    """The path without a slash at its end. Raises `ServerError` if it can't be the prefix of a URL's path."""
    prefix = root_path.rstrip("/")
    if prefix and not is_prefix(prefix):
        raise ServerError(
            f"{root_path[:80]!r} can't be the beginning of an address: choose a `root_path` such as /photos"
        )
    if prefix.startswith("/") and f"/{prefix.split('/')[1]}" in _OWN_PATHS:
        raise ServerError(f"{prefix} begins like a path of the server itself: choose another `root_path`")
    return prefix


def is_loopback(host: str) -> bool:
    """Check that only this machine can reach a server on this host."""
    if host == "localhost":
        return True
    with suppress(ValueError):
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    return False


def is_unspecified(host: str) -> bool:
    """Check that a server on this host listens on all addresses of this machine."""
    with suppress(ValueError):
        return ipaddress.ip_address(host.strip("[]")).is_unspecified
    return False


def server_url(host: str, port: int) -> str:
    """The server's URL, for a browser on this machine."""
    name = "127.0.0.1" if is_unspecified(host) else host.strip("[]")
    return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"


def url_for_devices(url: str) -> str | None:
    """The URL of `server_url` with this machine's address in the local network; None without a network.

    For servers that listen on all addresses. Connecting a UDP socket sends nothing: it only chooses a route.
    """
    parts = urlsplit(url)
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((_TEST_NET, 9))
        address = probe.getsockname()[0]
        if not is_loopback(address) and address != "0.0.0.0":
            return parts._replace(netloc=f"{address}:{parts.port}").geturl()
    return None


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises `ServerError`."""
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            # Inherited by accepted connections: asyncio sets it only on sockets created with IPPROTO_TCP.
            # Without it, the second packet of a response waits 40 ms for the acknowledgement of the first.
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            listener.bind(address)
            listener.listen(256)
        except BaseException:
            listener.close()
            raise
        return listener
    except UnicodeError as error:
        raise ServerError(f"{host[:80]!r} is no host: choose another `host`") from error
    except OSError as error:
        raise ServerError(
            f"can't listen on {host}, port {port} ({error.strerror or error}): choose another `port`, or 0 "
            "for any free one"
        ) from error


def _claim(library: Path) -> ServerFile:
    try:
        return ServerFile(str(library))
    except BlockingIOError:
        raise ServerError(
            f"a server is already running for the library {library}: its address is in {library / NAME}"
        ) from None
    except OSError as error:
        raise ServerError(
            f"can't write {library / NAME} ({error.strerror}): choose another `library`"
        ) from error


async def _run(
    app: ASGIApp, request_threads: RequestThreads, listener: socket.socket, announce: Callable[[], None]
) -> None:
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        lifespan="off",
        ws="none",
        proxy_headers=False,  # `create_app` takes care of them
        timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
    )
    await _Server(config, request_threads, announce).serve(sockets=[listener])


class _Server(uvicorn.Server):
    """Announces itself after startup, and cancels the requests that outlast the grace period."""

    def __init__(
        self, config: uvicorn.Config, request_threads: RequestThreads, announce: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._request_threads, self._announce = request_threads, announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._announce()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._request_threads.shutting_down = True
        asyncio.get_running_loop().call_later(_GRACE_SECONDS, self._request_threads.cancel_all)
        await super().shutdown(sockets)
