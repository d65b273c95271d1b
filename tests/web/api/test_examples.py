"""The examples in the description of the API: each request and answer has one, which is valid."""

import json
from typing import Any

import pytest
from pydantic import BaseModel
from starlette.testclient import TestClient

from clipsight.web.api import requests, responses
from clipsight.web.api.examples import EXAMPLES

MODELS: dict[str, type[BaseModel]] = {
    name: found
    for module in (requests, responses)
    for name, found in vars(module).items()
    if isinstance(found, type) and issubclass(found, BaseModel)
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_are_valid(name: str) -> None:
    read = MODELS[name].model_validate_json(json.dumps(EXAMPLES[name]))
    assert set(EXAMPLES[name]) <= set(MODELS[name].model_fields)
    assert read.model_fields_set == set(EXAMPLES[name])


def test_every_request_and_answer_has_an_example(client: TestClient) -> None:
    described = client.get("/api/v1/openapi.json").json()
    used = 0
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            bodies = [operation.get("requestBody", {}), operation["responses"].get("200", {})]
            for body in (*bodies, operation["responses"].get("201", {})):
                schema: dict[str, Any] = body.get("content", {}).get("application/json", {}).get("schema", {})
                name = schema.get("items", schema).get("$ref", "").rpartition("/")[2]
                if name:
                    used += 1
                    assert described["components"]["schemas"][name]["examples"], f"{method} {path}: {name}"
    assert used > 20
