"""Limits that tasks share over Valkey: never far too many, nobody waits, an outage is survived."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from valkey_server import ValkeyServer

from llm_service.auth import Principal
from llm_service.limits import Limited, Limits
from llm_service.limits.leases import CREDIT, Leases
from llm_service.limits.link import Valkey

TASKS = 4


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


@asynccontextmanager
async def tasks(url: str, prefix: str, number: int = TASKS) -> AsyncIterator[list[Limits]]:
    """Limits of several tasks, each with a connection of its own, that know of each other."""
    links = [Valkey(url, prefix) for _ in range(number)]
    leases = [Leases(link) for link in links]
    limits = [Limits(meters=one) for one in leases]
    for one in limits:
        one.start()
    await until(lambda: all(one.tasks == number and not one.away for one in leases))
    yield limits
    for one in limits:
        await one.stop()
    for link in links:
        await link.close()


def admitted(limits: Limits, principal: Principal, tokens: int = 0) -> bool:
    try:
        limits.admit(principal, "answer", tokens)
    except Limited:
        return False
    return True


async def hammer(limits: Limits, principal: Principal, seconds: float, tokens: int = 0) -> int:
    """How many of as many requests as there is time for were let in."""
    end, count = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        count += sum(admitted(limits, principal, tokens) for _ in range(20))
        await asyncio.sleep(0.002)
    return count


async def test_tasks_together_pass_a_limit_by_no_more_than_the_credit(
    valkey_server: ValkeyServer, prefix: str
) -> None:
    principal = Principal("web", requests_per_minute=600)
    async with tasks(valkey_server.url, prefix) as limits:
        began = time.monotonic()
        counts = await asyncio.gather(*(hammer(one, principal, 1.5) for one in limits))
        seconds = time.monotonic() - began
    most = 600 + 600 * seconds / 60 + CREDIT * 600 + TASKS
    assert 0.95 * 600 <= sum(counts) <= most
    assert min(counts) > 0


async def test_tokens_are_bounded_by_the_credit_and_one_request_for_each_task(
    valkey_server: ValkeyServer, prefix: str
) -> None:
    principal = Principal("web", tokens_per_minute=100_000)
    async with tasks(valkey_server.url, prefix) as limits:
        began = time.monotonic()
        counts = await asyncio.gather(*(hammer(one, principal, 1.0, 900) for one in limits))
        seconds = time.monotonic() - began
    most = 100_000 * (1 + seconds / 60 + CREDIT) + TASKS * 900
    assert 90_000 <= sum(counts) * 900 <= most


async def test_one_busy_task_gets_what_idle_ones_leave(
    valkey_server: ValkeyServer, prefix: str
) -> None:
    principal = Principal("web", requests_per_minute=600)
    async with tasks(valkey_server.url, prefix) as limits:
        count = await hammer(limits[0], principal, 1.5)
    assert count >= 0.9 * 600


async def test_a_task_that_has_just_begun_serves_its_first_requests(
    valkey_server: ValkeyServer, prefix: str
) -> None:
    principal = Principal("web", requests_per_minute=60)
    async with tasks(valkey_server.url, prefix) as limits:
        assert all(admitted(one, principal) for one in limits for _ in range(3))


async def test_a_stopping_task_gives_back_what_it_did_not_use(
    valkey_server: ValkeyServer, prefix: str, valkey: Valkey
) -> None:
    principal = Principal("web", requests_per_minute=600)
    async with tasks(valkey_server.url, prefix, 1) as limits:
        assert admitted(limits[0], principal)
        await until(lambda: int(limits[0].headers(limits[0].admit(principal, "a", 0))[
            "x-ratelimit-remaining-requests"]) < 599)  # fmt: skip
    level = float(await valkey.do("HGET", f"{prefix}limit:requests:web", "level"))
    assert level > 600 - 50


async def test_while_valkey_is_away_each_task_has_its_share(tmp_path: Path, prefix: str) -> None:
    server = ValkeyServer(tmp_path)
    server.start()
    principal = Principal("web", requests_per_minute=400)
    async with tasks(server.url, prefix, 2) as limits:
        assert all(admitted(one, principal) for one in limits)
        server.stop()
        await until(lambda: all(one.state()["store"] == "process" for one in limits))
        counts = [sum(admitted(one, principal) for _ in range(500)) for one in limits]
        assert all(150 <= count <= 202 for count in counts), counts
        server.start()
        await until(lambda: all(one.state()["store"] == "valkey" for one in limits))
        began = time.monotonic()
        more = await asyncio.gather(*(hammer(one, principal, 0.5) for one in limits))
        seconds = time.monotonic() - began
    assert sum(counts) + sum(more) <= 400 * (1 + seconds / 60 + CREDIT) + 2 * 2


async def test_a_valkey_that_never_was_there_costs_no_request_and_no_time(prefix: str) -> None:
    principal = Principal("web", requests_per_minute=100)
    limits = Limits(meters=Leases(Valkey("valkey://127.0.0.1:1/0", prefix)))
    limits.start()
    assert sum(admitted(limits, principal) for _ in range(150)) == 100
    await until(lambda: limits.state()["store"] == "process")
    await limits.stop()


async def test_a_url_with_a_password_is_not_quoted(
    prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    limits = Limits(meters=Leases(Valkey("valkey://user:geheim@127.0.0.1:1/0", prefix)))
    limits.start()
    await until(lambda: "Valkey is not reachable" in caplog.text)
    await limits.stop()
    assert "geheim" not in caplog.text


async def test_an_estimate_is_settled_with_the_common_bucket(
    valkey_server: ValkeyServer, prefix: str, valkey: Valkey
) -> None:
    principal = Principal("web", tokens_per_minute=10_000)
    async with tasks(valkey_server.url, prefix, 1) as limits:
        admission = limits[0].admit(principal, "answer", 4_000)
        limits[0].settle(admission, 100)
        await asyncio.sleep(0)

    level: Any = await valkey.do("HGET", f"{prefix}limit:tokens:web", "level")
    assert float(level) == pytest.approx(9_900, abs=60)
