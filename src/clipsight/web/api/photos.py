"""Endpoints for single photos: metadata, thumbnails, files."""

from dataclasses import asdict
from functools import partial
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Query, Request, Response
from fastapi import Path as InPath

from clipsight.web.api.partial import data_response, is_unchanged
from clipsight.web.api.requests import Browse, PhotoId, Upload
from clipsight.web.api.responses import ListingAnswer, PhotoAnswer, UploadAnswer
from clipsight.web.server.cancellation import RequestThreads
from clipsight.web.service.payloads import PhotoFile, json_safe
from clipsight.web.service.photos import THUMBNAIL_SIZES
from clipsight.web.service.service import Service

UploadPathId = Annotated[str, InPath(max_length=64)]
_JPEG: dict[int | str, dict[str, Any]] = {200: {"content": {"image/jpeg": {}}, "description": "A picture."}}
_FILE: dict[int | str, dict[str, Any]] = {
    200: {"content": {"image/*": {}}, "description": "A picture; with `original`, of the file's own type."},
    206: {"content": {"image/*": {}}, "description": "The range of the file that `Range` names."},
    416: {"description": "The file has no bytes in this range."},
}


def add_routes(router: APIRouter, service: Service, threads: RequestThreads) -> None:
    """Add the endpoints to the router of /api/v1."""

    @router.get("/photos", response_model=ListingAnswer, tags=["photos"])
    async def photos(parameters: Annotated[Browse, Query()]) -> dict[str, Any]:
        """List photos without a query, the newest first; `total` counts all that pass the filters."""
        found = await threads.run(
            lambda: service.browse(
                parameters.search_filters(),
                folders=parameters.folder,
                top=parameters.top,
                offset=parameters.offset,
                duplicates=parameters.duplicates,
            )
        )
        listed = [{**asdict(photo), "path": json_safe(photo.path)} for photo in found.photos]
        return {"photos": listed, "total": found.total}

    @router.post("/uploads", response_model=UploadAnswer, status_code=201, tags=["photos"])
    async def upload(request: Request, body: Upload) -> dict[str, str]:
        """Keep a picture, so that later queries name it by its id; the oldest are dropped."""
        id_ = await threads.run_until_disconnect(
            request, lambda stop: service.uploads.keep(body.part(), stop=stop)
        )
        return {"id": id_}

    @router.get("/uploads/{id}/thumbnail", response_class=Response, responses=_JPEG, tags=["photos"])
    async def upload_thumbnail(
        request: Request, id: UploadPathId, size: Annotated[int, Query(ge=1, le=THUMBNAIL_SIZES[-1])] = 320
    ) -> Response:
        """Get a small upright JPEG of a kept picture."""
        data = await threads.run_until_disconnect(
            request, lambda stop: service.uploads.thumbnail(id, size, stop=stop)
        )
        headers = {"Cache-Control": "private, max-age=86400, immutable"}
        return Response(data, media_type="image/jpeg", headers=headers)

    @router.get("/photos/{id}", response_model=PhotoAnswer, tags=["photos"])
    async def photo(
        id: PhotoId, location: Annotated[bool, Query(description="Include the coordinates.")] = False
    ) -> dict[str, Any]:
        """Get the metadata of a photo."""
        found = asdict(await threads.run(partial(service.photos.details, id, location=location)))
        return {**found, "path": json_safe(found["path"])}

    @router.get("/photos/{id}/thumbnail", response_class=Response, responses=_JPEG, tags=["photos"])
    async def thumbnail(
        request: Request,
        id: PhotoId,
        size: Annotated[
            int, Query(ge=1, le=THUMBNAIL_SIZES[-1], description=f"Rounded up to one of {THUMBNAIL_SIZES}.")
        ] = 320,
    ) -> Response:
        """Get a small upright JPEG without metadata."""
        found = await threads.run_until_disconnect(
            request, lambda stop: service.photos.thumbnail(id, size, stop=stop)
        )
        headers = {"ETag": f'"{found.tag}"', "Cache-Control": "private, max-age=3600"}
        if is_unchanged(request, headers["ETag"]):
            return Response(status_code=304, headers=headers)
        return Response(found.data, media_type="image/jpeg", headers=headers)

    @router.get("/photos/{id}/file", response_class=Response, responses=_FILE, tags=["photos"])
    async def file(
        request: Request,
        id: PhotoId,
        original: Annotated[
            bool, Query(description="The file byte for byte, with all its metadata, such as the coordinates.")
        ] = False,
    ) -> Response:
        """Get the photo at full size, or a range of it: a JPEG without metadata, or the original file."""
        found = await threads.run_until_disconnect(
            request, lambda stop: service.photos.file(id, original=original, stop=stop)
        )
        return data_response(request, found.data, found.media_type, _disposition(found, original))


def _disposition(file: PhotoFile, original: bool) -> dict[str, str]:
    kind = "attachment" if original else "inline"
    return {"Content-Disposition": f"{kind}; filename*=UTF-8''{quote(file.name, safe='')}"}
