"""Errors as responses: each class of the library has a code of its own."""

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from clipsight.core import errors
from clipsight.core.errors import ClipsightError
from clipsight.models.encoder import Cancelled
from clipsight.web.server.errors import CODES, add_error_handlers


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (errors.NotFoundError("x"), 404, "not_found"),
        (errors.BusyError("x"), 409, "busy"),
        (errors.NoModelError("x"), 409, "nothing_indexed"),
        (errors.QueryError("x"), 400, "bad_query"),
        (errors.UploadError("x"), 400, "bad_picture"),
        (errors.LabelError("x"), 400, "bad_label"),
        (errors.ModelError("x"), 400, "bad_model"),
        (errors.LibraryError("x"), 400, "bad_library"),
        (Cancelled(), 503, "stopping"),
    ],
)
def test_every_kind_of_error_has_its_code(error: Exception, status: int, code: str) -> None:
    app = FastAPI()
    add_error_handlers(app)

    @app.get("/")
    def fail() -> None:
        raise error

    answer = TestClient(app).get("/")
    assert answer.status_code == status and answer.json()["code"] == code
    assert answer.json()["detail"] == "x" or isinstance(error, Cancelled)


def test_errors_of_the_framework_have_codes_too() -> None:
    app = FastAPI()
    add_error_handlers(app)

    @app.get("/{number}")
    def found(number: int) -> int:
        return number

    client = TestClient(app)
    for method, path, code in (
        ("GET", "/no/such/path", "not_found"),
        ("DELETE", "/1", "bad_method"),
        ("GET", "/x", "invalid"),
    ):
        assert client.request(method, path).json()["code"] == code


def test_codes_are_distinct_and_cover_the_library() -> None:
    assert len(set(CODES)) == len(CODES)
    assert issubclass(errors.UploadError, ClipsightError)
