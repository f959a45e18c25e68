"""The routes: OpenAI's chat completions and models, search, feedback, health and readiness.

Those of chats, health and readiness are here for the OpenAPI document, and for whoever mounts the
FastAPI application alone: `chat.shim` answers them before FastAPI sees the request.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from llm_service.auth import ANONYMOUS
from llm_service.chat.admitting import target
from llm_service.chat.state import PATH
from llm_service.embedded import MODEL
from llm_service.errors import JSON, ApiError
from llm_service.health import Health as Pages
from llm_service.service import Service
from llm_service.shapes import (
    FeedbackRequest,
    FeedbackTaken,
    Health,
    Model,
    ModelList,
    SearchRequest,
    SearchResponse,
)

router = APIRouter()

MODEL_CREATED = 1_767_225_600
"""2026-01-01, in epoch seconds: OpenAI's shape wants a date for each model."""


class Handled(Response):
    """An answer that `given` gives."""

    def __init__(self, given: ASGIApp) -> None:
        super().__init__()
        self._given = given

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._given(scope, receive, send)


@router.post(PATH)
async def chat(request: Request) -> Response:
    """Answers a conversation, whole or as server-sent events (`stream`)."""
    return Handled(_service(request).handler)


@router.post("/v1/search", response_model=SearchResponse)
async def search(asked: SearchRequest, request: Request) -> Response:
    """The documents that match the query best, best first; none if no word of it is known."""
    service = _service(request)
    principal = getattr(request.state, "principal", ANONYMOUS)
    admission = service.limits.admit(principal, "search", 0)
    found = await service.search(asked)
    headers = service.limits.headers(admission)
    return Response(found.model_dump_json(), headers=headers, media_type=JSON)


@router.post("/v1/feedback", response_model=FeedbackTaken)
async def feedback(given: FeedbackRequest, request: Request) -> Response:
    """Takes a thumb on an answer of any release; the last one on an answer counts."""
    release = await _service(request).give_feedback(given)
    taken = FeedbackTaken(response_id=given.response_id, thumb=given.thumb, release=release)
    return Response(taken.model_dump_json(), media_type=JSON)


@router.get("/v1/models")
async def models(request: Request) -> ModelList:
    """What `model` may name: the features of this release, then the models they ask."""
    return ModelList(data=list(_models(_service(request))))


@router.get("/v1/models/{name:path}")
async def model(name: str, request: Request) -> Model:
    """One of them, by its name."""
    found = next((each for each in _models(_service(request)) if each.id == name), None)
    if found is None:
        raise ApiError(
            404,
            "There is no model of this name: GET /v1/models lists them.",
            code="model_not_found",
            param="model",
        )
    return found


@router.get("/healthz", response_model=Health)
async def healthz(request: Request) -> Response:
    """200 as long as the process answers."""
    return Handled(Pages(_service(request)))


@router.get("/readyz")
async def readyz(request: Request) -> Response:
    """200 if corpus and database are there, else 503; the body says how every part stands."""
    return Handled(Pages(_service(request)))


@router.get("/metrics")
async def metrics(request: Request) -> Response:
    """Counters and histograms of this process, for Prometheus."""
    return Handled(Pages(_service(request)))


def _models(service: Service) -> Iterator[Model]:
    """Each name once: a feature goes before a model of its name."""
    features = service.bundle.features
    for name in features:
        yield Model(id=name, created=MODEL_CREATED, owned_by="feature")
    if "default" not in features:
        yield Model(id="default", created=MODEL_CREATED, owned_by="feature")
    asked = (
        each
        for feature in features.values()
        for name in (*feature.models, *feature.cheaper)
        if (each := target(name))
    )
    listed = {each.model: each.provider for each in asked}
    for name, provider in {**listed, MODEL: "embedded"}.items():
        if name not in features:
            yield Model(id=name, created=MODEL_CREATED, owned_by=provider)


def _service(request: Request) -> Service:
    service: Any = request.app.state.service
    assert isinstance(service, Service)
    return service
