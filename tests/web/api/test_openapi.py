"""The API against its OpenAPI description: any request gets a described response, never a 5xx."""

import asyncio
import json
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

import httpx2
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.core.result import Ok
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi import checks
from starlette.testclient import TestClient
from starlette.types import ASGIApp

from clipsight.web.service.service import Service
from tests.support.samples import copy_samples
from tests.support.serving import BASE_URL, application, client_of, indexed

pytestmark = pytest.mark.slow

_settings = settings(
    max_examples=int(os.environ.get("CLIPSIGHT_API_EXAMPLES", "15")),
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=True,
    database=None,
)
_CHECKS = [
    schemathesis.checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]
_HEADERS = {"Host": "localhost"}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("openapi")
    with indexed(folder / "library", copy_samples(folder / "photos"), tiny_model) as service:
        yield service


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_no_request_is_a_server_error(service: Service, mode: GenerationMode) -> None:
    tried = 0
    with client_of(service) as client:
        session = cast(Any, client)  # which a schema of an application takes in place of a `Session`
        schema = schemathesis.openapi.from_asgi("/api/v1/openapi.json", client.app, headers=_HEADERS)
        for result in schema.get_all_operations():
            assert isinstance(result, Ok)
            operation = result.ok()

            @_settings
            @given(case=operation.as_strategy(generation_mode=mode))
            def try_it(case: "schemathesis.Case[Any]") -> None:
                case.call_and_validate(checks=_CHECKS, headers=_HEADERS, session=session)

            with suppress(Unsatisfiable):  # there is nothing that this endpoint would not take
                try_it()
                tried += 1
    assert tried > 10


NO_VALUES: list[Any] = [
    2**63,
    -(2**63) - 1,
    -1,
    0,
    1e308,
    "9" * 5000,
    "nan",
    "-inf",
    "1e400",
    "１２",
    "0x10",
    "1_000",
    "",
    " ",
    "2024-02-30",
    "9999-12-31T23:59:60",
    "\x00",
    "\x1b[31m\n",
    "../../etc/passwd",
    "%00%ff",
]
"""Values for every parameter of every endpoint, whatever its type."""

OTHER_FIELDS = '"query": "cat", "labels": ["cat", "dog"], "everything": true'

RAW_NUMBERS = [
    "NaN",
    "-Infinity",
    "1e400",
    "9" * 5000,
    "-0",
    '"\\ud800"',
    "[" * 500 + "]" * 500,
    "{}",
    "null",
]
"""JSON, or nearly, for every field of every body."""


def _operations(app: ASGIApp) -> Iterator[tuple[str, str, dict[str, Any], dict[str, Any]]]:
    """Method, path, operation, and the schema of its body without references."""
    described = TestClient(app, base_url=BASE_URL).get("/api/v1/openapi.json").json()
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            content = operation.get("requestBody", {}).get("content", {})
            schema = content.get("application/json", {}).get("schema", {})
            name = schema.get("$ref", "").rpartition("/")[2]
            yield method, path, operation, described["components"]["schemas"].get(name, {})


def _answered(app: ASGIApp, requests: list[tuple[object, dict[str, Any]]]) -> None:
    """Send `requests`, each with what names it in an error, and check that each is answered.

    They go from one event loop, for Starlette's test client starts a thread for each.
    """

    async def send() -> None:
        transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url=BASE_URL) as client:
            for sent, request in requests:
                response = await client.request(**request)
                assert response.status_code < 500, f"{sent}: {response.text[:300]}"
                if response.status_code >= 400:
                    detail = response.json()["detail"]
                    assert isinstance(detail, str) and detail and "\n" not in detail, f"{sent}: {detail!r}"

    asyncio.run(send())


def test_every_parameter_takes_or_refuses_any_value(service: Service) -> None:
    app = application(service)
    requests: list[tuple[object, dict[str, Any]]] = []
    for method, path, operation, _ in _operations(app):
        for parameter in operation.get("parameters", ()):
            for text in map(str, NO_VALUES):
                address, query = path, {}
                if parameter["in"] == "path":
                    address = path.replace(f"{{{parameter['name']}}}", quote(text, safe="") or "%20")
                elif parameter["in"] == "query":
                    query = {"q": "cat", parameter["name"]: text}
                    query = {name: each for name, each in query.items() if name != "q" or "search" in path}
                address = re.sub(r"\{\w+\}", "1", address)
                request = {"method": method.upper(), "url": address, "params": query}
                requests.append(((method, path, parameter["name"], text[:30]), request))
    assert len(requests) > 20 * len(NO_VALUES)
    _answered(app, requests)


def test_every_field_of_a_body_takes_or_refuses_any_value(service: Service) -> None:
    app = application(service)
    headers = {"Content-Type": "application/json"}
    requests: list[tuple[object, dict[str, Any]]] = []
    for method, path, _, schema in _operations(app):
        for field in schema.get("properties", {}):
            for raw in [*RAW_NUMBERS, *map(json.dumps, NO_VALUES)]:
                member = f"{json.dumps(field)}: {raw}"
                for body in (f"{{{member}}}", f"{{{OTHER_FIELDS}, {member}}}"):
                    request = {"method": method.upper(), "url": path, "content": body, "headers": headers}
                    requests.append(((method, path, body[:80]), request))
    assert len(requests) > 40 * len(RAW_NUMBERS)
    _answered(app, requests)
