"""`llm-service worker`: receives jobs from SQS and does them, until SIGTERM.

A message stays hidden as long as its job shows signs of life. When it is told to stop, the worker
receives nothing more, gives jobs under way GRACE seconds to finish, and returns the rest to the
queue at once: another worker begins them again. What it returns unfinished, and what it received
while the store was away or the job had to wait, is queued anew: SQS counts receives, and a job must
not end with the dead letters because of a deployment or of an hour without a database.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any

from llm_service.jobs.run import Done, Runner
from llm_service.jobs.settings import JobsSettings
from llm_service.jobs.sqs import Message, QueueAway, SqsQueue

logger = logging.getLogger("llm_service")

GRACE = 10.0
"""Seconds for jobs under way after SIGTERM: with the last long poll below ECS's 30."""
SIGNALS = (signal.SIGTERM, signal.SIGINT)
PAUSE = 5.0
"""Seconds before what could not be reached, the queue or the store, is tried again."""


class Worker:
    """Does the jobs of one queue, `concurrency` at once."""

    def __init__(
        self,
        queue: SqsQueue,
        runner: Runner,
        settings: JobsSettings,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._queue, self._runner, self._settings = queue, runner, settings
        self._sleep = sleep
        self._under_way: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Receives nothing more."""
        self._stopping.set()

    async def run(self, grace: float = GRACE) -> None:
        """Works until `stop`, then until what is under way has ended or been returned."""
        while not self._stopping.is_set():
            for message in await self._received():
                self._begin(message)
            await self._room()
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=grace)
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)

    async def _received(self) -> list[Message]:
        try:
            found = await self._queue.receive(self._settings.concurrency - len(self._under_way))
        except QueueAway:
            await self.unless_stopping(self._sleep(PAUSE))
            return []
        if not self._stopping.is_set():
            return found
        for message in found:
            await self._queue.give_back(message)
        return []

    async def _room(self) -> None:
        """Returns once another job may begin, or the worker is to stop."""
        while len(self._under_way) >= self._settings.concurrency and not self._stopping.is_set():
            await self.unless_stopping(
                asyncio.wait(self._under_way, return_when=asyncio.FIRST_COMPLETED)
            )

    async def unless_stopping(self, other: Awaitable[Any]) -> None:
        """Returns once `other` has, or the worker is to stop."""
        tasks = [asyncio.ensure_future(other), asyncio.ensure_future(self._stopping.wait())]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()

    def _begin(self, message: Message) -> None:
        task = asyncio.create_task(self._do(message), name=f"job {message.job_id}")
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _do(self, message: Message) -> None:
        async def hide(seconds: float) -> None:
            await self._queue.hide(message, max(seconds, self._pause(message)))

        try:
            done = await self._runner.run(message.job_id, hide)
        except asyncio.CancelledError:
            with suppress(asyncio.CancelledError):
                await self._queue.give_back(message)
            raise
        except Exception:
            logger.exception("job %s could not be run", message.job_id)
            done = Done.AGAIN
        match done:
            case Done.DELETE:
                await self._queue.delete(message)
            case Done.UNTRIED:
                await self._queue.give_back(message, PAUSE)
            case Done.AGAIN:
                await self._queue.hide(message, self._pause(message))
            case Done.LATER:
                pass
            case Done.DEAD:
                await self._queue.hide(message, 0)

    def _pause(self, message: Message) -> float:
        """Seconds until a job is tried again: longer each time, at most as long as it is hidden."""
        return min(self._settings.visibility, self._settings.beat * message.receives)


async def until_signalled(worker: Worker, ready: Coroutine[Any, Any, None]) -> None:
    """Runs the worker once `ready` has returned, until SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        loop.add_signal_handler(number, worker.stop)
    try:
        await worker.unless_stopping(ready)
        logger.info("the worker receives jobs")
        await worker.run()
    finally:
        for number in SIGNALS:
            loop.remove_signal_handler(number)
