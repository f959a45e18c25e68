"""One request: rule, target, there and back.

A request is sent once. What a target answers, or fails to answer, is what the client gets: 502
when the connection breaks, 504 when the target stays silent for the idle timeout, 503 when there is
no target. One exception, and it is our choice, since AWS documents none: a target that refuses the
TCP connection has received nothing, so one other target of the same group is tried once.

Bodies pass through as they come, in both directions. When the head of an answer has left and the
target breaks afterwards, the client's connection is cut, so that it cannot take half for the whole.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import aiohttp
from aiohttp import web
from yarl import URL

from .counts import Counts
from .desired import FixedResponse, Forward, Listener, Redirect
from .headers import SERVER, end_to_end, forwarded, own_answer
from .matching import CompiledRule, RequestHead, compile_rules
from .targets import Group, Target, draw

CONNECT_SECONDS = 10.0
"""ALB gives up a connection attempt after 10 seconds and answers 504."""

Body = aiohttp.StreamReader | bytes | None
_NO_BODY_STATUSES = (204, 304)


class TargetFailed(Exception):
    """The target gave no usable answer; `status` is what the client is told."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


@dataclass
class Shared:
    """What all listeners of the process use."""

    session: aiohttp.ClientSession
    groups: Mapping[str, Group]
    counts: Counts
    rng: random.Random
    clock: Callable[[], float] = time.time


class Proxy:
    """Serves the requests of one listener. `apply` takes effect with the next request."""

    def __init__(self, shared: Shared, listener: Listener) -> None:
        self._shared = shared
        self.apply(listener)

    def apply(self, listener: Listener) -> None:
        self.listener = listener
        self._rules = compile_rules(listener.rules)
        self._timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=CONNECT_SECONDS, sock_read=listener.idle_seconds
        )

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        action = self._rule_for(request).action
        if isinstance(action, Forward):
            return await self._forward(request, action)
        now, balancer = self._shared.clock(), self.listener.load_balancer
        if isinstance(action, FixedResponse):
            self._shared.counts.action(balancer, "HTTP_Fixed_Response_Count", now)
            return _fixed(action)
        self._shared.counts.action(balancer, "HTTP_Redirect_Count", now)
        return _redirect(action, request, self.listener.port)

    def _rule_for(self, request: web.BaseRequest) -> CompiledRule:
        if len(self._rules) == 1:
            return self._rules[0]
        head = RequestHead(
            request.method,
            request.rel_url.raw_path,
            request.rel_url.raw_query_string,
            request.headers.get("Host", ""),
            {k.lower(): v for k, v in request.headers.items()},
        )
        return next(rule for rule in self._rules if rule.matches(head))

    async def _forward(self, request: web.BaseRequest, action: Forward) -> web.StreamResponse:
        arn = draw(action.weights, self._shared.rng.random)
        group = self._shared.groups.get(arn) if arn else None
        target = group.choose() if group else None
        if group is None or target is None:
            return self._own(503)
        self._shared.counts.chosen(
            self.listener.load_balancer, group.spec.dimension, self._shared.clock()
        )
        try:
            return await self._exchange(request, group, target)
        except TargetFailed as failure:
            return self._own(failure.status)

    def _own(self, status: int) -> web.Response:
        self._shared.counts.own(self.listener.load_balancer, status, self._shared.clock())
        return own_answer(status)

    async def _exchange(
        self, request: web.BaseRequest, group: Group, target: Target
    ) -> web.StreamResponse:
        body = _body(request)
        try:
            return await self._through(request, body, group, target)
        except aiohttp.ClientConnectorError:
            self._refused(group)
        second = group.choose(refused=target)
        if second is None:
            raise TargetFailed(502)
        try:
            return await self._through(request, body, group, second)
        except aiohttp.ClientConnectorError as error:
            self._refused(group)
            raise TargetFailed(502) from error

    def _refused(self, group: Group) -> None:
        self._shared.counts.refused(
            self.listener.load_balancer, group.spec.dimension, self._shared.clock()
        )

    async def _through(
        self, request: web.BaseRequest, body: Body, group: Group, target: Target
    ) -> web.StreamResponse:
        target.in_flight += 1
        try:
            answer = await self._send(request, body, target, group)
            try:
                return await _give_back(request, answer)
            finally:
                answer.release() if answer.content.at_eof() else answer.close()
        finally:
            target.in_flight -= 1

    async def _send(
        self, request: web.BaseRequest, body: Body, target: Target, group: Group
    ) -> aiohttp.ClientResponse:
        """Send the request and wait for the head of the answer."""
        started = time.perf_counter()
        url = URL(target.base_url + request.rel_url.raw_path_qs, encoded=True)
        try:
            answer = await self._shared.session.request(
                request.method,
                url,
                headers=forwarded(request.headers, request.remote or "", self.listener.port),
                data=body,
                allow_redirects=False,
                timeout=self._timeout,
            )
        except aiohttp.ClientConnectorError:
            raise
        except TimeoutError as error:
            raise TargetFailed(504) from error
        except (aiohttp.ClientError, ConnectionError) as error:
            raise TargetFailed(502) from error
        took = time.perf_counter() - started
        self._shared.counts.answered(
            self.listener.load_balancer,
            group.spec.dimension,
            answer.status,
            took,
            self._shared.clock(),
        )
        return answer


