"""Waiting for what happens elsewhere: a condition with a deadline, never a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

DEADLINE = 20.0
LOOK = 0.01
"""Seconds between two looks."""


async def until(condition: Callable[[], Awaitable[bool]], complaint: str) -> None:
    """Returns once `condition` holds; fails the test with `complaint` after DEADLINE seconds."""
    end = time.monotonic() + DEADLINE
    while not await condition():
        assert time.monotonic() < end, complaint
        await asyncio.sleep(LOOK)
