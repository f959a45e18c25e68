"""What recording a request costs on the event loop: microseconds of CPU for Telemetry.record.

    python benchmarks/gateway/telemetry.py [--seconds 1]

Lines go to nowhere; sinks other than the lines and the counters only get an append each.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from typing import Any

from llm_service.calls import Usage
from llm_service.telemetry import Attempt, Dimensions, Exchange, Telemetry
from llm_service.telemetry.lines import Lines

ATTEMPT = Attempt(provider="openai", model="gpt-4o-mini", began=100.1, ended=100.9)
FAILED = Attempt(provider="anthropic", model="haiku", began=100.0, ended=100.1, error="timed_out")


def exchange(**changed: Any) -> Exchange:
    """An answered request of usual size."""
    fields: dict[str, Any] = {
        "request_id": "req_0123456789abcdef01234567",
        "path": "/v1/chat/completions",
        "status": 200,
        "began": 100.0,
        "first": 100.5,
        "ended": 101.0,
        "at": 1_800_000_000.0,
        "answered": True,
        "response_id": "chatcmpl-0123456789abcdef01234567",
        "provider": "openai",
        "model": "gpt-4o-mini",
        "fingerprint": "fp_0123456789",
        "usage": Usage(1200, 150),
        "cost": 270.0,
        "retrieved": True,
        "cached": "miss",
        "injection": False,
        "attempts": (ATTEMPT,),
    }
    return Exchange(**fields | changed)


async def cost(made: Exchange, seconds: float) -> float:
    """Microseconds of this thread's CPU for one record: the fastest of several batches."""
    telemetry = Telemetry(
        Dimensions("llmops", "handbook", "production", "1.0.0-0a1b2c3d"),
        lines=Lines(lambda _: None, capacity=500),
        sinks={},
    )
    telemetry.start()
    best, until = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < until:
        began = time.thread_time()
        for _ in range(200):
            telemetry.record(made)
        best = min(best, (time.thread_time() - began) / 200)
    return best * 1e6


def main() -> None:
    """Prints a row for each kind of request."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=1.0, help="for each figure")
    seconds = parser.parse_args().seconds
    kinds = {
        "an answer": exchange(),
        "in an experiment": exchange(experiment="tone", variant="warm", subject="0123456789abcdef"),
        "after a failover": exchange(attempts=(FAILED, ATTEMPT)),
    }
    for name, made in kinds.items():
        print(f"{name:18} {asyncio.run(cost(made, seconds)):6.1f} us")


if __name__ == "__main__":
    main()
