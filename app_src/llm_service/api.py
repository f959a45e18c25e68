"""The routes: OpenAI's chat completions and models, search, feedback, health and readiness."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from llm_service.embedded import MODEL
from llm_service.errors import ApiError
from llm_service.service import Service
from llm_service.shapes import (
    ChatCompletion,
    ChatRequest,
    FeedbackRequest,
    FeedbackTaken,
    Model,
    ModelList,
    SearchRequest,
    SearchResponse,
    SearchResult,
)

router = APIRouter()

JSON = "application/json"

MODEL_CREATED = 1_767_225_600
"""2026-01-01, in epoch seconds: OpenAI's shape wants a date for each model."""


@router.post("/v1/chat/completions", response_model=ChatCompletion)
async def chat(asked: ChatRequest, request: Request) -> Response:
    """Answers the last user message from the corpus, whole or streamed."""
    turns = [message.turn() for message in asked.messages]
    if not any(turn.role == "user" and turn.content.strip() for turn in turns):
        raise ApiError(400, "messages: none is a question of the user.", param="messages")
    request.state.feature = asked.feature
    completion = await _service(request).complete(turns, asked.limit)
    request.state.answered = completion.measured
    request.state.guarded = completion.guarded
    if not asked.stream:
        return Response(completion.whole(), media_type=JSON)
    usage = asked.stream_options is not None and asked.stream_options.include_usage
    return StreamingResponse(completion.events(usage), media_type="text/event-stream")


@router.post("/v1/search", response_model=SearchResponse)
async def search(asked: SearchRequest, request: Request) -> Response:
    """The documents that match the query best, best first; none if no word of it is known."""
    found = _service(request).library.search(asked.query, asked.top_k)
    results = [
        SearchResult(
            id=hit.passage.document.id,
            title=hit.passage.document.title,
            text=hit.passage.document.text,
            score=hit.score,
        )
        for hit in found
    ]
    return Response(SearchResponse(results=results).model_dump_json(), media_type=JSON)


@router.post("/v1/feedback", response_model=FeedbackTaken)
async def feedback(given: FeedbackRequest, request: Request) -> Response:
    """Takes a thumb on an answer of any release; the last one on an answer counts."""
    service = _service(request)
    release = await service.give_feedback(given.response_id, given.thumb, given.comment)
    taken = FeedbackTaken(response_id=given.response_id, thumb=given.thumb, release=release)
    return Response(taken.model_dump_json(), media_type=JSON)


@router.get("/v1/models")
async def models() -> ModelList:
    """The one model of this release."""
    return ModelList(data=[Model(id=MODEL, created=MODEL_CREATED)])


@router.get("/v1/models/{name}")
async def model(name: str) -> Model:
    """The model, if `name` is its name."""
    if name != MODEL:
        raise ApiError(404, f"There is no model {name!r}: use {MODEL}.", code="model_not_found")
    return Model(id=MODEL, created=MODEL_CREATED)


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """200 as long as the process answers."""
    return {"status": "ok"}


@router.get("/readyz")
async def readyz(request: Request) -> Response:
    """200 if corpus and database are there, else 503; the body says which is not."""
    ready, body = await _service(request).readiness()
    return JSONResponse(body, 200 if ready else 503)


def _service(request: Request) -> Service:
    service: Any = request.app.state.service
    assert isinstance(service, Service)
    return service
