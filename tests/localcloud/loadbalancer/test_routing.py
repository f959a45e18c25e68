"""Which target gets a request: weights, round robin, conditions, and what answers by itself."""

from __future__ import annotations

import asyncio
import math
import subprocess
import sys
from collections import Counter
from typing import Any

import aiohttp
import psutil
import pytest

from llmops_localcloud.loadbalancer.control import LoadBalancerError, LoadBalancerProcess
from llmops_localcloud.loadbalancer.desired import (
    Condition,
    Desired,
    FixedResponse,
    Forward,
    Listener,
    Redirect,
    Rule,
)


async def names(client: aiohttp.ClientSession, url: str, n: int) -> Counter[str]:
    async def one() -> str:
        async with client.get(url) as answer:
            assert answer.status == 200
            return await answer.text()

    seen: Counter[str] = Counter()
    for _ in range(n // 50):
        seen.update(await asyncio.gather(*(one() for _ in range(50))))
    return seen


async def test_weights_split_requests_within_binomial_bounds(
    bench: Any, named: Any, client: aiohttp.ClientSession
) -> None:
    bench.groups = {"A": (await named("a"),), "B": (await named("b"),)}
    await bench.apply(A=90, B=10)
    await bench.healthy("A", "B")
    seen = await names(client, bench.url, 1000)
    assert seen.total() == 1000
    assert abs(seen["b"] - 100) <= 4 * math.sqrt(1000 * 0.1 * 0.9)


async def test_weight_zero_gets_nothing(
    bench: Any, named: Any, client: aiohttp.ClientSession
) -> None:
    bench.groups = {"A": (await named("a"),), "B": (await named("b"),)}
    await bench.apply(A=1, B=0)
    await bench.healthy("A", "B")
    assert await names(client, bench.url, 300) == {"a": 300}
    await bench.apply(A=0, B=1)
    assert await names(client, bench.url, 100) == {"b": 100}


async def test_targets_of_a_group_take_turns(
    bench: Any, named: Any, client: aiohttp.ClientSession
) -> None:
    bench.groups = {"A": (await named("1"), await named("2"))}
    await bench.apply(A=1)
    await bench.healthy("A")
    assert await names(client, bench.url, 100) == {"1": 50, "2": 50}


async def test_no_target_is_503(bench: Any, client: aiohttp.ClientSession, wait: Any) -> None:
    bench.groups = {"A": ()}
    await bench.apply(A=1)
    async with client.get(bench.url) as answer:
        assert answer.status == 503
        assert answer.headers["Server"] == "awselb/2.0"
        assert "503 Service Unavailable" in await answer.text()
    key = ("", "HTTPCode_ELB_503_Count")
    await wait(lambda: bench.told.counts[key] == 1)


async def test_the_first_rule_that_matches_decides(
    bench: Any, named: Any, client: aiohttp.ClientSession
) -> None:
    bench.groups = {name: (await named(name),) for name in ("A", "B", "C", "D", "E")}
    bench.rules = (
        Rule("1", (Condition("path-pattern", ("/v?/*.png",)),), Forward({"B": 1})),
        Rule("2", (Condition("http-header", ("canary*",), "X-Test"),), Forward({"C": 1})),
        Rule("3", (Condition("host-header", ("*.example.com",)),), Forward({"D": 1})),
        Rule("4", (Condition("query-string", ("1",), keys=("beta",)),), Forward({"E": 1})),
    )
    await bench.apply(A=1)
    await bench.healthy("A", "B", "C", "D", "E")

    async def ask(path: str, **headers: str) -> str:
        async with client.get(bench.url + path, headers=headers) as answer:
            return await answer.text()

    assert await ask("/v1/a.png") == "B"
    assert await ask("/V1/a.png") == "A"
    assert await ask("/v12/a.png") == "A"
    assert await ask("/", **{"X-Test": "Canary-7"}) == "C"
    assert await ask("/", Host="api.EXAMPLE.com:80") == "D"
    assert await ask("/?x=2&BETA=1") == "E"
    assert await ask("/?beta=2") == "A"


async def test_two_conditions_must_both_hold(
    bench: Any, named: Any, client: aiohttp.ClientSession
) -> None:
    bench.groups = {"A": (await named("a"),), "B": (await named("b"),)}
    both = (
        Condition("path-pattern", ("/x", "/y")),
        Condition("http-request-method", ("POST",)),
    )
    bench.rules = (Rule("1", both, Forward({"B": 1})),)
    await bench.apply(A=1)
    await bench.healthy("A", "B")
    for method, path, name in (("POST", "/y", "b"), ("GET", "/y", "a"), ("POST", "/z", "a")):
        async with client.request(method, bench.url + path) as answer:
            assert await answer.text() == name


async def test_fixed_responses_and_redirects(bench: Any, client: aiohttp.ClientSession) -> None:
    bench.rules = (
        Rule("1", (Condition("path-pattern", ("/down",)),), FixedResponse(503, body="closed")),
        Rule("2", (Condition("path-pattern", ("/old/*",)),), Redirect(301, path="/new/#{path}")),
    )
    bench.groups = {"A": ()}
    await bench.apply(A=1)
    async with client.get(bench.url + "/down") as answer:
        assert (answer.status, await answer.text()) == (503, "closed")
        assert answer.content_type == "text/plain"
    async with client.get(bench.url + "/old/a?b=c", allow_redirects=False) as answer:
        assert answer.status == 301
        assert answer.headers["Location"] == f"{bench.url}/new/old/a?b=c"


async def test_a_taken_port_is_refused_and_changes_nothing(
    bench: Any, named: Any, client: aiohttp.ClientSession, free_port: Any
) -> None:
    bench.groups = {"A": (await named("a"),)}
    await bench.apply(A=1)
    await bench.healthy("A")
    taken = bench.groups["A"][0][1]
    rule = (Rule("r", (), FixedResponse(200)),)
    wanted = Desired(
        (Listener("new", free_port(), "app/x/1", rule), Listener("M", taken, "", rule))
    )
    with pytest.raises(LoadBalancerError, match=f"port {taken} of 127.0.0.1") as raised:
        await asyncio.to_thread(bench.process.configure, wanted)
    assert raised.value.listener == "M"
    assert await names(client, bench.url, 50) == {"a": 50}


async def test_a_listener_taken_away_frees_its_port(bench: Any, named: Any) -> None:
    bench.groups = {"A": (await named("a"),)}
    await bench.apply(A=1)
    await asyncio.to_thread(bench.process.configure, Desired())
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", bench.port)


async def test_a_process_that_dies_comes_back_with_the_same_configuration(
    bench: Any, named: Any, client: aiohttp.ClientSession, wait: Any
) -> None:
    bench.groups = {"A": (await named("a"),)}
    await bench.apply(A=1)
    await bench.healthy("A")
    first: LoadBalancerProcess = bench.process
    before = first.pid
    first._process.kill()  # type: ignore[union-attr]
    await wait(lambda: first.pid != before)

    async def answers() -> bool:
        try:
            async with client.get(bench.url) as answer:
                return answer.status == 200
        except aiohttp.ClientError:
            return False

    async with asyncio.timeout(10):
        while not await answers():
            await asyncio.sleep(0.02)


def test_the_process_ends_with_the_daemon_even_if_that_is_killed() -> None:
    daemon = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "from llmops_localcloud.loadbalancer.control import LoadBalancerProcess\n"
            "from llmops_localcloud.loadbalancer.desired import Desired\n"
            "process = LoadBalancerProcess(report=lambda *_: None)\n"
            "process.configure(Desired())\n"
            "print(process.pid, flush=True)\n"
            "input()\n",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert daemon.stdout is not None
    balancer = psutil.Process(int(daemon.stdout.readline()))
    daemon.kill()
    daemon.communicate()
    psutil.wait_procs([balancer], timeout=10)
    assert not balancer.is_running()
