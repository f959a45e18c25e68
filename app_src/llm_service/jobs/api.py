"""`POST /v1/jobs` and `GET /v1/jobs/{id}`."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Request, Response

from llm_service.auth import ANONYMOUS, Principal
from llm_service.errors import ApiError
from llm_service.jobs.job import Job
from llm_service.jobs.shapes import JobRequest, JobView
from llm_service.shapes import ErrorBody

router = APIRouter()

ID = re.compile(r"job_[0-9a-f]{32}")
Key = Annotated[
    str | None,
    Header(
        description="The same key and request give the same job.",
        max_length=255,
        pattern=r"^[\x21-\x7e]+$",
    ),
]
"""Visible ASCII."""
SOON, LATE = 1, 30
"""Seconds after which a client should look again, at least and at most."""


@router.post(
    "/v1/jobs",
    response_model=JobView,
    status_code=202,
    responses={409: {"model": ErrorBody, "description": "Another request had this key."}},
)
async def submit(
    asked: JobRequest,
    request: Request,
    response: Response,
    idempotency_key: Key = None,
) -> JobView:
    """Takes a request that may outlast its connection; fetch the answer by the job's id."""
    job = await request.app.state.service.jobs.submit(
        asked.endpoint,
        _content(asked),
        _principal(request),
        metadata=asked.metadata or {},
        key=idempotency_key,
    )
    response.headers["location"] = f"/v1/jobs/{job.id}"
    return _view(job, response)


@router.get("/v1/jobs/{job_id}", response_model=JobView)
async def job(
    job_id: Annotated[str, Path(max_length=128)], request: Request, response: Response
) -> JobView:
    """A job of the same principal; its `result` or `error` once it has ended."""
    known = bool(ID.fullmatch(job_id))
    jobs = request.app.state.service.jobs
    found = await jobs.find(_principal(request), job_id) if known else None
    if found is None:
        raise ApiError(
            404, "id: there is no job with this id; submit it again.", code="job_not_found"
        )
    return _view(found, response)


def _content(asked: JobRequest) -> bytes:
    """The body as it is kept. Raises ApiError for one that is nested too deeply."""
    try:
        return asked.content()
    except RecursionError:
        raise ApiError(
            400, "body: it is nested too deeply.", code="invalid_value", param="body"
        ) from None


def _principal(request: Request) -> Principal:
    """Who asks, as the guard in front found it."""
    found: Principal = getattr(request.state, "principal", None) or ANONYMOUS
    return found


def _view(found: Job, response: Response) -> JobView:
    if found.status in ("queued", "running"):
        response.headers["retry-after"] = str(_again(found))
    return JobView(
        id=found.id,
        status=found.status,
        endpoint=found.endpoint,
        created_at=int(found.created_at),
        started_at=_whole(found.started_at),
        finished_at=_whole(found.finished_at),
        expires_at=int(found.expires_at),
        attempts=found.attempts,
        metadata=found.metadata,
        result=_object(found.result),
        error=found.error,
    )


def _again(found: Job) -> int:
    """Seconds until a look is worth it: longer for a job that others tried before."""
    return int(min(LATE, max(SOON, 2 ** max(0, found.attempts - 1))))


def _whole(at: float | None) -> int | None:
    return None if at is None else int(at)


def _object(body: bytes | None) -> dict[str, Any] | None:
    return json.loads(body) if body else None
