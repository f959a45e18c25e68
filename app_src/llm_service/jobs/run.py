"""Doing one job: the code that the worker, the Lambda consumer and the service itself share.

Delivery is at least once, so what is received may be done already, or under way elsewhere: the
lease decides. What the endpoint answers decides how it ends:

    200                   succeeded
    429, 5xx, a crash     tried again later; `failed` once it was begun `receives` times
    anything else         failed: it would be refused again

A worker that is told to stop gives the job back, and that attempt does not count.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from enum import Enum
from typing import Any

from llm_service.jobs.job import Ending, Job, Store, StoreAway, new_lease
from llm_service.jobs.settings import JobsSettings

logger = logging.getLogger("llm_service")

Perform = Callable[[Job], Awaitable[tuple[int, bytes]]]
"""Carries out a job's request for its principal: status and JSON body, as over HTTP."""
Endpoints = Mapping[str, Perform]


class Done(Enum):
    """What becomes of a message."""

    DELETE = "delete"
    """The job has ended, is unknown, or has expired: the message is of no use."""
    AGAIN = "again"
    """It is to be received again."""
    UNTRIED = "untried"
    """The store was away, so the job was not begun: this receive should not count."""
    DEAD = "dead"
    """The job has failed by being begun too often: the queue may bury the message."""


class Runner:
    """Does jobs of `store`; `beat` sleeps between two signs of life."""

    def __init__(
        self,
        store: Store,
        endpoints: Endpoints,
        settings: JobsSettings,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._store, self._endpoints, self._settings = store, endpoints, settings
        self._sleep = sleep

    async def run(
        self,
        job_id: str,
        keep_hidden: Callable[[], Awaitable[None]] | None = None,
        seconds: float | None = None,
    ) -> Done:
        """Does the job if nobody else has it. Cancelled, it gives the job back.

        keep_hidden: called with every sign of life. seconds: less than the settings' time-out.
        """
        lease = new_lease()
        most = self._settings.timeout if seconds is None else min(seconds, self._settings.timeout)
        try:
            job = await self._store.begin(job_id, lease, self._settings.lease)
            if job is None:
                return await self._not_begun(job_id)
        except StoreAway:
            return Done.UNTRIED
        try:
            return await self._held(job, lease, keep_hidden, most)
        except StoreAway:
            return Done.AGAIN

    async def _held(
        self,
        job: Job,
        lease: str,
        keep_hidden: Callable[[], Awaitable[None]] | None,
        seconds: float,
    ) -> Done:
        if job.attempts > self._settings.receives:
            return await self._end(job, lease, Ending("failed", error=too_often(job.attempts - 1)))
        living = asyncio.create_task(self._live(job, lease, keep_hidden))
        try:
            ending, again = await self._performed(job, seconds)
        except asyncio.CancelledError:
            with suppress(StoreAway):
                await self._store.give_back(job.id, lease, counts=False)
            raise
        finally:
            living.cancel()
        if again and job.attempts < self._settings.receives:
            await self._store.give_back(job.id, lease, counts=True)
            return Done.AGAIN
        return await self._end(job, lease, ending, dead=again)

    async def _performed(self, job: Job, seconds: float) -> tuple[Ending, bool]:
        """How it ended, and whether another try may end otherwise."""
        try:
            async with asyncio.timeout(seconds):
                status, body = await self._endpoints[job.endpoint](job)
        except TimeoutError:
            return Ending("failed", error=_error("The job took too long.", "timeout")), True
        except Exception:
            logger.exception("job %s failed", job.id)
            return Ending("failed", error=_error("The job failed.", "internal_error")), True
        if status == 200:
            return Ending("succeeded", result=body), False
        return Ending("failed", error=_error_of(status, body)), status == 429 or status >= 500

    async def _end(self, job: Job, lease: str, ending: Ending, *, dead: bool = False) -> Done:
        if not await self._store.end(job.id, lease, ending, self._settings.retention):
            logger.warning("job %s was taken up by another: this result is dropped", job.id)
        return Done.DEAD if dead or job.attempts > self._settings.receives else Done.DELETE

    async def _live(
        self, job: Job, lease: str, keep_hidden: Callable[[], Awaitable[None]] | None
    ) -> None:
        """Says again and again that the job is under way; a word that does not get through is said
        again at the next beat."""
        while True:
            await self._sleep(self._settings.beat)
            with suppress(StoreAway):
                if not await self._store.extend(job.id, lease, self._settings.lease):
                    return
            if keep_hidden:
                await keep_hidden()

    async def _not_begun(self, job_id: str) -> Done:
        job = await self._store.get(job_id)
        if job is None or job.status == "expired":
            return Done.DELETE
        if not job.ended:
            return Done.AGAIN
        dead = job.status == "failed" and job.attempts >= self._settings.receives
        return Done.DEAD if dead else Done.DELETE


def too_often(attempts: int) -> dict[str, Any]:
    """The error of a job that nobody came to an end with."""
    return _error(f"The job was begun {attempts} times and never finished.", "too_many_attempts")


def _error(message: str, code: str) -> dict[str, Any]:
    return {"message": message, "type": "server_error", "param": None, "code": code, "status": 500}


def _error_of(status: int, body: bytes) -> dict[str, Any]:
    """The endpoint's own error object, with the status it would have had over HTTP."""
    try:
        return {**json.loads(body)["error"], "status": status}
    except (ValueError, TypeError, LookupError):
        return {**_error("The request was refused.", "refused"), "status": status}
