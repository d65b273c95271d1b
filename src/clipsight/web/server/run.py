"""Running the server: where it listens, how it is found, how it ends. Called by `cli.serve`."""

import asyncio
import ipaddress
import secrets
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from clipsight.web.client.discovery import NAME, Presence
from clipsight.web.server.app import make_app
from clipsight.web.server.auth import LEAST_TOKEN, Access
from clipsight.web.server.cancellation import RequestThreads
from clipsight.web.service.errors import ServerError
from clipsight.web.service.service import Service

_GRACE_SECONDS = 8
"""How long requests that are being answered may take when the server ends; then their work is stopped."""

_SHUTDOWN_SECONDS = 12

_SWITCH_SECONDS = 0.001
"""How long a thread may keep the interpreter to itself: many small requests wait for it."""


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
    ready: Callable[[str], None],
) -> None:
    """Serve the library until SIGINT or SIGTERM; `ready` is called with the address once it answers.

    Raises `ServerError` for an address that is taken or open to others without a token, and what
    `Service` raises.
    """
    check_token(host, token)
    sys.setswitchinterval(_SWITCH_SECONDS)
    listening = listen(host, port)
    with listening, Service(library, roots=roots, device=device, threads=threads) as service:
        presence = _take_place(service.library)
        try:
            real_port = listening.getsockname()[1]
            url = address(host, real_port)
            access = Access(real_port, token, (host, *allowed_hosts))
            request_threads = RequestThreads()
            app = make_app(service, access, request_threads, page=page)

            def announce() -> None:
                presence.announce(url, token)
                ready(url)

            asyncio.run(_run(app, request_threads, listening, announce))
        finally:
            presence.withdraw()


def check_token(host: str, token: str | None) -> None:
    """Refuse to be open to other machines without a token, and tokens that could be guessed."""
    if token is None and not is_local(host):
        raise ServerError(
            f"--host {host} lets other machines in: give a --token that they must know, such as "
            f"CLIPSIGHT_TOKEN={secrets.token_urlsafe(18)}"
        )
    if token is not None and (len(token) < LEAST_TOKEN or not token.isascii() or not token.isprintable()):
        raise ServerError(
            f"a token has at least {LEAST_TOKEN} letters, digits and signs: {secrets.token_urlsafe(18)}, say"
        )


def is_local(host: str) -> bool:
    """Whether only this machine can reach a server on this address."""
    if host == "localhost":
        return True
    with suppress(ValueError):
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    return False


def address(host: str, port: int) -> str:
    """The server's URL, for a browser on this machine."""
    name = host.strip("[]")
    with suppress(ValueError):
        if ipaddress.ip_address(name).is_unspecified:
            name = "127.0.0.1"
    return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"


def listen(host: str, port: int) -> socket.socket:
    """A socket on this address. Raises `ServerError`."""
    try:
        family, _, _, _, place = socket.getaddrinfo(
            host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, socket.SOCK_STREAM)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            # Its connections inherit it. asyncio sets it on sockets that say they are TCP's only: without, an
            # answer's second packet waits 40 ms for the client's acknowledgement of the first.
            listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            listening.bind(place)
            listening.listen(256)
        except BaseException:
            listening.close()
            raise
        return listening
    except OSError as error:
        raise ServerError(
            f"can't listen on {host}, port {port} ({error.strerror or error}): choose another with "
            "--port, or 0 for any that is free"
        ) from error


def _take_place(library: Path) -> Presence:
    try:
        return Presence(str(library))
    except BlockingIOError:
        raise ServerError(
            f"a server is running for the library {library} already: its address is in {library / NAME}"
        ) from None
    except OSError as error:
        raise ServerError(
            f"can't write {library / NAME} ({error.strerror}): choose another --library"
        ) from error


async def _run(
    app: ASGIApp, request_threads: RequestThreads, listening: socket.socket, announce: Callable[[], None]
) -> None:
    server = _Server(
        uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            server_header=False,
            lifespan="off",
            ws="none",
            timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
        )
    )
    server.announce, server.request_threads = announce, request_threads
    await server.serve(sockets=[listening])


class _Server(uvicorn.Server):
    """Announces that it answers, and cancels requests that outlast its end."""

    announce: Callable[[], None]
    request_threads: RequestThreads

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.announce()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.request_threads.shutting_down = True
        asyncio.get_running_loop().call_later(_GRACE_SECONDS, self.request_threads.cancel_all)
        await super().shutdown(sockets)
