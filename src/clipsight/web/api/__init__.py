"""The HTTP API: what `service` offers, as JSON. `docs/serve.md` shows it in use. Called by `app`.

A module for each group of endpoints; each adds its own to the router that it is given.
"""

from typing import Any

from fastapi import APIRouter

from clipsight.web.api import embedding, indexing, library, photos, search, state
from clipsight.web.server.cancellation import RequestThreads
from clipsight.web.server.metrics import Metrics
from clipsight.web.service.service import Service

_DETAIL = {"type": "object", "required": ["detail"], "properties": {"detail": {"type": "string"}}}
_PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {
        "description": f"{what} `detail` says more.",
        "content": {"application/json": {"schema": _DETAIL}},
    }
    for status, what in (
        (400, "It can't be done as asked."),
        (401, "The token is missing or wrong."),
        (403, "A page of another site asks."),
        (404, "There is no such photo, folder or run (any more)."),
        (409, "Not now: nothing is indexed yet, or indexing is under way."),
        (413, "The request is too large."),
        (421, "The server does not go by this name."),
        (422, "The request is not as described here."),
    )
}


def routes(service: Service, threads: RequestThreads, metrics: Metrics) -> APIRouter:
    """All endpoints."""
    router = APIRouter(responses=_PROBLEMS)
    v1 = APIRouter(prefix="/api/v1")
    search.add(v1, service, threads)
    photos.add(v1, service, threads)
    library.add(v1, service, threads)
    indexing.add(v1, service, threads)
    embedding.add(v1, service, threads)
    embedding.add_openai(router, service, threads)
    state.add(v1, service, threads)
    state.add_public(router, service, threads, metrics)
    router.include_router(v1)
    return router
