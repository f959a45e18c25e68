"""A stand-in for OpenAI, Anthropic and Bedrock on a free port of the loopback.

The real ones cannot be reached from tests, and would not fail when asked to. This one speaks their
wire formats, streaming or not (`provider_answers.py`; the official clients are the judges of that,
in tests), behaves as told for each request, and notes what it was asked and whether the client hung
up before the end. It runs in a thread with an event loop of its own, or as a process:

    python tests/support/provider_server.py --port 8080 --latency 0.05 --gap 0.02 --words 64

There each request's model picks its behaviour: a name in BEHAVIOURS (`provider_behaviours.py`), or
any other for an answer.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Self
from urllib.parse import unquote

from provider_answers import Anthropic, Bedrock, Format, OpenAi, Said
from provider_behaviours import BEHAVIOURS, OK, WORDS, Behaviour, Then

__all__ = ["BEHAVIOURS", "OK", "WORDS", "Behaviour", "ProviderServer", "Seen", "refused_url"]

FORMATS: Mapping[str, Format] = {
    "/chat/completions": OpenAi(),
    "/messages": Anthropic(),
    "/converse": Bedrock(),
    "/converse-stream": Bedrock(),
}
HELD = 64 * 1024
"""Bytes written and not yet taken by the client before the next piece waits."""


@dataclass(slots=True)
class Seen:
    """A request, and what became of its answer."""

    path: str
    headers: dict[str, str]
    body: bytes
    at: float = field(default_factory=time.monotonic)
    pieces: int = 0
    finished: bool = False
    hung_up: bool = False

    @property
    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.body)

    @property
    def streams(self) -> bool:
        """Whether a stream was asked for."""
        return self.path.endswith("/converse-stream") or bool(self.json.get("stream"))

    @property
    def model(self) -> str:
        """The model that was asked for."""
        if "/model/" in self.path:
            return unquote(self.path.split("/model/")[1].rpartition("/")[0])
        return str(self.json.get("model", ""))


Script = Behaviour | Sequence[Behaviour] | Callable[[Seen], Behaviour]


class ProviderServer:
    """Use as a context manager. `script` decides on every request; a list is for one after another
    and its last entry for all that follow."""

    def __init__(self, script: Script = OK, port: int = 0) -> None:
        self.requests: list[Seen] = []
        self._script = script
        self._connections: set[_Connection] = set()
        self._listening = socket.create_server(("127.0.0.1", port), backlog=512)
        self.port: int = self._listening.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        """The root, as Anthropic's and AWS's clients take it."""
        self.openai_url = f"{self.url}/v1"
        """The root, as OpenAI's client takes it."""
        self._thread = threading.Thread(target=self._run, name="provider-server", daemon=True)

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def script(self, script: Script) -> None:
        """Decides anew, and forgets the requests so far."""
        self._script = script
        self.requests.clear()

    @property
    def last(self) -> Seen:
        """The latest request."""
        return self.requests[-1]

    @property
    def open_connections(self) -> int:
        """Connections that clients hold open."""
        return len(self._connections)

    def behaviour(self, seen: Seen) -> Behaviour:
        """How to answer `seen`, which is noted."""
        self.requests.append(seen)
        if isinstance(self._script, Behaviour):
            return self._script
        if callable(self._script):
            return self._script(seen)
        return self._script[min(len(self.requests), len(self._script)) - 1]

    async def serve(self) -> None:
        """Serves in the event loop that runs."""
        loop = asyncio.get_running_loop()
        await loop.create_server(lambda: _Connection(self, self._connections), sock=self._listening)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self.serve())
        self._loop.run_forever()
        for connection in list(self._connections):
            connection.abort()
        self._listening.close()
        pending = asyncio.all_tasks(self._loop)
        for task in pending:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*pending, return_exceptions=True))
        self._loop.close()


