"""The service as a Lambda function: `llm_service.lambda_function.handler`.

It answers what a function URL, an API Gateway or a load balancer sends (by Mangum, which makes ASGI
of the event), and does the jobs that SQS sends. The service is made once per container, on an
event loop that outlives an invocation; between invocations Lambda freezes the process, so an
invocation ends only when what it has to tell is written. Answers are buffered: a stream arrives in
one piece, since Lambda streams from other runtimes than Python's only.

The event KEEP_WARM keeps the container and nothing else awake: a database that pauses while nobody
is connected must not be woken by a schedule. A new container imports and builds the service for it,
which begins with the first event of another kind; one that has begun closes its connections.

    SECRET_VARIABLES   variables whose values are secrets, see secret_variables.py
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Mapping, Sequence
from typing import Any

from llm_service.__main__ import corpus_of
from llm_service.app import create_app
from llm_service.database import Postgres
from llm_service.jobs.consumer import Context, consumed
from llm_service.jobs.process import ready
from llm_service.secret_variables import filled
from llm_service.service import Service
from llm_service.settings import read

KEEP_WARM = {"llmops": "keep-warm"}
"""The event of the schedule that keeps a container."""
WRITING = 2.0
"""Seconds at the end of an invocation for what is queued; what takes longer is written later."""
LOOK = 0.005
AGAIN = 0.5
"""Seconds between two attempts to connect; a database that paused needs some 15."""
SPARE = 1.0
"""Seconds before the function's end at which waiting for readiness is given up."""


class Function:
    """One container. Raises what `settings.read` and `create_app` raise: Lambda then says so."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        from mangum import Mangum

        self._loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self._loop)
        settings = read([], environ)
        application = create_app(settings, corpus_of(settings.corpus))
        self._service: Service = application.state.service
        self._http = Mangum(application, lifespan="off")
        self._started = self._ready = self._resting = False

    def rest(self) -> None:
        """Leaves the database; the next event connects again."""
        if self._ready and self._service.postgres:
            self._loop.run_until_complete(self._service.postgres.close())
            self._ready, self._resting = False, True

    def handle(self, event: dict[str, Any], context: Context) -> dict[str, Any]:
        """The answer to one event; the first one waits until the service is ready."""
        if not self._ready:
            self._loop.run_until_complete(self._begin(seconds_left(context)))
        if _of_sqs(event):
            answer = self._loop.run_until_complete(
                consumed(self._service.jobs.runner, event, seconds_left(context))
            )
        else:
            answer = dict(self._http(event, context))  # type: ignore[arg-type]
        self._loop.run_until_complete(self._written())
        return answer

    async def _begin(self, seconds: float) -> None:
        async with asyncio.timeout(max(0.0, seconds - SPARE)):
            if not self._started:
                self._service.start()
                self._started = True
            if self._resting and self._service.postgres:
                await self._connected(self._service.postgres)
                self._resting = False
            await ready(self._service)
        self._ready = True

    async def _connected(self, postgres: Postgres) -> None:
        while not await postgres.connect():
            await asyncio.sleep(AGAIN)

    async def _written(self) -> None:
        """Returns once nothing is queued, or after WRITING seconds."""
        end = self._loop.time() + WRITING
        while self._service.queued and self._loop.time() < end:
            await asyncio.sleep(LOOK)


def seconds_left(context: Context) -> float:
    """Seconds until Lambda ends the invocation."""
    return context.get_remaining_time_in_millis() / 1000


def _of_sqs(event: Mapping[str, Any]) -> bool:
    records: Sequence[Mapping[str, Any]] = event.get("Records") or ({},)
    return bool(records[0].get("eventSource") == "aws:sqs")


_function: Function | None = None


def handler(event: dict[str, Any], context: Context) -> dict[str, Any]:
    """Lambda's entry point."""
    global _function  # noqa: PLW0603 - Lambda keeps a container's module between invocations
    if _function is None:
        logging.getLogger().setLevel(logging.INFO)
        _function = Function(filled(os.environ))
    if event == KEEP_WARM:
        _function.rest()
        return {}
    return _function.handle(event, context)
