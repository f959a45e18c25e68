"""Jobs in this process's memory: bounded, and gone with it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from llm_service.jobs.job import MOVES, Ending, Job, Status, StoreFull

KEPT = 10_000
"""Jobs that are kept; beyond, the oldest that has ended makes room."""


class MemoryStore:
    """The twin of PostgreSQL for one process; `clock` is in epoch seconds."""

    def __init__(self, kept: int = KEPT, clock: Callable[[], float] = time.time) -> None:
        self._kept, self._clock = kept, clock
        self._jobs: dict[str, Job] = {}
        self._keys: dict[tuple[str, str], str] = {}

    async def add(self, job: Job) -> Job:
        if job.key and (known := self._keys.get((job.owner, job.key))):
            return self._jobs[known]
        if len(self._jobs) >= self._kept:
            self._forget(self._oldest_ended())
        self._jobs[job.id] = job
        if job.key:
            self._keys[job.owner, job.key] = job.id
        return job

    async def get(self, job_id: str) -> Job | None:
        return self._jobs.get(job_id)

    async def remove(self, job_id: str) -> None:
        self._forget(job_id)

    async def begin(self, job_id: str, lease: str, seconds: float) -> Job | None:
        job, now = self._jobs.get(job_id), self._clock()
        if job is None or not self._free(job):
            return None
        return self._move(
            job,
            "running",
            lease=lease,
            leased_until=now + seconds,
            started_at=job.started_at or now,
            attempts=job.attempts + 1,
        )

    async def extend(self, job_id: str, lease: str, seconds: float) -> bool:
        job = self._held(job_id, lease)
        if job:
            self._jobs[job_id] = replace(job, leased_until=self._clock() + seconds)
        return job is not None

    async def give_back(
        self, job_id: str, lease: str, *, counts: bool, seconds: float = 0.0
    ) -> None:
        job = self._held(job_id, lease)
        if job:
            attempts, until = job.attempts - (not counts), self._clock() + seconds
            self._move(job, "queued", lease=None, leased_until=until, attempts=attempts)

    async def end(self, job_id: str, lease: str, ending: Ending, keep: float) -> bool:
        job = self._held(job_id, lease)
        if job:
            self._finish(job, ending, keep)
        return job is not None

    async def bury(self, job_id: str, attempts: int, error: dict[str, Any]) -> bool:
        job = self._jobs.get(job_id)
        if job is None or job.status != "running" or not self._free(job):
            return False
        if job.attempts < attempts:
            return False
        self._finish(job, Ending("failed", error=error), job.expires_at - self._clock())
        return True

    async def waiting(self, limit: int) -> list[str]:
        return [job.id for job in self._jobs.values() if self._free(job)][:limit]

    async def sweep(self, keep: float) -> None:
        now = self._clock()
        for job in list(self._jobs.values()):
            if job.expires_at + keep <= now:
                self._forget(job.id)
            elif job.expires_at <= now and job.status != "expired":
                self._move(job, "expired", body=b"", result=None, error=None, lease=None)

    def _free(self, job: Job) -> bool:
        """Whether it could be begun."""
        now = self._clock()
        return job.status in ("queued", "running") and job.leased_until <= now < job.expires_at

    def _held(self, job_id: str, lease: str) -> Job | None:
        job = self._jobs.get(job_id)
        return job if job and job.status == "running" and job.lease == lease else None

    def _finish(self, job: Job, ending: Ending, keep: float) -> None:
        now = self._clock()
        self._move(
            job,
            ending.status,
            result=ending.result,
            error=ending.error,
            lease=None,
            finished_at=now,
            expires_at=now + keep,
        )

    def _move(self, job: Job, status: Status, **changes: Any) -> Job:
        assert status in MOVES[job.status], (job.status, status)
        self._jobs[job.id] = replace(job, status=status, **changes)
        return self._jobs[job.id]

    def _oldest_ended(self) -> str:
        found = next((job.id for job in self._jobs.values() if job.ended), None)
        if found is None:
            raise StoreFull
        return found

    def _forget(self, job_id: str) -> None:
        job = self._jobs.pop(job_id, None)
        if job and job.key:
            self._keys.pop((job.owner, job.key), None)
