"""Endpoints that tell how the server is: health and metrics. Called by `api`."""

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import PlainTextResponse

from clipsight.web.api.schemas import Alive, HealthAnswer
from clipsight.web.server.cancellation import RequestThreads
from clipsight.web.server.metrics import Metrics, resident_bytes
from clipsight.web.service.service import Service


def add(router: APIRouter, service: Service, threads: RequestThreads) -> None:
    """Add them to `router`, which answers below /api/v1."""

    red: dict[int | str, dict[str, Any]] = {503: {"model": HealthAnswer, "description": "It can't work."}}

    @router.get("/health", response_model=HealthAnswer, responses=red, tags=["state"])
    async def health(response: Response) -> dict[str, Any]:
        """Whether the catalog and the model can be used, and what is wrong if not."""
        found = await threads.run(service.health)
        response.status_code = 200 if found.ok else 503
        return asdict(found)


def add_public(router: APIRouter, service: Service, threads: RequestThreads, metrics: Metrics) -> None:
    """Add those that are looked for outside /api/v1."""

    @router.get(
        "/health",
        response_model=Alive,
        responses={503: {"model": Alive, "description": "It can't work."}},
        tags=["state"],
    )
    async def alive(response: Response) -> Alive:
        """The same without details, for whoever has no token."""
        found = await threads.run(service.health)
        response.status_code = 200 if found.ok else 503
        return Alive(ok=found.ok)

    @router.get("/metrics", response_class=PlainTextResponse, tags=["state"])
    async def metrics_text() -> PlainTextResponse:
        """Counts and times for Prometheus."""
        found = await threads.run(service.health)
        gauges = {
            "clipsight_healthy": ("1 if the catalog and the model can be used.", float(found.ok)),
            "clipsight_photos": ("Photos in the library.", float(found.photos or 0)),
            "clipsight_indexing": ("1 while indexing.", float(any(job.running for job in service.jobs()))),
            "clipsight_resident_bytes": ("Memory of the server's process.", float(resident_bytes())),
        }
        return PlainTextResponse(metrics.text(gauges), media_type="text/plain; version=0.0.4")
