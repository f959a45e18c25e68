"""What a job asks for is done in the name of its principal, within the limits it has."""

from __future__ import annotations

import pytest

from llm_service.auth import Principal
from llm_service.errors import ApiError
from llm_service.evaluations.evaluator import Evaluator
from llm_service.evaluations.paying import FromBudgets
from llm_service.evaluations.settings import EvaluationSettings
from llm_service.jobs.endpoints import endpoints
from llm_service.jobs.job import Endpoint, Job
from llm_service.limits import Budgets, Limits
from llm_service.shapes import SearchRequest, SearchResponse

EVALUATION = b'{"question": "Q?", "reference": "A", "answer": "A"}'


async def searched(asked: SearchRequest) -> SearchResponse:
    return SearchResponse(results=[])


async def chatted(*_: object) -> tuple[int, bytes]:
    return 200, b"{}"


def job(endpoint: Endpoint, body: bytes) -> Job:
    return Job(
        id="job_1",
        principal=Principal("alice"),
        endpoint=endpoint,
        body=body,
        digest="",
        key=None,
        metadata={},
        created_at=0.0,
        expires_at=1.0,
    )


@pytest.mark.parametrize(
    ("endpoint", "body"),
    [("/v1/search", b'{"query": "tea"}'), ("/v1/evaluations", EVALUATION)],
)
async def test_a_job_is_a_request_of_its_principal(endpoint: Endpoint, body: bytes) -> None:
    limits = Limits(requests=1)
    paying = FromBudgets(limits, Budgets())
    evaluator = Evaluator(EvaluationSettings(), paying=paying)
    does = endpoints(chatted, searched, evaluator, limits)[endpoint]
    assert (await does(job(endpoint, body)))[0] == 200
    with pytest.raises(ApiError) as refused:
        await does(job(endpoint, body))
    assert (refused.value.status, refused.value.code) == (429, "rate_limit_exceeded")
