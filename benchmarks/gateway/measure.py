"""The service beside its peers on one machine, interleaved in one run; ratios, not times.

    python benchmarks/gateway/measure.py [--rounds 3] [--only service,direct] [--write]

Needs wrk, taskset and the peers that `../shared/bench/gateway/compare.py` installs (its fake
upstream, LiteLLM, Portkey); takes nginx and a vllm-router in the same cache where they are there.
The gateway under test runs on core 0; the load and the upstream on core 1. One worker each.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import load
import tables

HERE = Path(__file__).parent
PORT, UPSTREAM, PACED = 9100, 9001, 9002
URL = f"http://127.0.0.1:{UPSTREAM}/v1"
CHAT = "/v1/chat/completions"
BODY = {
    "model": "fast",
    "messages": [
        {"role": "system", "content": "You are a cooking assistant. Answer from the context."},
        {"role": "user", "content": "Context: roasted carrots, tahini, lemon. " * 20 + "What now?"},
    ],
    "temperature": 0.2,
    "max_tokens": 256,
}


@dataclass(frozen=True)
class Target:
    """A gateway: its command, what a request needs to reach the upstream through it."""

    command: list[str]
    headers: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    model: str = "fast"
    paced: str = "paced"


def targets(cache: Path, scratch: Path) -> dict[str, Target]:
    """The gateways that are installed."""
    found = {
        "direct": Target(
            [str(cache / "upstream"), str(PORT)],
            environment={"DELAY_MS": "50", "INTERVAL_MS": "20"},
        ),
        "service": Target([sys.executable, str(HERE / "serve.py")]),
        "litellm": Target(
            [str(cache / "litellm/bin/litellm"), "--config", _litellm(scratch), "--host",
             "127.0.0.1", "--port", str(PORT), "--num_workers", "1"],
            environment={"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR",
                         "LITELLM_MODE": "PRODUCTION"},
        ),
        "portkey": Target(
            ["node", str(cache / "portkey/node_modules/@portkey-ai/gateway/build/start-server.js"),
             f"--port={PORT}", "--headless"],
            headers={"x-portkey-provider": "openai", "x-portkey-custom-host": URL},
            environment={"NODE_ENV": "production", "TRUSTED_CUSTOM_HOSTS": "127.0.0.1,localhost"},
        ),
    }  # fmt: skip
    if shutil.which("nginx"):
        found["nginx"] = Target(["nginx", "-c", _nginx(scratch), "-p", str(scratch)])
    router = cache / "router/bin/vllm-router"
    if router.exists():
        found["vllm-router"] = Target(
            [str(router), "--host", "127.0.0.1", "--port", str(PORT), "--worker-urls",
             f"http://127.0.0.1:{UPSTREAM}", "--log-level", "error"]
        )  # fmt: skip
    return found


def _litellm(scratch: Path) -> str:
    def model(name: str) -> str:
        actual = "gpt-4o-mini" if name == "fast" else name
        return (
            f"  - model_name: {name}\n    litellm_params: "
            f'{{model: openai/{actual}, api_base: "{URL}", api_key: sk-up}}\n'
        )

    path = scratch / "litellm.yaml"
    path.write_text(
        f"model_list:\n{model('fast')}{model('paced')}"
        "litellm_settings: {set_verbose: false, callbacks: [], num_retries: 0, telemetry: false}\n"
        "general_settings: {master_key: sk-bench}\n"
    )
    return str(path)


def _nginx(scratch: Path) -> str:
    path = scratch / "nginx.conf"
    path.write_text(
        f"worker_processes 1; daemon off; pid {scratch}/nginx.pid; error_log /dev/null;\n"
        "events { worker_connections 2048; }\n"
        "http { access_log off; client_body_buffer_size 128k;\n"
        f"  upstream up {{ server 127.0.0.1:{UPSTREAM}; keepalive 512; }}\n"
        f"  server {{ listen 127.0.0.1:{PORT}; location / {{ proxy_pass http://up;"
        ' proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off; } } }\n'
    )
    return str(path)


@contextmanager
def running(target: Target, body: bytes) -> Iterator[tuple[int, float]]:
    """The gateway on core 0: its process group, and the seconds from its start to its first
    answer."""
    environment = {**os.environ, **target.environment, "PORT": str(PORT), "UPSTREAM": URL}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    began = time.monotonic()
    process = subprocess.Popen(
        ["taskset", "-c", "0", *target.command],
        env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    try:
        if not load.first_answer(PORT, CHAT, headers(target), body, began + 60):
            raise SystemExit(f"{target.command[0]} did not answer within a minute")
        yield process.pid, time.monotonic() - began
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def headers(target: Target) -> dict[str, str]:
    """What a request to the gateway carries."""
    return {
        "content-type": "application/json",
        "authorization": "Bearer sk-bench",
        **target.headers,
    }


def once(name: str, target: Target, scratch: Path, seconds: float) -> dict[str, float]:
    """Every figure of one gateway, one round."""
    small, large = scratch / "small.json", scratch / "large.json"
    small.write_text(json.dumps({**BODY, "model": target.model}))
    padded = [*BODY["messages"], {"role": "user", "content": "More context. " * 1_700}]
    large.write_text(json.dumps({**BODY, "model": target.model, "messages": padded}))
    url, script = f"http://127.0.0.1:{PORT}{CHAT}", load.script(scratch, headers(target))

    def wrk(body: Path, connections: int, length: float = seconds) -> dict[str, float]:
        return load.wrk(url, script, body, connections, length)

    with running(target, small.read_bytes()) as (group, start):
        idle = load.megabytes(group)
        wrk(small, 10, 4 if name == "litellm" else 2)
        one, ten = wrk(small, 1), wrk(small, 10)
        before = load.cpu_seconds(group)
        many = wrk(small, 64)
        spent = load.cpu_seconds(group) - before
        big = wrk(large, 64)
        row = {
            "start": start, "rss_idle": idle, "rss_load": load.megabytes(group),
            "c1_p50": one["p50"], "c10_p99": ten["p99"], "c10_rps": ten["rps"],
            "c64_rps": many["rps"], "c64_p99": many["p99"], "cpu_us": spent / many["n"] * 1e6,
            "big_rps": big["rps"],
            "bad": one["bad"] + ten["bad"] + many["bad"] + big["bad"],
        }  # fmt: skip
        row |= _streaming(name, target, group)
        if name == "service":
            cached = scratch / "cached.json"
            cached.write_text(json.dumps({**BODY, "model": "cached"}))
            wrk(cached, 10, 1)
            row["cache_rps"] = wrk(cached, 64)["rps"]
    return row


def _streaming(name: str, target: Target, group: int) -> dict[str, float]:
    body = json.dumps({**BODY, "model": target.paced, "stream": True}).encode()
    lines = {**headers(target), "host": "127.0.0.1", "content-length": str(len(body))}
    head = "".join(f"{key}: {value}\r\n" for key, value in lines.items())
    request = f"POST {CHAT} HTTP/1.1\r\n{head}\r\n".encode() + body

    def run(count: int) -> dict[str, float]:
        return load.streams(PORT, request, count, lambda: load.cpu_seconds(group))

    run(2)
    one, some = run(1), run(64)
    row = {"ttft_1": one["ttft"], "us_event_64": some["us_event"], "ttft_64": some["ttft"]}
    if name in ("direct", "service", "nginx", "vllm-router"):
        most = run(256)
        row |= {"gap99_256": most["gap99"], "truncated_256": most["truncated"]}
    return row


@contextmanager
def upstream(cache: Path) -> Iterator[None]:
    """The fake provider on core 1: immediate answers, and 50 ms and 20 ms an event for `paced`."""
    process = subprocess.Popen(
        ["taskset", "-c", "1", str(cache / "upstream"), str(UPSTREAM)],
        env={**os.environ, "DELAY_MS": "50", "INTERVAL_MS": "20"},
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def main() -> None:
    os.sched_setaffinity(0, {1})  # the streams are driven from here
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--only", help="names, separated by commas")
    parser.add_argument("--write", action="store_true", help="write docs/service/benchmarks.md")
    default = Path.home() / ".cache" / "gateway-bench"
    parser.add_argument("--cache", type=Path, default=default)
    asked = parser.parse_args()
    rows: dict[str, list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as folder, upstream(asked.cache):
        todo = targets(asked.cache, Path(folder))
        if asked.only:
            todo = {name: todo[name] for name in asked.only.split(",")}
        for number in range(asked.rounds):
            for name, target in todo.items():
                rows.setdefault(name, []).append(once(name, target, Path(folder), asked.seconds))
                print(f"round {number + 1} {name}: {rows[name][-1]}", file=sys.stderr, flush=True)
    medians = {
        name: {key: statistics.median(row[key] for row in found) for key in found[0]}
        for name, found in rows.items()
    }
    page = tables.page(medians, asked.rounds)
    print(page)
    if asked.write:
        tables.write(page)


if __name__ == "__main__":
    main()
