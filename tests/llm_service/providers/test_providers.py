"""Our providers against the stand-in: answers, streams, faults, clients that leave."""

from __future__ import annotations

import asyncio
import logging
import math
import time
import traceback
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from email.utils import formatdate

import msgspec
import pytest
from provider_behaviours import OK, Behaviour
from provider_server import ProviderServer, refused_url

from llm_service.calls import Call, Delta, End, Event, Message, Provider, ProviderError, Tool, Usage
from llm_service.http import HttpClient
from llm_service.providers import over_http
from llm_service.providers.openai_compatible import OpenAiProvider

SENTENCE = "".join(OK.words)
SECONDS = 5.0
SHORT = 0.1
CANARY = "canary of the provider"

ComesTrue = Callable[[Callable[[], bool]], Awaitable[None]]
ProviderAt = Callable[[str, str], Provider]


async def ask(provider: Provider, call: Call, streaming: bool, seconds: float = SECONDS) -> str:
    """The whole text, whichever way it comes. A stream must end with an End."""
    if not streaming:
        return (await provider.complete(call, seconds)).text
    events = [event async for event in provider.stream(call, seconds)]
    assert isinstance(events[-1], End)
    return "".join(event.text for event in events if isinstance(event, Delta))


async def failure(
    provider: Provider, call: Call, streaming: bool, seconds: float = SECONDS
) -> ProviderError:
    with pytest.raises(ProviderError) as raised:
        await ask(provider, call, streaming, seconds)
    return raised.value


both = pytest.mark.parametrize("streaming", [False, True], ids=["whole", "streamed"])


async def test_an_answer_comes_with_its_usage(provider: Provider, call: Call) -> None:
    reply = await provider.complete(call, SECONDS)
    assert (reply.text, reply.finish_reason) == (SENTENCE, "stop")
    assert reply.usage == Usage(prompt=11, completion=12, cached=3)


async def test_a_stream_comes_word_by_word(provider: Provider, call: Call) -> None:
    events = [event async for event in provider.stream(call, SECONDS)]
    assert [event.text for event in events if isinstance(event, Delta)] == list(OK.words)
    end = events[-1]
    assert isinstance(end, End)
    assert (end.finish_reason, end.usage) == ("stop", Usage(11, 12, 3))


@both
async def test_a_tool_is_called(
    server: ProviderServer, provider: Provider, call: Call, streaming: bool
) -> None:
    server.script(Behaviour(tool=("search", '{"query": "x"}')))
    call = msgspec.structs.replace(call, tools=(Tool("search"),))
    if streaming:
        events = [event async for event in provider.stream(call, SECONDS)]
        calls = [event.tool_call for event in events if isinstance(event, Delta)]
        reason = events[-1].finish_reason if isinstance(events[-1], End) else ""
    else:
        reply = await provider.complete(call, SECONDS)
        calls, reason = list(reply.tool_calls), reply.finish_reason
    assert [(made.name, made.arguments) for made in calls if made] == [("search", '{"query": "x"}')]
    assert reason == "tool_calls"


@both
async def test_missing_usage_is_no_tokens(
    server: ProviderServer, provider_at: ProviderAt, call: Call, streaming: bool
) -> None:
    server.script(Behaviour(usage=False))
    provider = provider_at("openai", server.url)
    if streaming:
        end = [event async for event in provider.stream(call, SECONDS)][-1]
        assert isinstance(end, End)
        assert end.usage == Usage()
    else:
        assert (await provider.complete(call, SECONDS)).usage == Usage()


async def test_all_calls_in_a_row_share_one_connection(
    server: ProviderServer, client: HttpClient, provider: Provider, call: Call
) -> None:
    before = server.open_connections
    for streaming in (False, True, False, True, True):
        await ask(provider, call, streaming)
    assert client.connections == 1
    assert server.open_connections <= before + 1


async def test_a_refusal_does_not_cost_the_connection(
    server: ProviderServer, client: HttpClient, provider: Provider, call: Call
) -> None:
    server.script([Behaviour(status=500), OK, Behaviour(status=429), OK])
    for streaming in (False, True):
        await failure(provider, call, streaming)
        await ask(provider, call, streaming)
    assert client.connections == 1


async def test_each_provider_is_asked_its_own_way(
    server: ProviderServer, provider_at: ProviderAt, call: Call
) -> None:
    for kind in ("openai", "anthropic", "bedrock"):
        await provider_at(kind, server.url).complete(call, SECONDS)
    to_openai, to_anthropic, to_bedrock = server.requests
    assert to_openai.path == "/v1/chat/completions"
    assert to_openai.headers["authorization"] == "Bearer sk-canary-of-the-key"
    assert to_anthropic.path == "/v1/messages"
    assert to_anthropic.headers["anthropic-version"] == "2023-06-01"
    assert to_anthropic.headers["x-api-key"] == "sk-canary-of-the-key"
    assert to_bedrock.path == "/model/some.model-v1%3A0/converse"
    assert to_bedrock.headers["x-amz-security-token"] == "token"


