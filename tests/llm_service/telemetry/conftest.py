"""Exchanges as tests need them, and an HTTP server that stands for whoever receives telemetry."""

from __future__ import annotations

import gzip
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from llm_service.calls import Message, Usage
from llm_service.telemetry import Attempt, Exchange, ToolUse

DEADLINE = 15.0


def until(condition: Callable[[], bool], complaint: str) -> None:
    """Returns once `condition` holds; fails the test after DEADLINE seconds."""
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end, complaint
        time.sleep(0.005)


@pytest.fixture(name="until")
def _until() -> Callable[[Callable[[], bool], str], None]:
    return until


@pytest.fixture
def exchange() -> Callable[..., Exchange]:
    """An answered request, with the fields given changed."""

    def make(**changed: Any) -> Exchange:
        fields: dict[str, Any] = {
            "request_id": "req_1",
            "path": "/v1/chat/completions",
            "status": 200,
            "began": 100.0,
            "first": 100.5,
            "ended": 102.0,
            "at": 1_800_000_000.0,
            "answered": True,
            "response_id": "chatcmpl-1",
            "provider": "openai",
            "model": "gpt-4o-mini",
            "finish_reason": "stop",
            "usage": Usage(100, 20, 40),
            "cost": 27.0,
            "retrieved": True,
            "attempts": (
                Attempt(
                    provider="anthropic", model="haiku", began=100.0, ended=100.1, error="timed_out"
                ),
                Attempt(provider="openai", model="gpt-4o-mini", began=100.2, ended=101.9),
            ),
            "tools": (ToolUse(name="search_corpus", call_id="c1", began=101.0, ended=101.1),),
            "messages": (
                Message("system", "Be brief."),
                Message("user", "Who is [EMAIL]?"),
            ),
            "answer": "Nobody.",
            "user": "0123456789abcdef",
            "session": "fedcba9876543210",
        }
        return Exchange(**fields | changed)

    return make


@dataclass
class Received:
    """One request as it came."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """What came, and what is answered: `status`, once `gate` is open."""

    url: str = ""
    status: int = 200
    requests: list[Received] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)

    def to(self, path: str) -> list[Received]:
        """What came to `path`."""
        return [each for each in self.requests if each.path == path]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A collector that keeps what it is sent."""
    kept = Receiver()
    kept.gate.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            headers = {name.lower(): value for name, value in self.headers.items()}
            kept.requests.append(Received(self.path, headers, body))
            kept.gate.wait(DEADLINE)
            self.send_response(kept.status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    kept.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield kept
    kept.gate.set()
    server.shutdown()
    thread.join()
    server.server_close()
