"""The HTTP API: the operations of `web.service` as JSON (docs/serve.md).

One module per group of endpoints; its `add_routes` adds them to a router.
"""

from typing import Any

from fastapi import APIRouter, Depends

from clipsight.web.api import downloads, embedding, indexing, library, monitoring, photos, search
from clipsight.web.api.requests import refuse_unknown_parameters
from clipsight.web.server.cancellation import RequestThreads
from clipsight.web.server.errors import CODES
from clipsight.web.server.metrics import Metrics
from clipsight.web.service.service import Service

_ERROR = {
    "type": "object",
    "required": ["code", "detail"],
    "properties": {"code": {"type": "string", "enum": CODES}, "detail": {"type": "string"}},
    "example": {
        "code": "bad_query",
        "detail": "there is no folder 'cats' (any more): list the folders again",
    },
}
_ERRORS: dict[int | str, dict[str, Any]] = {
    status: {
        "description": f"{reason} `detail` has the reason, `code` a word for it.",
        "content": {"application/json": {"schema": _ERROR}},
    }
    for status, reason in (
        (400, "The request can't be fulfilled."),
        (401, "The token is missing or wrong."),
        (403, "The request comes from a page of another site."),
        (404, "The photo, folder or run does not exist (any more)."),
        (409, "Nothing is indexed yet, or indexing is already running."),
        (413, "The request is too large."),
        (421, "The Host header is not a name of this server."),
        (422, "The request does not match its schema."),
    )
}


def create_router(service: Service, threads: RequestThreads, metrics: Metrics) -> APIRouter:
    """Create the router with all endpoints."""
    router = APIRouter(responses=_ERRORS, dependencies=[Depends(refuse_unknown_parameters)])
    v1 = APIRouter(prefix="/api/v1")
    search.add_routes(v1, service, threads)
    downloads.add_routes(v1, service, threads)  # before /photos/{id}
    photos.add_routes(v1, service, threads)
    library.add_routes(v1, service, threads)
    indexing.add_routes(v1, service, threads)
    embedding.add_routes(v1, service, threads)
    embedding.add_openai_routes(router, service, threads)
    monitoring.add_routes(v1, service, threads)
    monitoring.add_public_routes(router, service, threads, metrics)
    router.include_router(v1)
    return router