def refused_url() -> str:
    """An address where nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


class _Connection(asyncio.Protocol):
    """One client's connection: requests one after another, each answered by a task."""

    def __init__(self, server: ProviderServer, connections: set[_Connection]) -> None:
        self._server, self._connections = server, connections
        self._held = b""
        self._seen: Seen | None = None
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        self._connections.add(self)
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data_received(self, data: bytes) -> None:
        self._held += data
        if self._task is None or self._task.done():
            self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.discard(self)
        if self._task is not None and not self._task.done():
            if self._seen is not None:
                self._seen.hung_up = True
            self._task.cancel()

    def abort(self) -> None:
        """Resets the connection."""
        found = self._transport.get_extra_info("socket")
        found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def _next(self) -> None:
        head, end, rest = self._held.partition(b"\r\n\r\n")
        if not end:
            return
        first, *lines = head.decode("latin-1").split("\r\n")
        fields = (line.partition(":") for line in lines)
        headers = {name.strip().lower(): value.strip() for name, _, value in fields}
        length = int(headers.get("content-length", "0"))
        if len(rest) < length:
            return
        self._held = rest[length:]
        self._seen = Seen(first.split(" ")[1], headers, rest[:length])
        self._task = asyncio.get_running_loop().create_task(self._answer(self._seen))

    async def _answer(self, seen: Seen) -> None:
        kind = next((found for end, found in FORMATS.items() if seen.path.endswith(end)), None)
        if kind is None:
            self._whole(404, b'{"error": {"message": "no such path"}}', "application/json", ())
        else:
            await self._behave(seen, kind, self._server.behaviour(seen))
        seen.finished = not self._transport.is_closing()
        if self._held:
            asyncio.get_running_loop().call_soon(self._next)

    async def _behave(self, seen: Seen, kind: Format, told: Behaviour) -> None:
        await _pause(told.before_head)
        if told.then is not None and told.after is None:
            await self._end_early(told.then)
        elif told.status != 200:
            body = kind.error(told.status, told.message, told.code)
            headers = (*told.headers, *kind.error_headers(told.code).items())
            self._body(told, told.body if told.body is not None else body, headers)
        elif told.body is not None:
            self._body(told, told.body, told.headers)
        elif seen.streams:
            await self._stream(seen, kind, told)
        else:
            await self._not_streamed(seen, kind, told)

    async def _not_streamed(self, seen: Seen, kind: Format, told: Behaviour) -> None:
        body = whole(kind, _said(seen, told))
        if told.then == "error":
            body = kind.error(200, told.message, told.code)
        elif told.then in ("stop", "broken"):
            body = body[: len(body) // 2]
        elif told.then in ("cut", "reset", "hang", "endless"):
            declared = 10**9 if told.then == "endless" else len(body)
            self._transport.write(_head(200, "application/json", told.headers, declared))
            await _pause(told.before_first)
            self._transport.write(body[: len(body) // 2])
            await self._end_early(told.then)
            return
        if told.before_first or told.gap:
            self._transport.write(_head(200, "application/json", told.headers, len(body)))
            await _pause(told.before_first)
            await self._drip(body, told.gap)
            return
        self._body(told, body, told.headers)

    async def _drip(self, body: bytes, gap: float) -> None:
        size = max(1, len(body) // 8)
        for start in range(0, len(body), size):
            self._transport.write(body[start : start + size])
            await _pause(gap)

    async def _stream(self, seen: Seen, kind: Format, told: Behaviour) -> None:
        content_type = told.content_type or kind.stream_type
        self._transport.write(_head(200, content_type, told.headers, None))
        await _pause(told.before_first)
        opening, words, closing = parted(kind, _said(seen, told))
        await self._send(seen, told, opening)
        if told.then is None or told.after is None:
            await self._send(seen, told, words)
        else:
            await self._send(seen, told, words[: told.after])
            if not await self._turn(seen, kind, told, words):
                return
            await self._send(seen, told, words[told.after :])
        closing = closing if told.end_marks else closing[:-1]
        await self._send(seen, told, closing * 2 if told.then == "twice" else closing)
        if told.then == "linger":
            await _pause(math.inf)
        self._transport.write(b"0\r\n\r\n")

    async def _turn(
        self, seen: Seen, kind: Format, told: Behaviour, words: Sequence[bytes]
    ) -> bool:
        """What happens in the middle of a stream; whether it goes on."""
        if told.then in ("twice", "linger", None):
            return True
        if told.then == "broken":
            await self._send(seen, told, [kind.broken_piece(told.message)])
            return True
        if told.then == "error":
            await self._send(seen, told, [kind.error_piece(told.message, told.code)])
        while told.then == "endless":
            await self._send(seen, told, words)
        if told.then in ("error", "stop"):
            self._transport.write(b"0\r\n\r\n")
        elif told.then is not None:
            await self._end_early(told.then)
        return False

    async def _send(self, seen: Seen, told: Behaviour, pieces: Sequence[bytes]) -> None:
        for piece in pieces:
            self._transport.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            seen.pieces += 1
            await _pause(told.gap)
            while self._transport.get_write_buffer_size() > HELD:
                await asyncio.sleep(0.001)

    async def _end_early(self, then: Then) -> None:
        if then == "reset":
            self.abort()
        elif then in ("hang", "endless"):
            await _pause(math.inf)
        else:
            self._transport.close()

    def _body(self, told: Behaviour, body: bytes, headers: Sequence[tuple[str, str]]) -> None:
        self._whole(told.status, body, told.content_type or "application/json", headers)

    def _whole(
        self, status: int, body: bytes, kind: str, headers: Sequence[tuple[str, str]]
    ) -> None:
        self._transport.write(_head(status, kind, headers, len(body)) + body)


async def _pause(seconds: float) -> None:
    if seconds == math.inf:
        await asyncio.get_running_loop().create_future()
    elif seconds:
        await asyncio.sleep(seconds)


def _head(
    status: int, content_type: str, headers: Sequence[tuple[str, str]], length: int | None
) -> bytes:
    size = "transfer-encoding: chunked" if length is None else f"content-length: {length}"
    lines = [f"HTTP/1.1 {status} Fake", f"content-type: {content_type}", size]
    lines += [f"{name}: {value}" for name, value in headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def _said(seen: Seen, told: Behaviour) -> Said:
    return Said(told.words, told.tool, seen.model, told.usage, told.finish)


@lru_cache(maxsize=256)
def whole(kind: Format, said: Said) -> bytes:
    """The body of an answer."""
    return kind.whole(said)


@lru_cache(maxsize=256)
def parted(kind: Format, said: Said) -> tuple[list[bytes], list[bytes], list[bytes]]:
    """A stream's events: what opens it, its words (or pieces of a tool's call), what closes it."""
    pieces = kind.pieces(said)
    middle = len(said.words) if said.tool is None else 2
    marks = kind.end_marks()
    closing = next(
        place for place, piece in enumerate(pieces) if any(mark in piece for mark in marks)
    )
    first = closing - middle - (0 if isinstance(kind, OpenAi) else 1)
    return pieces[:first], pieces[first:closing], pieces[closing:]


def main() -> None:
    """Serves until it is ended."""
    parser = argparse.ArgumentParser(description="A stand-in for language model providers.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before an answer")
    parser.add_argument("--gap", type=float, default=0.0, help="seconds between two words")
    parser.add_argument("--words", type=int, default=len(WORDS), help="words of an answer")
    said = parser.parse_args()
    words = tuple(f"{' ' if place else ''}word{place}" for place in range(said.words))

    def behaviour(seen: Seen) -> Behaviour:
        server.requests.clear()
        found = BEHAVIOURS.get(seen.model.rpartition("/")[2], OK)
        return replace(
            found, words=words, before_head=found.before_head or said.latency, gap=said.gap
        )

    server = ProviderServer(behaviour, said.port)
    sys.stdout.write(f"{server.url}\n")
    sys.stdout.flush()
    asyncio.run(_forever(server))


async def _forever(server: ProviderServer) -> None:
    await server.serve()
    await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    main()
