"""What a job is asked with, and what is told of it."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from llm_service.evaluations.shapes import EvaluationRequest
from llm_service.jobs.job import Endpoint, Status
from llm_service.shapes import SearchRequest

MOST_METADATA = 16
"""Pairs of metadata, as OpenAI's API allows them; so are their lengths."""

STREAMING = frozenset({"stream", "stream_options"})

Key = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Value = Annotated[str, StringConstraints(max_length=512)]


Metadata = Annotated[dict[Key, Value], Field(max_length=MOST_METADATA)] | None


class ChatJob(BaseModel):
    """A chat; it is answered in one piece, `stream` has no effect."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "endpoint": "/v1/chat/completions",
                    "body": {"messages": [{"role": "user", "content": "Who founded the company?"}]},
                }
            ]
        }
    )

    endpoint: Literal["/v1/chat/completions"]
    body: dict[str, Any]
    metadata: Metadata = None

    def content(self) -> bytes:
        """The body as it is kept. Raises RecursionError for one that is nested too deeply."""
        kept = {name: value for name, value in self.body.items() if name not in STREAMING}
        return json.dumps(kept, separators=(",", ":")).encode()


class EvaluationJob(BaseModel):
    """An evaluation."""

    endpoint: Literal["/v1/evaluations"]
    body: EvaluationRequest
    metadata: Metadata = None

    def content(self) -> bytes:
        """The body as it is kept."""
        return self.body.model_dump_json().encode()


class SearchJob(BaseModel):
    """A search."""

    endpoint: Literal["/v1/search"]
    body: SearchRequest
    metadata: Metadata = None

    def content(self) -> bytes:
        """The body as it is kept."""
        return self.body.model_dump_json().encode()


JobRequest = Annotated[ChatJob | EvaluationJob | SearchJob, Field(discriminator="endpoint")]
"""`body` is what would be posted to `endpoint`."""


class JobView(BaseModel):
    """A job; times are epoch seconds. `result` is the body that the endpoint answered, `error` its
    error object with the status it came with. An expired job has lost both."""

    id: str
    object: Literal["job"] = "job"
    status: Status
    endpoint: Endpoint
    created_at: int
    started_at: int | None
    finished_at: int | None
    expires_at: int
    attempts: int
    metadata: dict[str, str]
    result: dict[str, Any] | None
    error: dict[str, Any] | None
