"""The ASGI application: the API, the page, and the middleware around both."""

from collections.abc import Sequence
from typing import Any, cast

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from clipsight.core.errors import BusyError, ClipsightError, NoModelError, NotFoundError
from clipsight.core.version import __version__
from clipsight.models.encoder import Cancelled
from clipsight.web.api import create_router
from clipsight.web.server.auth import AccessPolicy
from clipsight.web.server.cancellation import RequestThreads
from clipsight.web.server.metrics import Metrics, MetricsMiddleware
from clipsight.web.server.middleware import SecurityMiddleware
from clipsight.web.server.rewrite import HeadMiddleware, PrefixMiddleware
from clipsight.web.service.payloads import json_safe
from clipsight.web.service.service import Service

_STATUS_CODES: Sequence[tuple[type[ClipsightError], int]] = (
    (NotFoundError, 404),
    (BusyError, 409),
    (NoModelError, 409),
    (ClipsightError, 400),
)
_TRUSTED_PROXIES = ["127.0.0.1", "::1"]
"""Addresses of proxies whose X-Forwarded-For and X-Forwarded-Proto are trusted."""


def create_app(
    service: Service,
    policy: AccessPolicy,
    threads: RequestThreads,
    *,
    page: bool = True,
    root_path: str = "",
) -> ASGIApp:
    """Create the application that serves `service` to the clients that `policy` allows, below `root_path`."""
    app = FastAPI(
        title="clipsight",
        version=__version__,
        summary="Semantic photo search with CLIP: find photos by words, by a picture, or by both at once.",
        openapi_url="/api/v1/openapi.json",
        docs_url=None,  # they would load scripts from other hosts
        redoc_url=None,
    )
    metrics = Metrics()
    app.include_router(create_router(service, threads, metrics))
    app.add_exception_handler(ClipsightError, _error_response)
    app.add_exception_handler(RequestValidationError, _validation_response)
    app.add_exception_handler(Cancelled, _cancelled_response)
    if page:
        from clipsight.web.page import mount

        mount(app, service)
    secured = MetricsMiddleware(SecurityMiddleware(HeadMiddleware(app), policy), metrics)
    # PrefixMiddleware is outermost: it checks the address of the proxy, which ProxyHeadersMiddleware replaces
    # by the address of the proxy's client.
    proxied: Any = ProxyHeadersMiddleware(cast(Any, secured), _TRUSTED_PROXIES)
    return PrefixMiddleware(proxied, root_path)


def _error_response(request: Request, error: Exception) -> Response:
    status = next(status for kind, status in _STATUS_CODES if isinstance(error, kind))
    return JSONResponse({"detail": json_safe(error)}, status_code=status)


def _validation_response(request: Request, error: Exception) -> Response:
    """The fields and reasons of the first errors, without the input."""
    assert isinstance(error, RequestValidationError)
    problems = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()[:5]]
    return JSONResponse({"detail": json_safe("; ".join(problems))}, status_code=422)


def _cancelled_response(request: Request, error: Exception) -> Response:
    """The response to clients that are still connected at shutdown."""
    return JSONResponse({"detail": "stopped: the server is shutting down"}, status_code=503)
