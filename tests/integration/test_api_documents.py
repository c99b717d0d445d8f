"""What OpenAPI says of the API is sound, complete, and the same each time it is asked for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest
from django.conf import settings
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiJsonRenderer
from drf_spectacular.validation import validate_schema
from openapi_spec_validator import OpenAPIV30SpecValidator

from notifications.api.operations import QUERY
from scheduler.api.operations import PARAMETERS
from scheduler.config_file import load_schema
from tests.api_client import API, TokenClient

BODIES = {"post", "put", "patch"}


def generate() -> dict[str, Any]:
    document: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    return document


def references(value: Any) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"]} if "$ref" in value else set()
        return own.union(*(references(inner) for inner in value.values()))
    return set().union(*(references(inner) for inner in value)) if isinstance(value, list) else set()


def operations(document: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [(method, inner) for path in document["paths"].values() for method, inner in path.items()]


def test_the_document_is_the_same_byte_for_byte_each_time_it_is_generated() -> None:
    texts = [json.dumps(generate()) for _ in range(3)]

    assert texts[0] == texts[1] == texts[2]


@pytest.mark.django_db
def test_the_document_that_is_served_twice_is_the_same_byte_for_byte(editor: TokenClient) -> None:
    answers = [editor.get(f"/api/schema?format={kind}").content for kind in ("json", "json", "yaml", "yaml")]

    assert answers[0] == answers[1]
    assert answers[2] == answers[3]


def test_a_process_that_begins_generates_what_one_does_that_has_generated_before() -> None:
    generate()
    texts = {
        subprocess.run(
            [sys.executable, "manage.py", "spectacular", "--format", "openapi-json", "--fail-on-warn"],
            cwd=settings.BASE_DIR,
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }

    assert texts == {OpenApiJsonRenderer().render(generate()) + b"\n"}


def test_each_generation_is_valid_and_refers_to_nothing_that_is_not_there() -> None:
    for _ in range(2):
        document = generate()
        known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}

        validate_schema(document)
        assert [error.message for error in OpenAPIV30SpecValidator(document).iter_errors()] == []
        assert references(document) <= known


def test_generating_changes_none_of_the_schemas_that_are_shared() -> None:
    shared = [load_schema(), PARAMETERS, QUERY]
    before = json.dumps(shared)

    generate()

    assert json.dumps(shared) == before


def test_each_operation_documents_what_any_of_them_can_answer() -> None:
    for method, operation in operations(generate()):
        expected = {"400", "401", "403", "406", "429", "503", "507"}
        expected |= {"408", "413", "415"} if method in BODIES else set()

        assert expected <= set(operation["responses"]), operation["operationId"]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        (406, {"Accept": "image/png"}, b""),
        (413, {}, b"[" + b" " * (6 << 20) + b"]"),
        (415, {"Content-Type": "text/plain"}, b"hello"),
    ],
    ids=["not acceptable", "too large", "not JSON"],
)
def test_what_any_operation_can_answer_is_what_it_answers(
    editor: TokenClient, status: int, headers: dict[str, str], body: bytes
) -> None:
    sent = {"Content-Type": "application/json", **headers}
    answer = editor.client.generic(
        "POST", f"{API}/tasks", body, sent["Content-Type"], headers={**editor.headers, **sent}
    )

    assert (answer.status_code, answer["Content-Type"]) == (status, "application/problem+json")
