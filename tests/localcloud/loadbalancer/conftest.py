"""A load balancer process, targets that answer real HTTP, and a way to wait for a condition."""

from __future__ import annotations

import asyncio
import itertools
import socket
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import aiohttp
import boto3
import pytest
from aiohttp import web
from aws_cli import AwsCli
from moto.elbv2.models import ELBv2Backend, elbv2_backends
from moto.moto_server.threaded_moto_server import ThreadedMotoServer

from llmops_localcloud import elbv2
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
_numbers = itertools.count(1)


@dataclass
class Told:
    """What the process reported of one load balancer, summed over time."""

    balancer: str
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    times: list[float] = field(default_factory=list)

    def hear(self, slices: Slices, _health: Health, _at: float) -> None:
        for one in slices:
            ours = [row for row in one["counts"] if row[0] == self.balancer]
            self.counts.update({(group, metric): n for _, group, metric, n in ours})
            self.times += [t for b, _, ts in one["times"] for t in ts if b == self.balancer]


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
        listener = Listener(
            "L", self.port, self.told.balancer, (*self.rules, last), self.idle_seconds
        )
        groups = tuple(
            TargetGroup(
                name,
                f"targetgroup/{name}/1",
                targets,
                self.check,
                self.delay,
                (self.told.balancer,),
            )
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
        while not condition():
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


@pytest.fixture(scope="session")
def shared() -> Iterator[tuple[LoadBalancerProcess, list[Told]]]:
    """One process for all tests (speed 60, a fixed seed); the list says whom it tells."""
    listening: list[Told] = []

    def hear(*report: Any) -> None:
        for told in listening:
            told.hear(*report)

    process = LoadBalancerProcess(speed=60.0, seed=7, report=hear)
    yield process, listening
    process.stop()


@pytest.fixture
def bench(shared: tuple[LoadBalancerProcess, list[Told]]) -> Iterator[Bench]:
    """The shared process, without any configuration."""
    process, listening = shared
    listening[:] = [told := Told(f"app/test/{next(_numbers)}")]
    yield Bench(process, told, unused_port())
    process.configure(Desired())


@pytest.fixture
async def serve() -> AsyncIterator[Callable[[Handler], Awaitable[Address]]]:
    """Start a target with a handler; answers its address."""
    runners: list[web.ServerRunner] = []

    async def start(handler: Handler) -> Address:
        runner = web.ServerRunner(web.Server(handler), shutdown_timeout=0.1)
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


KEYS = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}


class FastClock:
    """Sixty times as fast as the real one."""

    speed = 60.0

    def __init__(self) -> None:
        self._start = time.time()

    def now(self) -> datetime:
        return self.at(time.time())

    def at(self, real_epoch_seconds: float) -> datetime:
        virtual = (real_epoch_seconds - self._start) * self.speed
        return datetime.fromtimestamp(self._start, UTC) + timedelta(seconds=virtual)

    def real_seconds(self, virtual_seconds: float) -> float:
        return virtual_seconds / self.speed


@dataclass
class Cloud:
    """An API server with our data plane, and what was put into its metric store."""

    endpoint: str
    plane: elbv2.DataPlane
    metrics: Counter[tuple[str, tuple[tuple[str, str], ...]]] = field(default_factory=Counter)

    def client(self, service: str) -> Any:
        return boto3.client(service, endpoint_url=self.endpoint, region_name="us-east-1", **KEYS)

    def cli(self, *words: str) -> Any:
        return AwsCli(self.endpoint)(*words)

    def network(self) -> tuple[str, list[str]]:
        ec2 = self.client("ec2")
        vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        subnets = [
            ec2.create_subnet(
                VpcId=vpc, CidrBlock=f"10.0.{i}.0/24", AvailabilityZone=f"us-east-1{z}"
            )["Subnet"]["SubnetId"]
            for i, z in enumerate("ab")
        ]
        return vpc, subnets

    def healthy(self, group: str, n: int = 1) -> None:
        self.until(lambda: [*self.plane.health(group).values()] == [TargetHealth.HEALTHY] * n)

    @staticmethod
    def get(port: int, path: str = "/") -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            text: str = answer.read().decode()
            return text

    @staticmethod
    def until(condition: Callable[[], Any], seconds: float = 10.0) -> None:
        deadline = time.monotonic() + seconds
        pause = threading.Event()
        while not condition():
            assert time.monotonic() < deadline, "the condition did not come about"
            pause.wait(0.02)


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    cloud = Cloud("", None)  # type: ignore[arg-type]

    def put(
        _namespace: str, name: str, dims: dict[str, str], _at: datetime, values: Any, *, unit: str
    ) -> None:
        cloud.metrics[name, tuple(sorted(dims.items()))] += sum(values) if unit == "Count" else 1

    cloud.plane = elbv2.install(clock=FastClock(), put=put, seed=3)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    cloud.endpoint = "http://{}:{}".format(*server.get_host_and_port())
    yield cloud
    server.stop()
    cloud.plane.stop()
    elbv2_backends.clear()
    elbv2_backends.backend = ELBv2Backend


@pytest.fixture
def target() -> Iterator[Callable[[str], tuple[str, int]]]:
    """Start a target that answers its name; gives its address."""
    servers: list[ThreadingHTTPServer] = []

    def start(name: str) -> tuple[str, int]:
        class Named(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Length", str(len(name)))
                self.end_headers()
                self.wfile.write(name.encode())

            def log_message(self, *_args: Any) -> None:
                return

        server = ThreadingHTTPServer(("127.0.0.1", 0), Named)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        return "127.0.0.1", server.server_port

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()
