"""Endpoints for the library: status, failures, folders, labels and models."""

import os
from dataclasses import asdict
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi import Path as InPath

from clipsight.web.api.requests import LabelRequest
from clipsight.web.api.responses import (
    FailureAnswer,
    FiltersAnswer,
    FolderAnswer,
    ForgottenAnswer,
    LabelAnswer,
    LabelledAnswer,
    ModelAnswer,
    PartialAnswer,
    StatusAnswer,
)
from clipsight.web.server.cancellation import RequestThreads
from clipsight.web.service.payloads import json_safe
from clipsight.web.service.service import Service


def add_routes(router: APIRouter, service: Service, threads: RequestThreads) -> None:
    """Add the endpoints to the router of /api/v1."""

    @router.get("/status", response_model=StatusAnswer, tags=["library"])
    async def status() -> dict[str, Any]:
        """Get counts, size and model of the library."""
        found = await threads.run(service.library.status)
        return {
            "library": json_safe(found.path),
            "model": found.model,
            "next_model": found.next_model,
            "to_embed": found.to_embed,
            "photos": found.counts.present + found.counts.unreachable,
            "unreachable": found.counts.unreachable,
            "missing": found.counts.missing,
            "bytes": found.bytes,
            "failures": len(found.failures),
            "partial": len(found.partial),
            "text_read": found.text.read if found.text else 0,
            "with_text": found.text.with_text if found.text else 0,
            "samples": service.indexing.has_samples,
        }

    @router.get("/failures", response_model=list[FailureAnswer], tags=["library"])
    async def failures(
        offset: Annotated[int, Query(ge=0, le=2**31)] = 0, limit: Annotated[int, Query(ge=1, le=1000)] = 100
    ) -> list[dict[str, Any]]:
        """List the files that could not be read as photos."""
        found = await threads.run(partial(service.library.failures, offset, limit))
        return [{**asdict(each), "path": json_safe(each.path)} for each in found]

    @router.get("/partial", response_model=list[PartialAnswer], tags=["library"])
    async def partial_photos(
        offset: Annotated[int, Query(ge=0, le=2**31)] = 0, limit: Annotated[int, Query(ge=1, le=1000)] = 100
    ) -> list[dict[str, Any]]:
        """List the photos of which only a part could be read: their files are truncated or damaged."""
        found = await threads.run(partial(service.library.partial_photos, offset, limit))
        return [{"path": json_safe(os.fsdecode(each.path)), "reason": each.reason} for each in found]

    @router.get("/folders", response_model=list[FolderAnswer], tags=["library"])
    async def folders() -> list[dict[str, Any]]:
        """List the indexed folders."""
        found = await threads.run(service.library.folders)
        return [{**asdict(each), "path": json_safe(each.path)} for each in found]

    @router.delete("/folders/{id}", response_model=ForgottenAnswer, tags=["library"])
    async def forget(id: Annotated[str, InPath(max_length=64)]) -> dict[str, int]:
        """Drop an indexed folder from the library; its files are not touched."""
        return {"photos": await threads.run(partial(service.forget, id))}

    @router.get("/filters", response_model=FiltersAnswer, tags=["library"])
    async def filter_values() -> dict[str, Any]:
        """List the cameras and formats that searches can be filtered by."""
        return asdict(await threads.run(service.library.filter_values))

    @router.get("/roots", response_model=list[FolderAnswer], tags=["library"])
    async def roots() -> list[dict[str, Any]]:
        """List the roots: folders that may be indexed, with everything below (`clipsight serve --roots`)."""
        return [{**asdict(each), "path": json_safe(each.path)} for each in service.folders.roots]

    @router.get("/roots/{id}/folders", response_model=list[FolderAnswer], tags=["library"])
    async def subfolders(id: Annotated[str, InPath(max_length=64)]) -> list[dict[str, Any]]:
        """List the subfolders of a root, or of a folder of an earlier response."""
        found = await threads.run(partial(service.folders.children, id))
        return [{**asdict(each), "path": json_safe(each.path)} for each in found]

    @router.get("/labels", response_model=list[LabelAnswer], tags=["library"])
    async def labels() -> list[dict[str, Any]]:
        """List the labels that classification assigned to photos."""
        return [asdict(each) for each in await threads.run(service.library.labels)]

    @router.post("/labels/give", response_model=LabelledAnswer, tags=["library"])
    async def give_label(body: LabelRequest) -> dict[str, int]:
        """Give photos a label by hand, beside those that they have; `photos` counts those that got it."""
        return {"photos": await threads.run(partial(service.library.give_label, body.label, body.photos))}

    @router.post("/labels/take", response_model=LabelledAnswer, tags=["library"])
    async def take_label(body: LabelRequest) -> dict[str, int]:
        """Take a label from photos, whoever gave it; `photos` counts those that had it."""
        return {"photos": await threads.run(partial(service.library.take_label, body.label, body.photos))}

    @router.get("/models", response_model=list[ModelAnswer], tags=["library"])
    async def models() -> list[dict[str, Any]]:
        """List the models on disk or available for download."""
        found = await threads.run(service.library.models)
        in_use = await threads.run(lambda: service.library.model)
        return [{**asdict(each), "in_use": each.name == in_use} for each in found]
