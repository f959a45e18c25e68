"""The OpenAPI document: what FastAPI knows, the chat's shapes, every refusal, and who may ask."""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from llm_service.chat.shape import ChatCompletion
from llm_service.chat.state import PATH
from llm_service.chat.wire import ChatRequest
from llm_service.health import PATHS as OPEN
from llm_service.shapes import ErrorBody

Document = dict[str, Any]

TEMPLATE = "#/components/schemas/{name}"
BEARER = "bearer"
REFUSALS = {
    "400": "Something in the request is wrong; `param` says what.",
    "401": "The bearer token is missing or unknown.",
    "404": "There is nothing of this name.",
    "408": "The body did not come in time.",
    "413": "The body is larger than a megabyte.",
    "429": "A limit is reached, or a budget is spent; Retry-After says when to come back.",
    "431": "The headers are larger than 64 KB.",
    "500": "The service failed.",
    "502": "The model provider answered with something that is no answer.",
    "503": "The service, or the model provider, is not ready.",
    "504": "The model provider took too long.",
}
OF_CHATS = ("502", "504")
EXAMPLE = {
    "model": "default",
    "messages": [{"role": "user", "content": "How many days of leave does everyone have?"}],
}


def _of(role: str, then: Document) -> Document:
    return {"if": {"properties": {"role": {"const": role}}}, "then": then}


def _needs(name: str, schema: Document) -> Document:
    return {"required": [name], "properties": {name: schema}}


SAID = {"not": {"type": "null"}}
MESSAGES = [
    _of("user", _needs("content", SAID)),
    _of("assistant", {
        "anyOf": [
            _needs("content", SAID),
            _needs("refusal", SAID),
            _needs("tool_calls", {"type": "array", "minItems": 1}),
        ]
    }),
    _of("tool", _needs("tool_call_id", {"type": "string", "minLength": 1})),
]  # fmt: skip
"""What a message must hold, by its role; the shape of all of them is `ChatMessage`."""


def install(api: FastAPI, *, guarded: bool) -> None:
    """Makes the document complete; `guarded` if a token is asked for."""

    def document() -> Document:
        if api.openapi_schema is None:
            made = get_openapi(
                title=api.title,
                version="1",
                description=(
                    "Answers questions from a corpus over OpenAI's API. Every answer carries "
                    "x-llmops-release and x-request-id."
                ),
                routes=api.routes,
            )
            api.openapi_schema = completed(made, guarded=guarded)
        return api.openapi_schema

    api.openapi = document  # type: ignore[method-assign]


def completed(document: Document, *, guarded: bool) -> Document:
    """The document with what FastAPI does not know of."""
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    _add_chat(document["paths"][PATH]["post"], schemas)
    schemas["ErrorBody"] = ErrorBody.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(schemas["ErrorBody"].pop("$defs", {}))
    for path, operations in document["paths"].items():
        for operation in operations.values():
            _add_refusals(path, operation, guarded)
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    if guarded:
        scheme = {"type": "http", "scheme": "bearer"}
        components["securitySchemes"] = {BEARER: scheme}
    return document


def _add_chat(operation: Document, schemas: Document) -> None:
    (request, response), found = msgspec.json.schema_components(
        [ChatRequest, ChatCompletion], ref_template=TEMPLATE
    )
    schemas.update(found)
    schemas["ChatMessage"]["allOf"] = MESSAGES
    operation["requestBody"] = {
        "required": True,
        "content": {"application/json": {"schema": request, "example": EXAMPLE}},
    }
    operation["parameters"] = [
        _header("x-llmops-feature", "The feature that answers, or a label for the metrics."),
        _header(
            "x-llmops-timeout",
            "Seconds that the answer may take.",
            {"type": "number", "exclusiveMinimum": 0},
        ),
        _header("x-llmops-conversation", "Whose conversation it is, for experiments."),
        _header("cache-control", "`no-cache` for a new answer, `no-store` to have none kept."),
    ]
    operation["responses"]["200"]["content"] = {
        "application/json": {"schema": response},
        "text/event-stream": {"schema": {"type": "string"}},
    }


def _header(name: str, description: str, schema: Document | None = None) -> Document:
    schema = schema or {"type": "string"}
    return {"name": name, "in": "header", "description": description, "schema": schema}


def _add_refusals(path: str, operation: Document, guarded: bool) -> None:
    responses = operation["responses"]
    if "HTTPValidationError" in str(responses.get("422")):
        del responses["422"]
    if path in OPEN:
        _add_open(path, responses)
        return
    for status in REFUSALS:
        if status not in OF_CHATS or path == PATH:
            responses.setdefault(status, _refusal(status))
    if guarded:
        operation["security"] = [{BEARER: []}]
    else:
        responses.pop("401", None)


def _add_open(path: str, responses: Document) -> None:
    """What may be read without a token."""
    if path == "/metrics":
        responses["200"]["content"] = {"text/plain": {"schema": {"type": "string"}}}
    if path == "/readyz":
        body = {"application/json": {"schema": {"type": "object"}}}
        responses["200"]["content"] = body
        responses["503"] = {"description": "Not ready; the body says why.", "content": body}


def _refusal(status: str) -> Document:
    schema = {"$ref": TEMPLATE.format(name="ErrorBody")}
    return {
        "description": REFUSALS[status],
        "content": {"application/json": {"schema": schema}},
    }
