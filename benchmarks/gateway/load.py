"""Loads a gateway and watches what it costs: wrk for whole answers, one process for streams."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
POST = """
local f = io.open(os.getenv("BODY"), "rb"); wrk.body = f:read("*a"); f:close()
wrk.method = "POST"
for k, v in pairs({%s}) do wrk.headers[k] = v end
done = function(s, l)
  io.write(string.format('JSON{"n":%%d,"us":%%d,"bad":%%d,"p50":%%.1f,"p99":%%.1f}\\n', s.requests,
    s.duration, s.errors.status + s.errors.connect + s.errors.read + s.errors.write
    + s.errors.timeout, l:percentile(50), l:percentile(99)))
end
"""


def processes(group: int) -> list[int]:
    """The processes of a process group."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[2]) == group:
                found.append(int(entry.name))
    return found


def cpu_seconds(group: int) -> float:
    """Processor time of a process group so far."""
    total = 0
    for pid in processes(group):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


def megabytes(group: int) -> float:
    """Resident memory of a process group."""
    pages = (int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in processes(group))
    return sum(pages) * PAGE / 1e6


def script(folder: Path, headers: Mapping[str, str]) -> Path:
    """wrk's script: POST with these headers, figures as JSON."""
    path = folder / "post.lua"
    path.write_text(POST % ", ".join(f'["{key}"]="{value}"' for key, value in headers.items()))
    return path


def wrk(url: str, script: Path, body: Path, connections: int, seconds: float) -> dict[str, float]:
    """Requests per second, latencies in milliseconds, and answers that were not 2xx."""
    ran = subprocess.run(
        ["taskset", "-c", "1", "wrk", "-t1", f"-c{connections}", f"-d{seconds:g}s", "--latency",
         "-s", str(script), url],
        capture_output=True, text=True, check=True, env={**os.environ, "BODY": str(body)},
    )  # fmt: skip
    row = json.loads(ran.stdout[ran.stdout.index("JSON{") + 4 :].splitlines()[0])
    return {
        "n": row["n"],
        "rps": row["n"] / row["us"] * 1e6,
        "p50": row["p50"] / 1000,
        "p99": row["p99"] / 1000,
        "bad": row["bad"],
    }


def first_answer(port: int, path: str, headers: Mapping[str, str], body: bytes, end: float) -> bool:
    """Whether a request was answered 200 before `end` (monotonic seconds)."""
    while time.monotonic() < end:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("POST", path, body, dict(headers))
            if connection.getresponse().status == 200:
                return True
        except OSError:
            pass
        finally:
            connection.close()
        time.sleep(0.005)
    return False


@dataclass
class Stream(asyncio.Protocol):
    """One streamed answer: when its events came."""

    request: bytes
    done: asyncio.Future[None]
    sent: float = 0.0
    times: list[float] = field(default_factory=list)
    whole: bool = False
    _tail: bytes = b""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.sent = time.perf_counter()
        transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        events = data.count(b"data: {")
        self.times += [now] * events
        self._tail = (self._tail + data)[-64:]
        if b"[DONE]" in self._tail:
            self.whole = True
            self.transport.close()

    def connection_lost(self, _: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(None)


async def _streams(port: int, request: bytes, count: int) -> list[Stream]:
    loop = asyncio.get_running_loop()
    open_ones: list[Stream] = []

    def made() -> Stream:
        stream = Stream(request, loop.create_future())
        open_ones.append(stream)
        return stream

    for _ in range(count):
        await loop.create_connection(made, "127.0.0.1", port)
        await asyncio.sleep(0.5 / count)
    await asyncio.wait_for(asyncio.gather(*(one.done for one in open_ones)), 120)
    return open_ones


def streams(port: int, request: bytes, count: int, burn: Callable[[], float]) -> dict[str, float]:
    """`count` streams at once: first event and gaps in ms, processor microseconds per event."""
    before = burn()
    found = asyncio.run(_streams(port, request, count))
    spent = burn() - before
    first = [(one.times[0] - one.sent) * 1000 for one in found if one.times]
    gaps = sorted(
        (b - a) * 1000 for one in found for a, b in zip(one.times, one.times[1:], strict=False)
    )
    events = sum(len(one.times) for one in found)
    return {
        "ttft": statistics.median(first) if first else float("nan"),
        "gap99": gaps[int(len(gaps) * 0.99)] if gaps else float("nan"),
        "us_event": spent / events * 1e6 if events else float("nan"),
        "truncated": sum(not one.whole for one in found),
    }
