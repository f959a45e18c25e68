"""What one call to a provider costs in CPU: this service's HTTP client beside aiohttp and httpx.

    python benchmarks/gateway/client.py [--upstream COMMAND] [--seconds 2] [--rounds 3]

Every client posts a chat of about 1 KB and reads an answer of about 1 KB from the same upstream
(a process of its own), with so many requests under way at once. The clients take turns; the medians
of the rounds and their ratios are printed. CPU is this process's own (user and system), so the
upstream's cost is not in it. `--upstream` is a command that is given a free port as its last
argument and serves HTTP there; without it a small asyncio server is started. A client that is not
installed is left out.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shlex
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import uvloop

from llm_service.http import HttpClient

Post = Callable[[], Awaitable[bytes]]
BODY = json.dumps({"model": "m", "messages": [{"role": "user", "content": "x" * 900}]}).encode()
SAID = json.dumps({"choices": [{"message": {"content": "y" * 800}}]}).encode()
TYPE = {"content-type": "application/json"}


class Upstream(asyncio.Protocol):
    """Answers every request at once; reads only what tells where a request ends."""

    def __init__(self) -> None:
        self.held = b""
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
        self.answer = head % len(SAID) + SAID

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport

    def data_received(self, data: bytes) -> None:
        self.held += data
        while b"\r\n\r\n" in self.held:
            head, _, rest = self.held.partition(b"\r\n\r\n")
            size = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
            if len(rest) < size:
                return
            self.held = rest[size:]
            self.transport.write(self.answer)


async def serve(port: int) -> None:
    """Serves until it is killed."""
    server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", port)
    await server.serve_forever()


async def ours(url: str) -> tuple[Post, Callable[[], Awaitable[Any]]]:
    client = HttpClient(max_idle=1000)
    endpoint = client.endpoint(url, TYPE)

    async def post() -> bytes:
        return (await endpoint.post(BODY, 30.0)).body

    return post, client.close


async def with_aiohttp(url: str) -> tuple[Post, Callable[[], Awaitable[Any]]]:
    import aiohttp

    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=30)
    )

    async def post() -> bytes:
        async with session.post(url, data=BODY, headers=TYPE) as answer:
            return await answer.read()

    return post, session.close


async def with_httpx(url: str) -> tuple[Post, Callable[[], Awaitable[Any]]]:
    import httpx

    client = httpx.AsyncClient(
        limits=httpx.Limits(max_connections=None), timeout=30, trust_env=False
    )

    async def post() -> bytes:
        return (await client.post(url, content=BODY, headers=TYPE)).content

    return post, client.aclose


CLIENTS = {"ours": ours, "aiohttp": with_aiohttp, "httpx": with_httpx}


async def measure(name: str, url: str, at_once: int, seconds: float) -> float:
    """CPU microseconds of this process per request, with `at_once` requests under way."""
    post, close = await CLIENTS[name](url)
    assert len(await post()) > 100
    done, ends = 0, 0.0

    async def worker() -> None:
        nonlocal done
        while time.monotonic() < ends:
            await post()
            done += 1

    ends = time.monotonic() + seconds / 4
    await asyncio.gather(*(worker() for _ in range(at_once)))
    done, ends, began = 0, time.monotonic() + seconds, time.process_time()
    await asyncio.gather(*(worker() for _ in range(at_once)))
    spent = time.process_time() - began
    await close()
    return spent / done * 1e6


def installed(name: str) -> bool:
    try:
        __import__({"ours": "llm_service"}.get(name, name))
    except ImportError:
        return False
    return True


def compare(url: str, seconds: float, rounds: int) -> None:
    """Prints a line per client: the median for 1 and for 64 requests at once, and the ratios."""
    names = [name for name in CLIENTS if installed(name)]
    found: dict[tuple[str, int], list[float]] = {}
    for _ in range(rounds):
        for name in names:
            for at_once in (1, 64):
                cost = uvloop.run(measure(name, url, at_once, seconds))
                found.setdefault((name, at_once), []).append(cost)
    middle = {key: statistics.median(values) for key, values in found.items()}
    print("client     us at 1   us at 64   x ours at 1   x ours at 64")
    for name in names:
        one, many = middle[name, 1], middle[name, 64]
        times = f"{one / middle['ours', 1]:13.1f} {many / middle['ours', 64]:14.1f}"
        print(f"{name:8} {one:9.0f} {many:10.0f} {times}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--upstream", help="a command that serves on the port it is given")
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    if wanted.serve:
        uvloop.run(serve(wanted.serve))
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = shlex.split(wanted.upstream or f"{sys.executable} {__file__} --serve")
    with subprocess.Popen([*command, str(port)]) as upstream:
        try:
            while socket.socket().connect_ex(("127.0.0.1", port)):
                time.sleep(0.05)
            url = f"http://127.0.0.1:{port}/v1/chat/completions"
            compare(url, wanted.seconds, wanted.rounds)
        finally:
            upstream.kill()


if __name__ == "__main__":
    main()
