"""Asks a service over HTTP: chat, search and evaluations, each request repeated where that helps.

A request that the network or a gateway failed (no connection, 502, 503, 504) is sent again up to
twice. One that came too early (429) waits as long as Retry-After asks, or twice as long each time
without one, and then all wait with it: asking on would only be refused again. Only a service that
asks for more patience than there is, for instance until its daily budget is renewed, fails it. How
often is counted. A 500 is the release's own answer and is not repeated.
"""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

TOO_EARLY = 429
RETRIED = frozenset({TOO_EARLY, 502, 503, 504})
RETRIES = 2
LONGEST_WAIT = 90.0
"""Seconds of Retry-After beyond which a request is given up instead of sent again."""
PATIENCE = 300.0
"""Seconds that one request waits in all for a service that says it came too early."""
WORTH_TELLING = 5.0
"""Seconds of waiting, on top of what was told before, that are told."""
LATE = "no answer in time"
MOST_TOLD = 200
"""Characters of a service's own sentence about an error that are passed on."""
RELEASE = "x-llmops-release"
FEATURE = "x-llmops-feature"


Notice = Callable[[str], None]
"""Told what somebody who waits should know."""


@dataclass(frozen=True)
class Target:
    """A service: `url` is the root, with or without /v1."""

    url: str
    token: str = field(default="", repr=False)
    model: str = "default"
    feature: str | None = None
    seconds: float = 60.0

    @property
    def root(self) -> str:
        """The root without /v1."""
        return self.url.rstrip("/").removesuffix("/v1")

    @property
    def headers(self) -> dict[str, str]:
        """What every request carries."""
        found = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        return {**found, FEATURE: self.feature} if self.feature else found


@dataclass
class Said:
    """What a request came to; `content` None: it failed, and `error` says how. Times in ms, of the
    last attempt."""

    began: float = 0.0
    content: str | None = None
    error: str | None = None
    status: int = 0
    release: str = ""
    retries: int = 0
    latency: float = 0.0
    first_token: float | None = None
    usage: Mapping[str, Any] = field(default_factory=dict)
    cost: float | None = None
    supported: bool | None = None
    feature: str | None = None