async def test_a_server_without_keys_gets_none(
    server: ProviderServer, client: HttpClient, call: Call
) -> None:
    await OpenAiProvider("mine", client, server.openai_url).complete(call, SECONDS)
    assert "authorization" not in server.last.headers


@both
@pytest.mark.parametrize(
    ("behaviour", "kind"),
    [
        (Behaviour(status=429), "rate_limited"),
        (Behaviour(status=500), "overloaded"),
        (Behaviour(status=502, body=b"<html>", content_type="text/html"), "overloaded"),
        (Behaviour(status=503), "overloaded"),
        (Behaviour(status=529), "overloaded"),
        (Behaviour(status=401), "unauthorized"),
        (Behaviour(status=400), "refused"),
        (Behaviour(status=404), "refused"),
        (Behaviour(status=400, message="prompt is too long"), "too_long"),
        (Behaviour(then="reset"), "unreachable"),
        (Behaviour(then="cut"), "unreachable"),
        (Behaviour(then="cut", after=3), "truncated"),
        (Behaviour(then="reset", after=3), "truncated"),
    ],
)
async def test_each_fault_has_a_kind(
    *,
    server: ProviderServer,
    provider: Provider,
    call: Call,
    behaviour: Behaviour,
    kind: str,
    streaming: bool,
) -> None:
    server.script(behaviour)
    error = await failure(provider, call, streaming)
    assert error.kind == kind
    assert error.status == (behaviour.status if behaviour.status != 200 else 0)


@pytest.mark.parametrize(
    ("behaviour", "whole", "streamed"),
    [
        (Behaviour(body=b""), "malformed", "malformed"),
        (Behaviour(body=b"<html></html>", content_type="text/html"), "malformed", "malformed"),
        (Behaviour(body=b"{}"), "malformed", "malformed"),
        (Behaviour(then="stop", after=3), "malformed", "truncated"),
        (Behaviour(then="broken", after=3), "malformed", "malformed"),
        (Behaviour(finish="no such reason"), "malformed", "malformed"),
    ],
)
async def test_a_200_that_is_no_answer_is_an_error(
    *,
    server: ProviderServer,
    provider: Provider,
    call: Call,
    behaviour: Behaviour,
    whole: str,
    streamed: str,
) -> None:
    server.script(behaviour)
    assert (await failure(provider, call, False)).kind == whole
    assert (await failure(provider, call, True)).kind == streamed


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("", {"openai": "overloaded", "anthropic": "overloaded", "bedrock": "rate_limited"}),
        ("rate_limit_exceeded", {"openai": "rate_limited"}),
        ("rate_limit_error", {"anthropic": "rate_limited"}),
        ("serviceUnavailableException", {"bedrock": "overloaded"}),
    ],
)
async def test_an_error_in_a_stream_is_an_error(
    server: ProviderServer, provider_at: ProviderAt, call: Call, code: str, kind: dict[str, str]
) -> None:
    server.script(Behaviour(then="error", after=3, code=code))
    for name, expected in kind.items():
        assert (await failure(provider_at(name, server.url), call, True)).kind == expected


@both
async def test_what_the_provider_asks_to_wait_is_told(
    server: ProviderServer, provider: Provider, call: Call, streaming: bool
) -> None:
    server.script(Behaviour(status=429, headers=(("Retry-After", "7"),)))
    assert (await failure(provider, call, streaming)).retry_after == 7.0
    date = formatdate(time.time() + 100, usegmt=True)
    server.script(Behaviour(status=503, headers=(("Retry-After", date),)))
    asked = (await failure(provider, call, streaming)).retry_after
    assert asked is not None
    assert 90 < asked <= 100


@both
@pytest.mark.parametrize(
    "behaviour",
    [
        Behaviour(before_head=math.inf),
        Behaviour(before_first=math.inf),
        Behaviour(then="hang", after=3),
        Behaviour(then="endless", after=3, gap=0.001),
        Behaviour(gap=0.03),
    ],
    ids=["no head", "no first word", "stalled", "endless", "drip"],
)
async def test_time_ends_every_call(
    *,
    server: ProviderServer,
    client: HttpClient,
    provider: Provider,
    call: Call,
    behaviour: Behaviour,
    streaming: bool,
    comes_true: ComesTrue,
) -> None:
    server.script(behaviour)
    assert (await failure(provider, call, streaming, SHORT)).kind == "timed_out"
    await comes_true(lambda: client.connections == 0)
    await comes_true(lambda: all(seen.hung_up for seen in server.requests))


async def test_nobody_listening_is_unreachable(provider_at: ProviderAt, call: Call) -> None:
    for kind in ("openai", "anthropic", "bedrock"):
        provider = provider_at(kind, refused_url())
        assert (await failure(provider, call, False)).kind == "unreachable"
        assert (await failure(provider, call, True)).kind == "unreachable"


