"""Endpoints for files that are made on request: a backup, a contact sheet, and photos in a zip file."""

import shutil
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import FileResponse
from starlette.background import BackgroundTask

from clipsight.models.encoder import Stop
from clipsight.web.api.requests import PhotoId
from clipsight.web.server.cancellation import RequestThreads
from clipsight.web.service.service import Service

_SQLITE, _ZIP, _JPEG = "application/vnd.sqlite3", "application/zip", "image/jpeg"
_MAX_PHOTOS = 500

_Ids = Annotated[list[PhotoId], Query(min_length=1, max_length=_MAX_PHOTOS)]


def add_routes(router: APIRouter, service: Service, threads: RequestThreads) -> None:
    """Add the endpoints to the router of /api/v1."""

    async def made(
        request: Request, name: str, kind: str, make: Callable[[Path, Stop], None]
    ) -> FileResponse:
        """A file that `make` writes; it is deleted once it is sent."""
        folder = Path(await threads.run(tempfile.mkdtemp))
        remove = BackgroundTask(partial(shutil.rmtree, folder, ignore_errors=True))
        try:
            await threads.run_until_disconnect(request, lambda stop: make(folder / name, stop))
        except BaseException:
            await remove()
            raise
        return FileResponse(folder / name, media_type=kind, filename=name, background=remove)

    @router.get("/backup", response_class=FileResponse, responses=_file(_SQLITE), tags=["library"])
    async def backup(request: Request) -> FileResponse:
        """Get the catalog as one file, for `clipsight restore`."""
        return await made(
            request, "clipsight-backup.sqlite3", _SQLITE, lambda file, _: service.library.backup(file)
        )

    @router.get("/photos/zip", response_class=FileResponse, responses=_file(_ZIP), tags=["photos"])
    async def photos_zip(request: Request, id: _Ids) -> FileResponse:
        """Get the original files of photos in one zip file, with a list of those that could not be read."""
        return await made(
            request, "photos.zip", _ZIP, lambda file, stop: service.photos.write_zip(id, file, stop=stop)
        )

    @router.get("/photos/sheet", response_class=FileResponse, responses=_file(_JPEG), tags=["photos"])
    async def contact_sheet(
        request: Request,
        id: _Ids,
        title: Annotated[str, Query(max_length=200, description="The heading of the sheet.")] = "",
    ) -> FileResponse:
        """Get photos with their names and dates on one picture, as `clipsight search --grid` makes it."""
        return await made(
            request,
            "photos.jpg",
            _JPEG,
            lambda file, stop: service.photos.write_sheet(id, file, title=title, stop=stop),
        )


def _file(kind: str) -> dict[int | str, dict[str, Any]]:
    return {200: {"content": {kind: {}}, "description": "The file."}}