class Asking:
    """A session with one service."""

    def __init__(
        self,
        session: Any,
        target: Target,
        clock: Callable[[], float] = time.perf_counter,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        notice: Notice = lambda _: None,
    ) -> None:
        self._session, self._target = session, target
        self._clock, self._sleep, self._notice = clock, sleep, notice
        self._open_at = -math.inf

    async def chat(self, question: str, *, stream: bool) -> Said:
        """The answer to a question."""
        body: dict[str, Any] = {
            "model": self._target.model,
            "messages": [{"role": "user", "content": question}],
        }
        if stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        read = self._read_stream if stream else self._read_whole
        return await self._repeated("/v1/chat/completions", body, read)

    async def search(self, query: str, limit: int) -> tuple[Sequence[str] | None, Said]:
        """The ids of the documents found, best first; None if it failed."""
        said = await self._repeated("/v1/search", {"query": query, "top_k": limit}, self._read_text)
        try:
            return [str(each["id"]) for each in json.loads(said.content or "")["results"]], said
        except (ValueError, LookupError, TypeError):
            return None, said

    async def evaluate(self, body: Mapping[str, Any]) -> tuple[Mapping[str, Any] | None, Said]:
        """What the service's evaluator says; None if it failed."""
        said = await self._repeated("/v1/evaluations", dict(body), self._read_text)
        try:
            found = json.loads(said.content or "")
        except ValueError:
            return None, said
        return (found if isinstance(found, dict) else None), said

    async def _repeated(
        self, path: str, body: Mapping[str, Any], read: Callable[[Any, Said], Awaitable[None]]
    ) -> Said:
        lost, waited, retries = 0, 0.0, 0
        while True:
            await self._turn()
            said, asked = await self._attempt(path, body, read)
            said.retries = retries
            if asked is None:
                return said
            early = said.status == TOO_EARLY
            pause = max(asked, 0.2 * 2 ** min(retries, 8))
            if asked > LONGEST_WAIT or (waited + pause > PATIENCE if early else lost >= RETRIES):
                return said
            retries += 1
            if early:
                waited += pause
                self._wait_until(self._clock() + pause, pause)
            else:
                lost += 1
                await self._sleep(pause)

    def _wait_until(self, at: float, pause: float) -> None:
        if at > self._open_at + WORTH_TELLING:
            self._notice(f"the service asks for {pause:.0f} s of patience (HTTP 429)")
        self._open_at = max(self._open_at, at)

    async def _turn(self) -> None:
        """Waits while the service has asked for patience."""
        while (left := self._open_at - self._clock()) > 0:
            await self._sleep(left)

    async def _attempt(
        self, path: str, body: Mapping[str, Any], read: Callable[[Any, Said], Awaitable[None]]
    ) -> tuple[Said, float | None]:
        """What came of it, and the seconds to wait before it is worth another try."""
        import aiohttp

        said = Said(began=self._clock())
        try:
            async with self._session.post(f"{self._target.root}{path}", json=body) as response:
                said.status = response.status
                said.release = response.headers.get(RELEASE, "")
                if response.status != 200:
                    said.error = _told(response.status, await response.read())
                    again = response.status in RETRIED
                    return said, _pause(response.headers) if again else None
                await read(response, said)
        except TimeoutError:
            said.content, said.error = None, LATE
        except aiohttp.InvalidURL:
            said.error = "that is no address"
            return said, None
        except aiohttp.ClientConnectorError as error:
            said.error = f"no connection ({error.strerror})"
            return said, 0.0
        except aiohttp.ClientError as error:
            said.content, said.error = None, type(error).__name__
            return said, 0.0
        said.latency = 1000 * (self._clock() - said.began)
        return said, None

    async def _read_text(self, response: Any, said: Said) -> None:
        said.content = await response.text()

    async def _read_whole(self, response: Any, said: Said) -> None:
        try:
            answer = json.loads(await response.text())
            said.content = str(answer["choices"][0]["message"]["content"] or "")
        except (ValueError, LookupError, TypeError):
            said.error = "not a chat completion"
            return
        _note(said, answer)

    async def _read_stream(self, response: Any, said: Said) -> None:
        pieces, ended = list[str](), False
        async for event in _events(response):
            if "error" in event:
                said.error = "the stream ended with an error"
                return
            _note(said, event)
            for choice in event.get("choices") or ():
                piece = (choice.get("delta") or {}).get("content")
                if piece:
                    said.first_token = said.first_token or 1000 * (self._clock() - said.began)
                    pieces.append(piece)
                ended = ended or bool(choice.get("finish_reason"))
        if not ended:
            said.error = "the stream was cut"
            return
        said.content = "".join(pieces)


@asynccontextmanager
async def asking(
    target: Target, concurrency: int, notice: Notice = lambda _: None
) -> AsyncIterator[Asking]:
    """A session of at most `concurrency` connections."""
    import aiohttp

    timeout = aiohttp.ClientTimeout(total=target.seconds)
    connector = aiohttp.TCPConnector(limit=concurrency)
    async with aiohttp.ClientSession(
        connector=connector, timeout=timeout, headers=target.headers
    ) as session:
        yield Asking(session, target, notice=notice)


async def _events(response: Any) -> AsyncIterator[Mapping[str, Any]]:
    """The JSON events of a stream until `[DONE]`."""
    async for line in response.content:
        text = line.decode("utf-8", "replace").strip()
        data = text.removeprefix("data:").strip()
        if not text.startswith("data:") or not data:
            continue
        if data == "[DONE]":
            return
        try:
            event = json.loads(data)
        except ValueError:
            event = {"error": "not JSON"}
        yield event if isinstance(event, dict) else {"error": "not an object"}


def _note(said: Said, answer: Mapping[str, Any]) -> None:
    """Tokens and, where the service tells them, the cost and whether passages hold the answer."""
    said.usage = answer.get("usage") or said.usage
    cost = answer.get("cost_micro_usd")
    if isinstance(cost, int | float):
        said.cost = float(cost)
    if isinstance(answer.get("supported"), bool):
        said.supported = answer["supported"]
    if isinstance(answer.get("feature"), str):
        said.feature = answer["feature"]


def _told(status: int, body: bytes) -> str:
    """The status, and the sentence of an error object as OpenAI has them."""
    try:
        message = str(json.loads(body)["error"]["message"])
    except (ValueError, LookupError, TypeError):
        return f"HTTP {status}"
    shown = "".join(each if each.isprintable() else " " for each in message)[:MOST_TOLD]
    return f"HTTP {status}: {shown}".rstrip(". ")


def _pause(headers: Mapping[str, str]) -> float:
    """The seconds of Retry-After; 0 without one."""
    text = headers.get("retry-after", "")
    return float(text) if text.replace(".", "", 1).isdigit() else 0.0
