"""A load balancer process, targets that answer real HTTP, and a way to wait for a condition."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from llmops_localcloud.loadbalancer.control import Health, LoadBalancerProcess, Slices
from llmops_localcloud.loadbalancer.desired import (
    Address,
    Desired,
    Forward,
    HealthCheck,
    Listener,
    Rule,
    TargetGroup,
)
from llmops_localcloud.ports import TargetHealth

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
BALANCER = "app/test/0123456789abcdef"


@dataclass
class Told:
    """What a load balancer process reported, summed over time."""

    counts: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    times: list[float] = field(default_factory=list)

    def hear(self, slices: Slices, _health: Health, _at: float) -> None:
        for one in slices:
            self.counts.update({(b, g, metric): n for b, g, metric, n in one["counts"]})
            self.times += [t for _b, _g, ts in one["times"] for t in ts]


@dataclass
class Bench:
    """A load balancer under test with one listener; groups are named by single letters."""

    process: LoadBalancerProcess
    told: Told
    port: int
    groups: dict[str, tuple[Address, ...]] = field(default_factory=dict)
    rules: tuple[Rule, ...] = ()
    check: HealthCheck = field(default_factory=lambda: HealthCheck(interval_seconds=6))
    idle_seconds: float = 60.0
    delay: float = 300.0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def apply(self, **weights: int) -> None:
        """Route by the rules so far, and by these weights where no rule matches."""
        last = Rule("default", (), Forward(weights))
        listener = Listener("L", self.port, BALANCER, (*self.rules, last), self.idle_seconds)
        groups = tuple(
            TargetGroup(name, f"targetgroup/{name}/1", targets, self.check, self.delay, (BALANCER,))
            for name, targets in self.groups.items()
        )
        await asyncio.to_thread(self.process.configure, Desired((listener,), groups))

    def state(self, group: str, address: Address) -> TargetHealth | None:
        view = self.process.health.get(group, {}).get(address)
        return view.state if view else None

    async def healthy(self, *groups: str) -> None:
        """Wait until every target of the groups is healthy."""
        await eventually(
            lambda: all(
                self.state(name, address) is TargetHealth.HEALTHY
                for name in groups
                for address in self.groups[name]
            )
        )


async def eventually(condition: Callable[[], Any], seconds: float = 10.0) -> None:
    """Poll until the condition holds; fail loudly at the deadline."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@pytest.fixture
def wait() -> Callable[..., Awaitable[None]]:
    return eventually


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def free_port() -> Callable[[], int]:
    return unused_port


@pytest.fixture
def bench() -> Iterator[Bench]:
    """Speed 60, a fixed seed."""
    told = Told()
    process = LoadBalancerProcess(speed=60.0, seed=7, report=told.hear)
    yield Bench(process, told, unused_port())
    process.stop()


@pytest.fixture
async def serve() -> AsyncIterator[Callable[[Handler], Awaitable[Address]]]:
    """Start a target with a handler; answers its address."""
    runners: list[web.ServerRunner] = []

    async def start(handler: Handler) -> Address:
        runner = web.ServerRunner(web.Server(handler), shutdown_timeout=0.1)  # type: ignore[arg-type]
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        runners.append(runner)
        host, port = runner.addresses[0][:2]
        return host, port

    yield start
    for runner in runners:
        await runner.cleanup()


@pytest.fixture
def named(serve: Callable[[Handler], Awaitable[Address]]) -> Callable[[str], Awaitable[Address]]:
    """Start a target that answers its own name."""

    async def start(name: str) -> Address:
        async def answer(_request: web.BaseRequest) -> web.Response:
            return web.Response(text=name)

        return await serve(answer)

    return start


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as session:
        yield session
