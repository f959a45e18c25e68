"""Two calls for one answer: the second begins late, the first answer wins, the other is cancelled.

Sending the slowest few per cent of calls twice cuts the tail of the latencies at little cost
(J. Dean and L. Barroso, "The Tail at Scale", Communications of the ACM 56 (2), 2013).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
Start = Callable[[], Coroutine[Any, Any, T]]


async def first_of(
    start: Start[T], pause: Callable[[], Awaitable[Any]], discard: Callable[[T], Awaitable[None]]
) -> T:
    """The first result of two `start()`s, the second one begun after `pause()`.

    Raises what the earlier one raised if both fail, or if it fails before the later one began.
    A result that comes too late goes to `discard`. Nothing runs any more when this returns.
    """
    begun = asyncio.Event()

    async def late() -> T:
        await pause()
        begun.set()
        return await start()

    tasks = [asyncio.create_task(start()), asyncio.create_task(late())]
    winner: asyncio.Task[T] | None = None
    try:
        waiting = set(tasks)
        while winner is None and waiting:
            _, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            winner = next(filter(_succeeded, tasks), None)
            if tasks[0].done() and not begun.is_set():
                break
        return (winner or tasks[0]).result()
    finally:
        await _end([task for task in tasks if task is not winner], discard)


def _succeeded(task: asyncio.Task[T]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is None


async def _end(tasks: list[asyncio.Task[T]], discard: Callable[[T], Awaitable[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for task in tasks:
        if _succeeded(task):
            await discard(task.result())
