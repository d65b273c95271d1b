"""Endpoints for monitoring: health and metrics."""

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import PlainTextResponse

from clipsight.web.api.responses import Alive, HealthAnswer
from clipsight.web.server.cancellation import RequestThreads
from clipsight.web.server.metrics import Metrics
from clipsight.web.service.service import Service


def add_routes(router: APIRouter, service: Service, threads: RequestThreads) -> None:
    """Add the detailed health check to the router of /api/v1."""
    unhealthy: dict[int | str, dict[str, Any]] = {
        503: {"model": HealthAnswer, "description": "Requests can't be answered."}
    }

    @router.get("/health", response_model=HealthAnswer, responses=unhealthy, tags=["state"])
    async def health(response: Response) -> dict[str, Any]:
        """Check that the catalog and the model can be used; list the problems if not."""
        found = await threads.run(service.library.health)
        response.status_code = 200 if found.ok else 503
        return asdict(found)


def add_public_routes(router: APIRouter, service: Service, threads: RequestThreads, metrics: Metrics) -> None:
    """Add the routes that monitoring expects outside /api/v1."""

    @router.get(
        "/health",
        response_model=Alive,
        responses={503: {"model": Alive, "description": "Requests can't be answered."}},
        tags=["state"],
    )
    async def alive(response: Response) -> Alive:
        """Check health without details and without a token."""
        found = await threads.run(service.library.health)
        response.status_code = 200 if found.ok else 503
        return Alive(ok=found.ok)

    @router.get("/metrics", response_class=PlainTextResponse, tags=["state"])
    async def metrics_text() -> PlainTextResponse:
        """Request counts and times for Prometheus."""
        found = await threads.run(service.library.health)
        metrics.healthy.set(found.ok)
        metrics.photos.set(found.photos or 0)
        metrics.indexing.set(any(job.running for job in service.indexing.all()))
        return PlainTextResponse(metrics.exposition(), media_type="text/plain; version=0.0.4")
