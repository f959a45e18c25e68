"""A provider is a wire format over an HTTP endpoint; here is what all of them share.

A stream is read to its end before the `End` goes out, so that its connection can be used again:
what a provider sends after the answer is whole (`[DONE]`, the last chunk) comes with it or at once.
One that keeps the connection open instead is not waited for beyond LINGER seconds.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Mapping

from llm_service.calls import Call, Event, ProviderError, Reply
from llm_service.http import Endpoint, HttpError, HttpReply, HttpStream
from llm_service.providers.failures import MOST_READ, failure, of_connection, of_status
from llm_service.providers.sampling import Sampling
from llm_service.providers.wire import Reader, Wire

LINGER = 0.25
"""Seconds for the end of a stream whose answer is whole."""


class HttpProvider(ABC):
    """Implements `calls.Provider`; where requests go and what signs them is the subclass's part."""

    def __init__(self, name: str, wire: Wire) -> None:
        self._name, self._wire, self._sampling = name, wire, Sampling()

    @property
    def name(self) -> str:
        """What the configuration calls it."""
        return self._name

    async def complete(self, call: Call, seconds: float) -> Reply:
        """See `calls.Provider`."""
        loop = asyncio.get_running_loop()
        ends = loop.time() + seconds
        while True:
            fitted = self._sampling.fitted(call)
            answer = await self._post(fitted, ends - loop.time())
            if answer.status == 200:
                return self._wire.reply(answer.body)
            if answer.status != 400 or not self._sampling.learn(fitted, answer.body[:MOST_READ]):
                raise of_status(self._name, answer.status, answer.headers, answer.body)

    async def stream(self, call: Call, seconds: float) -> AsyncGenerator[Event, None]:
        """See `calls.Provider`."""
        loop = asyncio.get_running_loop()
        ends = loop.time() + seconds
        while True:
            fitted = self._sampling.fitted(call)
            body = self._body(fitted, stream=True)
            endpoint, headers = await self._target(fitted, body, stream=True)
            reader = self._wire.reader()
            try:
                async with endpoint.stream(body, ends - loop.time(), headers) as answer:
                    if answer.status != 200:
                        await self._refused(answer, fitted)
                        continue
                    while chunk := await answer.piece():
                        for event in reader.push(chunk):
                            yield event
                        if reader.done:
                            await _read_out(answer)
                            break
            except HttpError as error:
                last = self._last(reader, error)
            else:
                last = reader.end()
            for event in last:
                yield event
            return

    async def close(self) -> None:  # noqa: B027 - nothing to close is an answer
        """The connections belong to the client that the provider was built with."""

    @abstractmethod
    async def _target(
        self, call: Call, body: bytes, stream: bool
    ) -> tuple[Endpoint, Mapping[str, str] | None]:
        """Where `body` goes, and the headers that only this request has. Raises ProviderError."""

    def _body(self, call: Call, stream: bool) -> bytes:
        """The body that asks `call`; text that no UTF-8 can hold is the request's own fault."""
        try:
            return self._wire.body(call, stream)
        except UnicodeEncodeError:
            raise failure("refused", self._name) from None

    async def _post(self, call: Call, seconds: float) -> HttpReply:
        body = self._body(call, stream=False)
        endpoint, headers = await self._target(call, body, stream=False)
        try:
            return await endpoint.post(body, seconds, headers)
        except HttpError as error:
            raise of_connection(self._name, error) from None

    async def _refused(self, answer: HttpStream, call: Call) -> None:
        """Returns if `call` is worth repeating without what the model refused, else raises."""
        found = await answer.read(MOST_READ)
        if answer.status != 400 or not self._sampling.learn(call, found):
            raise of_status(self._name, answer.status, answer.headers, found)

    def _last(self, reader: Reader, error: HttpError) -> list[Event]:
        """What a stream that broke still gives: its end, if the answer was whole before."""
        try:
            return reader.end()
        except ProviderError:
            raise of_connection(self._name, error) from None


async def _read_out(answer: HttpStream) -> None:
    """Reads what follows a whole answer, so that its connection can be used again."""
    try:
        async with asyncio.timeout(LINGER):
            async for _ in answer:
                pass
    except (TimeoutError, HttpError):
        return
