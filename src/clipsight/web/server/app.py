"""The server as one ASGI application: the API, the page, and the guard before both. Called by `server`."""

from collections.abc import Sequence

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp

from clipsight.core.errors import ClipsightError
from clipsight.core.version import __version__
from clipsight.models.encoder import Cancelled
from clipsight.web.api import routes
from clipsight.web.server.auth import Access
from clipsight.web.server.cancellation import RequestThreads
from clipsight.web.server.metrics import Metrics
from clipsight.web.server.middleware import Guard
from clipsight.web.service.errors import BusyError, NoModelError, NotFoundError
from clipsight.web.service.payloads import json_safe
from clipsight.web.service.service import Service

_STATUS: Sequence[tuple[type[ClipsightError], int]] = (
    (NotFoundError, 404),
    (BusyError, 409),
    (NoModelError, 409),
    (ClipsightError, 400),
)


def make_app(service: Service, access: Access, threads: RequestThreads, *, page: bool = True) -> ASGIApp:
    """The application that answers for `service` to those that `access` lets in."""
    app = FastAPI(
        title="clipsight",
        version=__version__,
        summary="Semantic photo search with CLIP: find photos by words, by a picture, or by both at once.",
        openapi_url="/api/v1/openapi.json",
        docs_url=None,  # they would load scripts from elsewhere
        redoc_url=None,
    )
    metrics = Metrics()
    app.include_router(routes(service, threads, metrics))
    app.add_exception_handler(ClipsightError, _explain)
    app.add_exception_handler(RequestValidationError, _explain_request)
    app.add_exception_handler(Cancelled, _nobody_waits)
    if page:
        from clipsight.web.page import mount

        mount(app, service)
    return Guard(app, access, metrics)


def _explain(request: Request, error: Exception) -> Response:
    status = next(status for kind, status in _STATUS if isinstance(error, kind))
    return JSONResponse({"detail": json_safe(error)}, status_code=status)


def _explain_request(request: Request, error: Exception) -> Response:
    """What is wrong with the request, where; what was sent is not sent back."""
    assert isinstance(error, RequestValidationError)
    told = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()[:5]]
    return JSONResponse({"detail": json_safe("; ".join(told))}, status_code=422)


def _nobody_waits(request: Request, error: Exception) -> Response:
    """The client has gone, or the server shuts down."""
    return JSONResponse({"detail": "stopped: the server is shutting down"}, status_code=503)