def _body(request: web.BaseRequest) -> Body:
    """The whole body if it is already here (the common case), else a stream of it."""
    content = request.content
    if not request.can_read_body:
        return b"" if request.headers.get("Content-Length") == "0" else None
    if request.headers.get("Expect", "").lower() == "100-continue" and request.transport:
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    if content.is_eof() and "Content-Length" in request.headers:
        return content.read_nowait()
    return content


async def _give_back(
    request: web.BaseRequest, answer: aiohttp.ClientResponse
) -> web.StreamResponse:
    headers = end_to_end(answer.headers)
    content = answer.content
    bodiless = request.method == "HEAD" or answer.status in _NO_BODY_STATUSES
    if not bodiless and content.is_eof() and not content.exception():
        headers.popall("Content-Length", None)
        body = content.read_nowait()
        return web.Response(status=answer.status, reason=answer.reason, headers=headers, body=body)
    response = web.StreamResponse(status=answer.status, reason=answer.reason, headers=headers)
    if not bodiless and "Content-Length" not in headers and request.version >= (1, 1):
        response.enable_chunked_encoding()
    await response.prepare(request)
    if not bodiless:
        await _stream(request, answer, response)
    await response.write_eof()
    return response


async def _stream(
    request: web.BaseRequest, answer: aiohttp.ClientResponse, response: web.StreamResponse
) -> None:
    """Pass chunks on as they arrive; cut the client's connection if the target breaks."""
    try:
        async for chunk in answer.content.iter_any():
            await response.write(chunk)
    except (aiohttp.ClientError, TimeoutError, ConnectionError):
        if request.transport:
            request.transport.abort()
        raise asyncio.CancelledError from None


def _fixed(action: FixedResponse) -> web.Response:
    return web.Response(
        status=action.status,
        body=action.body.encode(),
        headers={"Content-Type": f"{action.content_type}; charset=utf-8", "Server": SERVER},
    )


def _redirect(action: Redirect, request: web.BaseRequest, port: int) -> web.Response:
    url = request.rel_url
    parts = {
        "#{protocol}": "http",
        "#{host}": request.headers.get("Host", "").rsplit(":", 1)[0],
        "#{port}": str(port),
        "#{path}": url.raw_path.removeprefix("/"),
        "#{query}": url.raw_query_string,
    }

    def filled(text: str) -> str:
        for name, value in parts.items():
            text = text.replace(name, value)
        return text

    query = filled(action.query)
    location = f"{filled(action.protocol).lower()}://{filled(action.host)}:{filled(action.port)}"
    location += filled(action.path) + (f"?{query}" if query else "")
    return web.Response(status=action.status, headers={"Location": location, "Server": SERVER})
