"""The Lambda that SQS invokes with jobs: `llm_service.jobs.consumer.handler`.

The event source mapping must have ReportBatchItemFailures: what is named in the answer is received
again, the rest is done. The queue's visibility time-out is to be six times the function's, as
Lambda's documentation has it; a message is then hidden for as long as its job can take, and needs
no signs of life to SQS. The service is made once per container and kept.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from typing import Any, Protocol

from llm_service.jobs.job import StoreAway
from llm_service.jobs.run import Done, Runner

SPARE = 5.0
"""Seconds before the function's end at which jobs are given up, to be able to give them back."""


class Context(Protocol):
    """What Lambda says of an invocation."""

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the function is killed."""
        ...


class Consumer:
    """One container: an event loop and a service that outlive an invocation."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._runner: Runner | None = None

    def handle(self, event: Mapping[str, Any], seconds: float) -> dict[str, Any]:
        """Does the jobs of the event within `seconds`; names those to be received again."""
        return self._loop.run_until_complete(self._handle(event, seconds))

    async def _handle(self, event: Mapping[str, Any], seconds: float) -> dict[str, Any]:
        runner = self._runner = self._runner or await self._started()
        return await consumed(runner, event, seconds)

    async def _started(self) -> Runner:
        from llm_service.jobs import process

        service = process.build([], os.environ)
        service.start()
        await process.ready(service)
        runner: Runner = service.jobs.runner
        return runner


async def consumed(runner: Runner, event: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    """Does all jobs of the event at once; a partial batch response."""
    records = event["Records"]
    ends = await asyncio.gather(*(_end(runner, str(each["body"]), seconds) for each in records))
    failures = [
        {"itemIdentifier": each["messageId"]}
        for each, end in zip(records, ends, strict=True)
        if end is not Done.DELETE
    ]
    return {"batchItemFailures": failures}


async def _end(runner: Runner, job_id: str, seconds: float) -> Done:
    """How it ended. A job that the function has no time for counts as tried."""
    try:
        return await runner.run(job_id, seconds=max(0.0, seconds - SPARE))
    except StoreAway:
        return Done.AGAIN


_consumer: Consumer | None = None


def handler(event: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """Lambda's entry point."""
    global _consumer  # noqa: PLW0603 - Lambda keeps a container's module between invocations
    _consumer = _consumer or Consumer()
    return _consumer.handle(event, context.get_remaining_time_in_millis() / 1000)
