"""The API against its OpenAPI description: any request gets a described response, never a 5xx."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.core.result import Ok
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi import checks

from clipsight.web.service.service import Service
from tests.support.samples import copy_samples
from tests.support.serving import application, indexed

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
    app = application(service)
    schema = schemathesis.openapi.from_asgi("/api/v1/openapi.json", app, headers=_HEADERS)
    tried = 0
    for result in schema.get_all_operations():
        assert isinstance(result, Ok)
        operation = result.ok()

        @_settings
        @given(case=operation.as_strategy(generation_mode=mode))
        def try_it(case: "schemathesis.Case[Any]") -> None:
            case.call_and_validate(checks=_CHECKS, headers=_HEADERS)

        with suppress(Unsatisfiable):  # there is nothing that this endpoint would not take
            try_it()
            tried += 1
    assert tried > 10
