"""The queue of a service that runs its own jobs: bounded, in memory.

What was given back, what another process left behind and what was queued before a restart is found
by looking into the store now and then.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from llm_service.jobs.job import Store, StoreAway, StoreFull
from llm_service.jobs.run import Runner
from llm_service.jobs.settings import JobsSettings

logger = logging.getLogger("llm_service")

LOOK = 2.0
"""Seconds between two looks into the store."""


class LocalQueue:
    """Runs what is put into it, `concurrency` jobs at once."""

    def __init__(
        self,
        store: Store,
        runner: Runner,
        settings: JobsSettings,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._store, self._runner, self._settings, self._sleep = store, runner, settings, sleep
        self._queue: asyncio.Queue[str] = asyncio.Queue(settings.capacity)
        self._known: set[str] = set()
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def queued(self) -> int:
        """Jobs that wait in this process."""
        return self._queue.qsize()

    @property
    def room(self) -> int:
        """How many more may wait."""
        return self._settings.capacity - self.queued

    def start(self) -> None:
        """Begins to run jobs."""
        count = self._settings.concurrency
        self._tasks = [asyncio.create_task(self._work(), name=f"jobs-{n}") for n in range(count)]
        self._tasks.append(asyncio.create_task(self._look_again(), name="jobs-look"))

    async def close(self) -> None:
        """Ends; jobs under way go back into the store."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def put(self, job_id: str) -> None:
        """Queues the job. Raises StoreFull."""
        if job_id in self._known:
            return
        try:
            self._queue.put_nowait(job_id)
        except asyncio.QueueFull:
            raise StoreFull from None
        self._known.add(job_id)

    async def _work(self) -> None:
        while True:
            job_id = await self._queue.get()
            try:
                await self._runner.run(job_id)
            except Exception:
                logger.exception("job %s could not be run", job_id)
            finally:
                self._known.discard(job_id)

    async def _look_again(self) -> None:
        while True:
            await self._sleep(LOOK)
            try:
                for job_id in await self._store.waiting(self.room):
                    self.put(job_id)
            except (StoreAway, StoreFull):
                continue
