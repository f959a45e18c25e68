"""The shapes of search, feedback and models; a chat's are in `chat.wire` and `chat.shape`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field, StringConstraints

from llm_service.chat.wire import MAX_TEXT

Text = Annotated[str, StringConstraints(max_length=MAX_TEXT)]
Score = Annotated[float, Field(description="Comparable within one answer only.")]


class SearchRequest(BaseModel):
    query: Annotated[str, StringConstraints(min_length=1, max_length=MAX_TEXT)]
    top_k: Annotated[int, Field(ge=1, le=10)] = 5


class SearchResult(BaseModel):
    id: str
    title: str
    text: str
    score: Score


class SearchResponse(BaseModel):
    results: list[SearchResult]


class FeedbackRequest(BaseModel):
    response_id: Annotated[str, StringConstraints(min_length=1, max_length=128)]
    thumb: Literal["up", "down"]
    comment: Annotated[str, StringConstraints(max_length=4096)] | None = None


class FeedbackTaken(BaseModel):
    """`release` is the one that gave the answer."""

    object: Literal["feedback"] = "feedback"
    response_id: str
    thumb: Literal["up", "down"]
    release: str


class Model(BaseModel):
    """Something that a request's `model` may name: a feature of the release, or a model that one
    of its features asks."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str


class ModelList(BaseModel):
    object: Literal["list"] = "list"
    data: list[Model]


class Health(BaseModel):
    status: Literal["ok"]


class ErrorDetail(BaseModel):
    message: str
    type: str
    param: str | None
    code: str | None


class ErrorBody(BaseModel):
    """Every refusal, as OpenAI words it."""

    error: ErrorDetail
