"""Endpoints for indexing runs: start, follow, stop."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import asdict
from functools import partial
from typing import Annotated

from fastapi import APIRouter
from fastapi import Path as InPath
from fastapi.responses import StreamingResponse

from clipsight.web.api.requests import IndexRequest
from clipsight.web.api.responses import JobAnswer
from clipsight.web.server.cancellation import RequestThreads
from clipsight.web.service.payloads import Job
from clipsight.web.service.service import Service

_POLL_SECONDS = 0.25
"""Interval at which event streams check a run for changes."""

JobId = Annotated[str, InPath(max_length=64)]


def add_routes(router: APIRouter, service: Service, threads: RequestThreads) -> None:
    """Add the endpoints to the router of /api/v1."""

    @router.post("/index", response_model=JobAnswer, status_code=202, tags=["index"])
    async def index(body: IndexRequest) -> Job:
        """Start updating folders, or switching to another model; one run at a time."""
        if body.samples:
            return await threads.run(service.indexing.start_samples)
        return await threads.run(
            partial(
                service.indexing.start,
                body.folders,
                model=body.model,
                retry=body.retry,
                exclude=body.exclude,
            )
        )

    @router.get("/index", response_model=list[JobAnswer], tags=["index"])
    async def runs() -> list[Job]:
        """List the runs since the server started, the newest first."""
        return service.indexing.all()

    @router.get("/index/{job}", response_model=JobAnswer, tags=["index"])
    async def run(job: JobId) -> Job:
        """Get the progress of a run."""
        return service.indexing.get(job)

    @router.delete("/index/{job}", response_model=JobAnswer, status_code=202, tags=["index"])
    async def stop(job: JobId) -> Job:
        """Stop a run; what it has embedded is kept."""
        return service.indexing.stop(job)

    @router.get(
        "/index/{job}/events",
        response_class=StreamingResponse,
        responses={200: {"content": {"text/event-stream": {}}, "description": "The run, as `data: {...}`."}},
        tags=["index"],
    )
    async def events(job: JobId) -> StreamingResponse:
        """Stream the run after every change, until it has ended, as server-sent events."""
        service.indexing.get(job)  # raises before the response begins
        return StreamingResponse(_events(service, threads, job), media_type="text/event-stream")


async def _events(service: Service, threads: RequestThreads, job_id: str) -> AsyncIterator[str]:
    last = None
    while (last is None or last.running) and not threads.shutting_down:
        job = service.indexing.get(job_id)
        if job is not last:
            last = job
            yield f"data: {json.dumps(asdict(job))}\n\n"
        if job.running:
            await asyncio.sleep(_POLL_SECONDS)