async def test_an_answer_without_bounds_is_malformed(server: ProviderServer, call: Call) -> None:
    client = HttpClient(body_limit=10_000)
    server.script(Behaviour(body=b" " * 20_000))
    provider = OpenAiProvider("there", client, server.openai_url)
    assert (await failure(provider, call, False)).kind == "malformed"
    await client.close()


@both
async def test_a_wrong_content_type_does_not_matter(
    server: ProviderServer, provider: Provider, call: Call, streaming: bool
) -> None:
    server.script(Behaviour(content_type="text/plain"))
    assert await ask(provider, call, streaming) == SENTENCE


async def test_a_finish_that_comes_twice_is_one_end(
    server: ProviderServer, provider: Provider, call: Call
) -> None:
    server.script(Behaviour(then="twice", after=3))
    assert await ask(provider, call, True) == SENTENCE


async def test_a_stream_without_its_last_mark_is_whole(
    server: ProviderServer, provider: Provider, call: Call
) -> None:
    server.script(Behaviour(end_marks=False))
    assert await ask(provider, call, True) == SENTENCE


async def test_a_whole_answer_does_not_wait_for_the_end_of_http(
    *,
    server: ProviderServer,
    client: HttpClient,
    provider: Provider,
    call: Call,
    comes_true: ComesTrue,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(over_http, "LINGER", 0.01)
    server.script(Behaviour(then="linger", after=3))
    assert await ask(provider, call, True) == SENTENCE
    await comes_true(lambda: client.connections == 0)


async def begun(events: AsyncGenerator[Event, None]) -> None:
    async with aclosing(events):
        async for _ in events:
            await asyncio.get_running_loop().create_future()


@pytest.mark.parametrize("when", ["mid-stream", "before the first token", "not streaming"])
async def test_a_client_that_leaves_ends_the_providers_call(
    *,
    server: ProviderServer,
    client: HttpClient,
    provider: Provider,
    call: Call,
    comes_true: ComesTrue,
    when: str,
) -> None:
    mid_stream = when == "mid-stream"
    waits = Behaviour(then="endless", after=3, gap=0.001) if mid_stream else None
    server.script(waits or Behaviour(before_head=math.inf))
    if when == "not streaming":
        task = asyncio.ensure_future(ask(provider, call, False))
    elif mid_stream:
        task = asyncio.ensure_future(begun(provider.stream(call, SECONDS)))  # type: ignore[arg-type]
    else:
        task = asyncio.ensure_future(ask(provider, call, True))
    await comes_true(lambda: bool(server.requests) and server.last.pieces >= 3 * mid_stream)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await comes_true(lambda: server.last.hung_up)
    await comes_true(lambda: client.connections == 0)
    assert not server.last.finished


async def test_closing_a_stream_ends_the_providers_call(
    server: ProviderServer,
    client: HttpClient,
    provider: Provider,
    call: Call,
    comes_true: ComesTrue,
) -> None:
    server.script(Behaviour(then="endless", after=3, gap=0.001))
    events = provider.stream(call, SECONDS)
    assert isinstance(await anext(events), Delta)
    await events.aclose()
    await comes_true(lambda: server.last.hung_up)
    await comes_true(lambda: client.connections == 0)


LEAKS = [
    Behaviour(status=400, message=CANARY, code="canary"),
    Behaviour(status=401, message=CANARY),
    Behaviour(status=429, message=CANARY, headers=(("retry-after", CANARY),)),
    Behaviour(status=500, message=CANARY, body=CANARY.encode()),
    Behaviour(body=CANARY.encode()),
    Behaviour(body=b'{"choices": "canary", "content": "canary", "output": "canary"}'),
    Behaviour(finish="canary"),
    Behaviour(then="error", after=3, message=CANARY, code="canary"),
    Behaviour(then="broken", after=3, message=CANARY),
    Behaviour(then="cut", after=3, words=(CANARY,) * 6),
    Behaviour(then="reset", after=3, words=(CANARY,) * 6),
    Behaviour(then="stop", after=3, words=(CANARY,) * 6),
    Behaviour(then="hang", after=3, words=(CANARY,) * 6),
    Behaviour(then="reset"),
]


@both
@pytest.mark.parametrize("behaviour", LEAKS)
async def test_no_failure_tells_what_was_said(
    *,
    server: ProviderServer,
    provider: Provider,
    call: Call,
    behaviour: Behaviour,
    streaming: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    server.script(behaviour)
    error = await failure(provider, call, streaming, 0.2)
    logging.getLogger("test").error("it failed", exc_info=error)
    shown = "".join(traceback.format_exception(error))
    for text in (str(error), repr(error), shown, caplog.text, str(vars(error))):
        assert "canary" not in text.lower()


async def test_a_prompt_that_cannot_be_sent_is_not_told(provider: Provider, call: Call) -> None:
    lone = msgspec.structs.replace(call, messages=(Message("user", "canary \ud800"),))
    error = await failure(provider, lone, False)
    assert error.kind == "refused"
    assert "canary" not in "".join(traceback.format_exception(error))
