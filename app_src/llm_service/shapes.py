"""OpenAI's chat-completions shapes, as far as they mean something here, and those of search and
feedback.

Parameters without a meaning for an extractive answerer (temperature, tools, seed ...) are taken
and have no effect; `model` is one of them: which model answers is the release's decision.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, StringConstraints

from llm_service.provider import Turn

MAX_TEXT = 32_768
"""Characters of one message: more than any handbook question, less than a denial of service."""

Text = Annotated[str, StringConstraints(max_length=MAX_TEXT)]
Score = Annotated[float, Field(description="BM25; comparable within one answer only")]


class TextPart(BaseModel):
    type: Literal["text"]
    text: Text


class Message(BaseModel):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: Text | Annotated[list[TextPart], Field(max_length=64)] | None = None

    def turn(self) -> Turn:
        """The message as providers read it."""
        if isinstance(self.content, list):
            return Turn(self.role, " ".join(part.text for part in self.content))
        return Turn(self.role, self.content or "")


class StreamOptions(BaseModel):
    include_usage: bool = False


class ChatRequest(BaseModel):
    messages: Annotated[list[Message], Field(min_length=1, max_length=256)]
    model: str = ""
    stream: bool = False
    stream_options: StreamOptions | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    n: Annotated[int, Field(ge=1, le=1)] | None = None
    metadata: Any = None

    @property
    def limit(self) -> int | None:
        """How many tokens the answer may have; None for as many as it takes."""
        return self.max_completion_tokens or self.max_tokens

    @property
    def feature(self) -> object:
        """What the metadata say the question is part of; anything at all, or None."""
        return self.metadata.get("feature") if isinstance(self.metadata, dict) else None


class Source(BaseModel):
    """Where an answer comes from: this service's own field beside OpenAI's."""

    id: str
    title: str
    score: Score


class Usage(BaseModel):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class AssistantMessage(BaseModel):
    role: Literal["assistant"] = "assistant"
    content: str
    refusal: None = None


class Choice(BaseModel):
    index: int = 0
    message: AssistantMessage
    logprobs: None = None
    finish_reason: Literal["stop", "length"]


class ChatCompletion(BaseModel):
    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    system_fingerprint: str
    choices: list[Choice]
    usage: Usage
    sources: list[Source]


class Delta(BaseModel):
    role: Literal["assistant"] | None = None
    content: str | None = None


class ChunkChoice(BaseModel):
    index: int = 0
    delta: Delta
    finish_reason: Literal["stop", "length"] | None = None


class ChatChunk(BaseModel):
    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    system_fingerprint: str
    choices: list[ChunkChoice]
    usage: Usage | None = None
    sources: list[Source] | None = None


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
    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = "handbook"


class ModelList(BaseModel):
    object: Literal["list"] = "list"
    data: list[Model]
