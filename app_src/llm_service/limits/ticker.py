"""A task in the background that does one thing again and again, sooner if there is a hurry."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

logger = logging.getLogger("llm_service")

GAP = 0.05
"""Seconds between two rounds, however great the hurry."""
LAST = 2.0
"""Seconds that a stopping process spends on what is still to be done."""


class Ticker:
    """Awaits `work` every `seconds`, from `start` to `stop`; a round that fails is logged."""

    def __init__(self, work: Callable[[], Awaitable[None]], seconds: float, name: str) -> None:
        self._work, self._seconds, self._name = work, seconds, name
        self._hurried = asyncio.Event()
        self._stopping = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins, with a round at once."""
        self._stopping = False
        self._task = asyncio.create_task(self._run(), name=self._name)

    def hurry(self) -> None:
        """Wants the next round now."""
        self._hurried.set()

    async def stop(self) -> None:
        """Ends after a last round; a round under way is not broken off before LAST seconds."""
        if self._task is None:
            return
        self._stopping = True
        self._hurried.set()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._task, LAST)
        self._task = None

    async def _run(self) -> None:
        while not self._stopping:
            await self._round()
            await asyncio.sleep(GAP)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._hurried.wait(), self._seconds)
            self._hurried.clear()
        await self._round()

    async def _round(self) -> None:
        try:
            await self._work()
        except Exception:
            logger.exception("a round of %s failed", self._name)
