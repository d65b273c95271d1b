"""Errors as responses: `{"code": ..., "detail": ...}`, a word for programs and a line for people."""

from collections.abc import Mapping, Sequence

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from clipsight.core.errors import (
    BusyError,
    ClipsightError,
    LabelError,
    ModelError,
    NoModelError,
    NotFoundError,
    PhotoError,
    QueryError,
)
from clipsight.models.encoder import Cancelled
from clipsight.web.service.payloads import json_safe

_OF_CLASSES: Sequence[tuple[type[ClipsightError], int, str]] = (
    (NotFoundError, 404, "not_found"),
    (BusyError, 409, "busy"),
    (NoModelError, 409, "nothing_indexed"),
    (QueryError, 400, "bad_query"),
    (PhotoError, 400, "bad_picture"),
    (LabelError, 400, "bad_label"),
    (ModelError, 400, "bad_model"),
    (ClipsightError, 400, "bad_library"),
)
"""Classes of errors with their status and code, subclasses first."""

_OF_STATUSES = {404: "not_found", 405: "bad_method", 408: "timeout", 413: "too_large"}

CODES = (
    *(code for _, _, code in _OF_CLASSES),
    *("bad_method", "timeout", "too_large", "bad_range", "bad_request", "stopping"),
    *("unauthorized", "other_site", "wrong_host", "bad_prefix", "invalid"),
)
"""All codes, which clients may translate."""


def error_response(
    status: int, code: str, detail: object, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """An error; `code` is one of `CODES`, `detail` the reason and what to do, as one line."""
    assert code in CODES
    content = {"code": code, "detail": json_safe(detail)}
    return JSONResponse(content, status, None if headers is None else dict(headers))


def add_error_handlers(app: FastAPI) -> None:
    """Answer the exceptions of `app` as errors with a code."""
    app.add_exception_handler(ClipsightError, _of_library)
    app.add_exception_handler(RequestValidationError, _of_validation)
    app.add_exception_handler(HTTPException, _of_http)
    app.add_exception_handler(Cancelled, _of_shutdown)


def _of_library(request: Request, error: Exception) -> Response:
    status, code = next((status, code) for kind, status, code in _OF_CLASSES if isinstance(error, kind))
    return error_response(status, code, error)


def _of_validation(request: Request, error: Exception) -> Response:
    """The places and reasons of the first errors, without the input."""
    assert isinstance(error, RequestValidationError)
    problems = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()[:5]]
    return error_response(422, "invalid", "; ".join(problems))


def _of_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = _OF_STATUSES.get(error.status_code, "bad_request")
    return error_response(error.status_code, code, error.detail, error.headers)


def _of_shutdown(request: Request, error: Exception) -> Response:
    """A response that only a client still connected at shutdown gets to see."""
    return error_response(503, "stopping", "stopped: the server is shutting down")
