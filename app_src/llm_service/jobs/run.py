"""Doing one job: the code that the worker, the Lambda consumer and the service itself share.

Delivery is at least once, so what is received may be done already, or under way elsewhere: the
lease decides. What the endpoint answers decides how it ends:

    200                   succeeded
    429, 5xx, a crash     tried again later; `failed` once it was begun `receives` times
    anything else         failed: it would be refused again

A refusal may say with Retry-After when another try is worth it. Until then nobody begins the job,
yet it waits `visibility` seconds at most: as long as any queue is sure to hide its message, so that
no receive is spent on a job that has to wait.

A worker that is told to stop gives the job back, and that attempt does not count.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from enum import Enum
from typing import Any, NamedTuple

from llm_service.errors import ApiError
from llm_service.jobs.job import Ending, Job, Store, StoreAway, new_lease
from llm_service.jobs.settings import JobsSettings
from llm_service.providers.failures import retry_after

logger = logging.getLogger("llm_service")

Perform = Callable[[Job], Awaitable[tuple[int, bytes]]]
"""Carries out a job's request for its principal: status and JSON body, as over HTTP. A refusal may
also be raised as ApiError, which can say when to come back."""
Endpoints = Mapping[str, Perform]
Hide = Callable[[float], Awaitable[None]]
"""Nobody else receives the job's message for so many seconds."""


class Done(Enum):
    """What becomes of a message."""

    DELETE = "delete"
    """The job has ended, is unknown, or has expired: the message is of no use."""
    AGAIN = "again"
    """It is to be received again."""
    LATER = "later"
    """It is to be received again, once the time is over for which it was hidden."""
    UNTRIED = "untried"
    """The job was not begun, for the store was away or it has to wait: this receive should not
    count."""
    DEAD = "dead"
    """The job has failed by being begun too often: the queue may bury the message."""


class Trial(NamedTuple):
    """How one try ended; `again`: another may end otherwise, in `after` seconds at the earliest."""

    ending: Ending
    again: bool = False
    after: float = 0.0


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
        hide: Hide | None = None,
        seconds: float | None = None,
    ) -> Done:
        """Does the job if nobody else has it. Cancelled, it gives the job back.

        hide: called with every sign of life, and if the job has to wait. seconds: less than the
        settings' time-out.
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
            return await self._held(job, lease, hide, most)
        except StoreAway:
            return Done.AGAIN

    async def _held(self, job: Job, lease: str, hide: Hide | None, seconds: float) -> Done:
        if job.attempts > self._settings.receives:
            return await self._end(job, lease, Ending("failed", error=too_often(job.attempts - 1)))
        living = asyncio.create_task(self._live(job, lease, hide))
        try:
            trial = await self._performed(job, seconds)
        except asyncio.CancelledError:
            with suppress(StoreAway):
                await self._store.give_back(job.id, lease, counts=False)
            raise
        finally:
            living.cancel()
        if trial.again and job.attempts < self._settings.receives:
            return await self._later(job, lease, hide, trial.after)
        return await self._end(job, lease, trial.ending, dead=trial.again)

    async def _later(self, job: Job, lease: str, hide: Hide | None, after: float) -> Done:
        """Gives the job back; nobody begins it, and nobody receives it, before it is time."""
        seconds = min(after, self._settings.visibility)
        await self._store.give_back(job.id, lease, counts=True, seconds=seconds)
        if not seconds:
            return Done.AGAIN
        if hide:
            await hide(seconds)
        return Done.LATER

    async def _performed(self, job: Job, seconds: float) -> Trial:
        try:
            async with asyncio.timeout(seconds):
                status, body = await self._endpoints[job.endpoint](job)
        except ApiError as error:
            return _refused(error.status, error.body(), retry_after(error.headers) or 0.0)
        except TimeoutError:
            return Trial(Ending("failed", error=_error("The job took too long.", "timeout")), True)
        except Exception:
            logger.exception("job %s failed", job.id)
            return Trial(Ending("failed", error=_error("The job failed.", "internal_error")), True)
        if status == 200:
            return Trial(Ending("succeeded", result=body))
        return _refused(status, body)

    async def _end(self, job: Job, lease: str, ending: Ending, *, dead: bool = False) -> Done:
        if not await self._store.end(job.id, lease, ending, self._settings.retention):
            logger.warning("job %s was taken up by another: this result is dropped", job.id)
        return Done.DEAD if dead or job.attempts > self._settings.receives else Done.DELETE

    async def _live(self, job: Job, lease: str, hide: Hide | None) -> None:
        """Says again and again that the job is under way; a word that does not get through is said
        again at the next beat."""
        while True:
            await self._sleep(self._settings.beat)
            with suppress(StoreAway):
                if not await self._store.extend(job.id, lease, self._settings.lease):
                    return
            if hide:
                await hide(self._settings.visibility)

    async def _not_begun(self, job_id: str) -> Done:
        job = await self._store.get(job_id)
        if job is None or job.status == "expired":
            return Done.DELETE
        if not job.ended:
            return Done.UNTRIED if job.status == "queued" else Done.AGAIN
        dead = job.status == "failed" and job.attempts >= self._settings.receives
        return Done.DEAD if dead else Done.DELETE


def too_often(attempts: int) -> dict[str, Any]:
    """The error of a job that nobody came to an end with."""
    return _error(f"The job was begun {attempts} times and never finished.", "too_many_attempts")


def _refused(status: int, body: bytes, after: float = 0.0) -> Trial:
    """An answer that is none; what is wrong with the request itself is not tried again."""
    again = status == 429 or status >= 500
    return Trial(Ending("failed", error=_error_of(status, body)), again, after)


def _error(message: str, code: str) -> dict[str, Any]:
    return {"message": message, "type": "server_error", "param": None, "code": code, "status": 500}


def _error_of(status: int, body: bytes) -> dict[str, Any]:
    """The endpoint's own error object, with the status it would have had over HTTP."""
    try:
        return {**json.loads(body)["error"], "status": status}
    except (ValueError, TypeError, LookupError):
        return {**_error("The request was refused.", "refused"), "status": status}
