"""The web page: static files that talk to /api/v1 only, served beside it.

The files are in `web/static/`, one JavaScript module a view, without a build step. This package serves them
in the reader's language.
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from clipsight.web.page.files import PageFiles
from clipsight.web.server.rewrite import path_below_root

if TYPE_CHECKING:
    from fastapi import FastAPI

VIEWS = ("classify", "draw", "library")
"""Views with an address of their own beside the search, which is at /."""

_FORMER_PATHS = ("en", "zh-Hant", "zh-Hans")
"""Addresses of earlier versions, one for each language."""


def mount(app: "FastAPI") -> None:
    """Add the page to `app`, which has the API, after all of its routes."""
    files = PageFiles()
    for path in ("/", *(f"/{view}" for view in VIEWS)):
        app.add_route(path, files.page, include_in_schema=False)
    app.add_route("/docs", files.docs, include_in_schema=False)
    app.add_route("/static/{version}/{path:path}", files.file, include_in_schema=False)
    for path in ("/favicon.ico", "/manifest.webmanifest", "/share.js"):
        app.add_route(path, files.root_file, include_in_schema=False)
    for language in _FORMER_PATHS:
        app.add_route(f"/{language}", _redirect_former, include_in_schema=False)
        app.add_route(f"/{language}/", _redirect_former, include_in_schema=False)
    handle: Any = app.exception_handlers[HTTPException]
    app.add_exception_handler(404, partial(_not_found, files, handle))


def _redirect_former(request: Request) -> RedirectResponse:
    """To the present address of what an earlier version showed at /en/?q=..."""
    prefix = request.scope.get("root_path", "")
    language = request.url.path.removeprefix(prefix).strip("/")
    url = request.url.include_query_params(lang=language)
    return RedirectResponse(f"{prefix}/?{url.query}", 308)


def _not_found(
    files: PageFiles,
    otherwise: Callable[[Request, Exception], Response],
    request: Request,
    error: Exception,
) -> Response:
    """A page for people who follow a wrong link; the API's own answer for programs."""
    reads = request.method == "GET" and "text/html" in request.headers.get("accept", "")
    if reads and not path_below_root(request.scope).startswith(("/api/", "/v1/", "/static/")):
        return files.not_found(request)
    return otherwise(request, error)
