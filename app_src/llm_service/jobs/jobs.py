"""Jobs as the API sees them: taken, found, and run here or by workers."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from llm_service.auth import Principal
from llm_service.database import Postgres
from llm_service.errors import ApiError, unavailable
from llm_service.jobs.job import Endpoint, Job, Store, StoreAway, StoreFull, new_id
from llm_service.jobs.local import LocalQueue
from llm_service.jobs.memory import MemoryStore
from llm_service.jobs.postgres import PostgresStore
from llm_service.jobs.run import Endpoints, Runner, too_often
from llm_service.jobs.settings import JobsSettings
from llm_service.jobs.sqs import QueueAway, SqsQueue

SWEEP = 60.0
"""Seconds between two looks for jobs that have had their time."""


class Jobs:
    """The jobs of one process: in PostgreSQL if it has one, queued in SQS if it is configured."""

    def __init__(
        self,
        settings: JobsSettings,
        endpoints: Endpoints,
        postgres: Postgres | None = None,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.settings, self._clock = settings, clock
        self.store: Store = PostgresStore(postgres) if postgres else MemoryStore(clock=clock)
        self.runner = Runner(self.store, endpoints, settings, sleep)
        self.sqs = SqsQueue(settings) if settings.queue_url else None
        self._local = None if self.sqs else LocalQueue(self.store, self.runner, settings, sleep)
        self._sleep = sleep
        self._sweeping: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins to run jobs, if there is no queue that carries them to workers; to forget old
        ones in any case."""
        self._sweeping = asyncio.create_task(self._sweep(), name="jobs-sweep")
        if self._local:
            self._local.start()

    async def close(self) -> None:
        """Ends; what this process was doing goes back into the store."""
        if self._sweeping:
            self._sweeping.cancel()
        if self._local:
            await self._local.close()

    async def submit(
        self,
        endpoint: Endpoint,
        body: bytes,
        principal: Principal,
        *,
        metadata: dict[str, str],
        key: str | None = None,
    ) -> Job:
        """Takes a job; the one taken earlier, if the owner gave the same idempotency key.

        Raises ApiError: 409 if that key came with another request, 429 if no more may wait, 503.
        """
        now = self._clock()
        job = Job(
            id=new_id(),
            principal=principal,
            endpoint=endpoint,
            body=body,
            digest=hashlib.sha256(endpoint.encode() + b"\n" + body).hexdigest(),
            key=key,
            metadata=metadata,
            created_at=now,
            expires_at=now + self.settings.retention,
        )
        try:
            return await self._taken(job)
        except (StoreAway, QueueAway):
            raise unavailable("Jobs cannot be taken now") from None
        except StoreFull:
            raise _full() from None

    async def find(self, principal: Principal, job_id: str) -> Job | None:
        """The principal's job. Raises ApiError 503."""
        try:
            job = await self.store.get(job_id)
            if job is None or job.owner != principal.name:
                return None
            if self._abandoned(job):
                told = too_often(job.attempts)
                if await self.store.bury(job.id, self.settings.receives, told):
                    return await self.store.get(job_id)
            return job
        except StoreAway:
            raise unavailable("Jobs cannot be looked up now") from None

    def state(self) -> dict[str, Any]:
        """How it stands, for a person."""
        queued = self._local.queued if self._local else None
        return {"queue": "sqs" if self.sqs else "in-process", "queued": queued}

    async def _taken(self, job: Job) -> Job:
        if self._local and not self._local.room:
            raise StoreFull
        kept = await self.store.add(job)
        if kept.id != job.id:
            return await self._taken_before(kept, job)
        try:
            await self._queue(kept.id)
        except BaseException:
            await self.store.remove(kept.id)
            raise
        return kept

    async def _taken_before(self, kept: Job, job: Job) -> Job:
        """The job of the same key; queued anew while it waits, for whoever took it may have died
        before it was."""
        if kept.digest != job.digest:
            raise _reused()
        if kept.status == "queued":
            await self._queue(kept.id)
        return kept

    async def _queue(self, job_id: str) -> None:
        if self.sqs:
            await self.sqs.send(job_id)
        elif self._local:
            self._local.put(job_id)

    async def _sweep(self) -> None:
        while True:
            with suppress(StoreAway):
                await self.store.sweep(self.settings.retention)
            await self._sleep(SWEEP)

    def _abandoned(self, job: Job) -> bool:
        """Whether nobody is at it any more and nobody will be; the store decides by its clock."""
        return job.status == "running" and job.attempts >= self.settings.receives


def _full() -> ApiError:
    return ApiError(
        429,
        "As many jobs wait as may: send this one again shortly.",
        code="jobs_full",
        headers={"retry-after": "5"},
    )


def _reused() -> ApiError:
    return ApiError(
        409,
        "Idempotency-Key: another request was sent with this key; use a new one.",
        code="idempotency_key_reused",
    )
