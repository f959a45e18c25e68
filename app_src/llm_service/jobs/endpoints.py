"""What a job can ask for: the same code that answers over HTTP, for the principal who sent it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from llm_service.auth import Principal
from llm_service.evaluations.evaluator import Evaluator
from llm_service.evaluations.shapes import EvaluationRequest
from llm_service.jobs.job import Job
from llm_service.jobs.run import Endpoints
from llm_service.limits import Limits
from llm_service.shapes import SearchRequest, SearchResponse

Chat = Callable[[bytes, Principal, Mapping[str, str]], Awaitable[tuple[int, bytes]]]
Search = Callable[[SearchRequest], Awaitable[SearchResponse]]


def endpoints(chat: Chat, search: Search, evaluator: Evaluator, limits: Limits) -> Endpoints:
    """The endpoints of a service, each as a job's request is carried out; refusals are raised."""

    async def chatted(job: Job) -> tuple[int, bytes]:
        return await chat(job.body, job.principal, {})

    async def searched(job: Job) -> tuple[int, bytes]:
        limits.admit(job.principal, "search", 0)
        found = await search(SearchRequest.model_validate_json(job.body))
        return 200, found.model_dump_json().encode()

    async def evaluated(job: Job) -> tuple[int, bytes]:
        asked = EvaluationRequest.model_validate_json(job.body)
        found = await evaluator.evaluate(asked, job.principal)
        return 200, found.model_dump_json().encode()

    return {
        "/v1/chat/completions": chatted,
        "/v1/search": searched,
        "/v1/evaluations": evaluated,
    }
