"""The ASGI application: the API, the page, and the middleware around both."""

from typing import Any, cast

from fastapi import FastAPI
from starlette.types import ASGIApp
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from clipsight.core.version import __version__
from clipsight.web.api import create_router
from clipsight.web.server.auth import AccessPolicy
from clipsight.web.server.cancellation import RequestThreads
from clipsight.web.server.errors import add_error_handlers
from clipsight.web.server.metrics import Metrics, MetricsMiddleware
from clipsight.web.server.middleware import SecurityMiddleware
from clipsight.web.server.rewrite import HeadMiddleware, PrefixMiddleware
from clipsight.web.service.service import Service

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
    add_error_handlers(app)
    if page:
        from clipsight.web.page import mount

        mount(app)
    secured = MetricsMiddleware(SecurityMiddleware(HeadMiddleware(app), policy), metrics)
    # PrefixMiddleware is outermost: it checks the address of the proxy, which ProxyHeadersMiddleware replaces
    # by the address of the proxy's client.
    proxied: Any = ProxyHeadersMiddleware(cast(Any, secured), _TRUSTED_PROXIES)
    return PrefixMiddleware(proxied, root_path)
