"""The OpenAPI document is complete: schemathesis, which invents requests from it, finds nothing.

Examples are few and the same in every run; more of them: `st run URL/openapi.json`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx2 as httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from llm_service import sample

EXAMPLES = 12


def no_crash(_context: Any, response: Any, _case: Any) -> None:
    """A 502, 503 or 504 is described, and means what it says; a 500 is a mistake of ours."""
    assert response.status_code != 500


CHECKS = [
    no_crash,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
Start = Callable[..., Any]


@pytest.fixture(scope="module")
def open_service(start: Start) -> Any:
    return start("--no-auth", CORPUS_URI=str(sample.FOLDER / "documents.jsonl"), QUALITY_SAMPLE="0")


def explore(url: str, headers: dict[str, str]) -> list[str]:
    """Asks every operation of the document; the operations that were asked."""
    asked = []
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    for result in schema.get_all_operations():
        operation: Any = result.ok()  # type: ignore[union-attr]
        asked.append(f"{operation.method.upper()} {operation.path}")

        @settings(
            max_examples=EXAMPLES,
            derandomize=True,
            deadline=None,
            database=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def holds(case: Any) -> None:
            case.call_and_validate(headers=headers, checks=CHECKS)

        holds()
    return asked


def test_nothing_unexpected_is_found_without_tokens(open_service: Any) -> None:
    asked = explore(open_service.url, {})
    assert "POST /v1/chat/completions" in asked
    assert "POST /v1/jobs" in asked
    assert len(asked) >= 10


def test_nothing_unexpected_is_found_with_a_token(server: Any) -> None:
    explore(server.url, {"authorization": "Bearer new-token"})


def test_who_may_ask_is_in_the_document(server: Any, open_service: Any) -> None:
    guarded = httpx.get(f"{server.url}/openapi.json").json()
    for path, operations in guarded["paths"].items():
        for method, operation in operations.items():
            assert ("security" in operation) == path.startswith("/v1/")
            if "security" not in operation:
                continue
            assert operation["responses"]["401"]
            refused = httpx.request(method, server.url + path, json={})
            assert refused.status_code == 401, path
    open_document = httpx.get(f"{open_service.url}/openapi.json").json()
    assert "securitySchemes" not in open_document["components"]


def test_every_refusal_is_described(server: Any) -> None:
    document = httpx.get(f"{server.url}/openapi.json").json()
    for path, operations in document["paths"].items():
        for operation in operations.values():
            described = set(operation["responses"])
            if path.startswith("/v1/"):
                assert {"400", "401", "404", "413", "429", "500", "503"} <= described, path
    chat = document["paths"]["/v1/chat/completions"]["post"]
    asked = chat["requestBody"]["content"]["application/json"]["schema"]["$ref"]
    name = asked.rpartition("/")[2]
    assert {"messages", "tools", "temperature", "stop"} <= set(
        document["components"]["schemas"][name]["properties"]
    )
