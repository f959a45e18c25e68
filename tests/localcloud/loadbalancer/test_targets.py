"""Health, registration and draining, under load and with real processes."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from llmops_localcloud.loadbalancer.desired import HealthCheck
from llmops_localcloud.loadbalancer.health import accepted, judge, scaled
from llmops_localcloud.loadbalancer.targets import Target
from llmops_localcloud.ports import TargetHealth

FAILURE = ("Target.FailedHealthChecks", "Health checks failed")
SERVER = """
import http.server, sys
class Quiet(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")
    def log_message(self, *args): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
print(server.server_port, flush=True)
server.serve_forever()
"""


@pytest.fixture
def spawn() -> Iterator[Callable[[], subprocess.Popen[str]]]:
    """Start a target as a process that prints its port."""
    started: list[subprocess.Popen[str]] = []

    def start() -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def test_one_success_makes_a_new_target_healthy() -> None:
    target = Target(("127.0.0.1", 1))
    assert judge(target, HealthCheck(healthy_threshold=5), None)
    assert target.state is TargetHealth.HEALTHY


def test_thresholds_count_outcomes_in_a_row() -> None:
    target, check = Target(("127.0.0.1", 1)), HealthCheck(healthy_threshold=3)
    outcomes = [None, FAILURE, None, FAILURE, FAILURE, None, None, FAILURE, None, None, None]
    states = []
    for outcome in outcomes:
        judge(target, check, outcome)
        states.append(target.state.value[0])
    assert "".join(states) == "hhhhuuuuuuh"


def test_a_matcher_is_a_list_of_codes_and_ranges() -> None:
    assert accepted("200,204-299", 250)
    assert not accepted("200,204-299", 201)


def test_a_duration_is_scaled_but_not_below_what_real_work_needs() -> None:
    assert scaled(300, 60, floor=2) == 5
    assert scaled(30, 60, floor=2) == 2
    assert scaled(1, 60, floor=2) == 1


async def test_an_unhealthy_target_gets_nothing_until_it_recovers(
    bench: Any, serve: Any, named: Any, client: aiohttp.ClientSession, wait: Any
) -> None:
    status = 503

    async def sick(request: web.BaseRequest) -> web.Response:
        return web.Response(status=status if request.path == "/ready" else 200, text="sick")

    bad = await serve(sick)
    bench.groups = {"A": (bad, await named("well"))}
    bench.check = HealthCheck(path="/ready", interval_seconds=6, healthy_threshold=2)
    await bench.apply(A=1)
    await wait(lambda: bench.state("A", bad) is TargetHealth.UNHEALTHY)
    view = bench.process.health["A"][bad]
    assert view.reason == "Target.ResponseCodeMismatch"
    assert view.description == "Health checks failed with these codes: [503]"
    for _ in range(10):
        async with client.get(bench.url) as answer:
            assert await answer.text() == "well"
    status = 200
    await wait(lambda: bench.state("A", bad) is TargetHealth.HEALTHY)


async def test_a_group_of_only_unhealthy_targets_fails_open(
    bench: Any, serve: Any, client: aiohttp.ClientSession, wait: Any
) -> None:
    async def sick(request: web.BaseRequest) -> web.Response:
        return web.Response(status=500 if request.path == "/ready" else 200, text="still here")

    bad = await serve(sick)
    bench.groups = {"A": (bad,)}
    bench.check = HealthCheck(path="/ready", interval_seconds=6)
    await bench.apply(A=1)
    await wait(lambda: bench.state("A", bad) is TargetHealth.UNHEALTHY)
    async with client.get(bench.url) as answer:
        assert await answer.text() == "still here"


async def test_a_killed_target_is_502_when_alone_and_then_unhealthy(
    bench: Any, spawn: Any, client: aiohttp.ClientSession, wait: Any
) -> None:
    process = spawn()
    address = ("127.0.0.1", int(process.stdout.readline()))
    bench.groups = {"A": (address,)}
    await bench.apply(A=1)
    await bench.healthy("A")
    async with client.get(bench.url) as answer:
        assert answer.status == 200
    process.kill()
    process.wait()
    async with client.get(bench.url) as answer:
        assert answer.status == 502
    await wait(lambda: bench.state("A", address) is TargetHealth.UNHEALTHY)
    assert bench.process.health["A"][address].reason == "Target.FailedHealthChecks"


async def test_a_deregistered_target_drains_what_is_in_flight_and_is_gone(
    bench: Any, serve: Any, named: Any, client: aiohttp.ClientSession, wait: Any
) -> None:
    began, finish = asyncio.Event(), asyncio.Event()

    async def slow(request: web.BaseRequest) -> web.Response:
        if request.path == "/slow":
            began.set()
            await finish.wait()
        return web.Response(text="old")

    old = await serve(slow)
    bench.groups = {"A": (old,)}
    await bench.apply(A=1)
    await bench.healthy("A")
    flying = asyncio.create_task(client.get(bench.url + "/slow"))
    await began.wait()
    bench.groups = {"A": (await named("new"),)}
    await bench.apply(A=1)
    assert bench.state("A", old) is TargetHealth.DRAINING
    for _ in range(5):
        async with client.get(bench.url) as answer:
            assert await answer.text() == "new"
    finish.set()
    assert await (await flying).text() == "old"
    await wait(lambda: bench.state("A", old) is None)


async def test_a_drain_ends_with_the_deregistration_delay(
    bench: Any, serve: Any, client: aiohttp.ClientSession, wait: Any
) -> None:
    began, finish = asyncio.Event(), asyncio.Event()

    async def slow(request: web.BaseRequest) -> web.Response:
        if request.path == "/slow":
            began.set()
            await finish.wait()
        return web.Response(text="late")

    old = await serve(slow)
    bench.groups, bench.delay = {"A": (old,)}, 0.3
    await bench.apply(A=1)
    await bench.healthy("A")
    flying = asyncio.create_task(client.get(bench.url + "/slow"))
    await began.wait()
    bench.groups = {"A": ()}
    await bench.apply(A=1)
    await wait(lambda: bench.state("A", old) is None, 2)
    finish.set()
    assert await (await flying).text() == "late"


async def test_an_idle_target_is_gone_at_once(bench: Any, named: Any) -> None:
    old = await named("a")
    bench.groups = {"A": (old,)}
    await bench.apply(A=1)
    bench.groups = {"A": ()}
    await bench.apply(A=1)
    assert bench.state("A", old) is None


async def test_no_request_is_lost_while_weights_change_and_targets_come_and_go(
    bench: Any, serve: Any, client: aiohttp.ClientSession, wait: Any
) -> None:
    dice, stop = random.Random(3), asyncio.Event()
    statuses: Counter[int] = Counter()

    async def work(request: web.BaseRequest) -> web.Response:
        await asyncio.sleep(dice.random() * 0.01)
        return web.Response(body=await request.read())

    async def traffic() -> None:
        while not stop.is_set():
            async with client.post(bench.url, data=b"x" * 300) as answer:
                assert await answer.read() == b"x" * 300
                statuses[answer.status] += 1

    addresses = [await serve(work) for _ in range(4)]
    bench.groups = {"A": (addresses[0], addresses[1]), "B": (addresses[2],)}
    await bench.apply(A=100, B=0)
    await bench.healthy("A", "B")
    senders = [asyncio.create_task(traffic()) for _ in range(16)]
    for step in range(30):
        share = step * 10 % 101
        bench.groups = {
            "A": (addresses[step % 2],) if step % 3 else (addresses[0], addresses[1]),
            "B": (addresses[2 + step % 2],),
        }
        await bench.apply(A=100 - share, B=share)
        enough = statuses.total() + 15
        await wait(lambda enough=enough: statuses.total() >= enough)
    stop.set()
    await asyncio.gather(*senders)
    assert set(statuses) == {200}
    assert statuses[200] > 300


async def test_targets_of_an_unused_group_are_not_checked(
    bench: Any, serve: Any, wait: Any
) -> None:
    asked: Counter[str] = Counter()

    def counting(name: str) -> Callable[[web.BaseRequest], Any]:
        async def answer(_request: web.BaseRequest) -> web.Response:
            asked[name] += 1
            return web.Response()

        return answer

    unused = await serve(counting("unused"))
    bench.groups = {"A": (unused,), "B": (await serve(counting("used")),)}
    await bench.apply(A=1, B=1)
    desired = bench.process._desired
    idle = replace(desired.groups[0], load_balancers=())
    groups = (idle, desired.groups[1])
    await asyncio.to_thread(bench.process.configure, replace(desired, groups=groups))
    assert bench.state("A", unused) is TargetHealth.UNUSED
    before = Counter(asked)
    await wait(lambda: asked["used"] >= before["used"] + 3)
    assert asked["unused"] <= before["unused"] + 1
