"""Endpoints of single photos: what is known of them, thumbnails, files. Called by `api`."""

from dataclasses import asdict
from functools import partial
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Query, Request, Response

from clipsight.web.api.schemas import PhotoAnswer, PhotoId
from clipsight.web.server.cancellation import RequestThreads
from clipsight.web.service.payloads import PhotoFile, json_safe
from clipsight.web.service.service import THUMBNAIL_SIZES, Service

_JPEG: dict[int | str, dict[str, Any]] = {200: {"content": {"image/jpeg": {}}, "description": "A picture."}}


def add_routes(router: APIRouter, service: Service, threads: RequestThreads) -> None:
    """Add the endpoints to the router of /api/v1."""

    @router.get("/photos/{id}", response_model=PhotoAnswer, tags=["photos"])
    async def photo(
        id: PhotoId, location: Annotated[bool, Query(description="Also where it was taken.")] = False
    ) -> dict[str, Any]:
        """What the library knows of a photo."""
        found = asdict(await threads.run(partial(service.photo, id, location=location)))
        return {**found, "path": json_safe(found["path"])}

    @router.get("/photos/{id}/thumbnail", response_class=Response, responses=_JPEG, tags=["photos"])
    async def thumbnail(
        request: Request,
        id: PhotoId,
        size: Annotated[
            int, Query(ge=1, le=THUMBNAIL_SIZES[-1], description=f"Rounded up to one of {THUMBNAIL_SIZES}.")
        ] = 320,
    ) -> Response:
        """A small JPEG, upright, without metadata."""
        found = await threads.run_until_disconnect(
            request, lambda gone: service.thumbnail(id, size, stop=gone)
        )
        headers = {"ETag": f'"{found.tag}"', "Cache-Control": "private, max-age=3600"}
        if request.headers.get("if-none-match") == headers["ETag"]:
            return Response(status_code=304, headers=headers)
        return Response(found.data, media_type="image/jpeg", headers=headers)

    @router.get("/photos/{id}/file", response_class=Response, responses=_JPEG, tags=["photos"])
    async def file(
        request: Request,
        id: PhotoId,
        original: Annotated[
            bool, Query(description="Byte for byte, with all it tells, such as where it was taken.")
        ] = False,
    ) -> Response:
        """The photo at full size: a JPEG without metadata, or the original file if that is asked for."""
        found = await threads.run_until_disconnect(
            request, lambda gone: service.photo_file(id, original=original, stop=gone)
        )
        return Response(found.data, media_type=found.media_type, headers=_disposition(found, original))


def _disposition(file: PhotoFile, original: bool) -> dict[str, str]:
    kind = "attachment" if original else "inline"
    return {"Content-Disposition": f"{kind}; filename*=UTF-8''{quote(file.name, safe='')}"}
