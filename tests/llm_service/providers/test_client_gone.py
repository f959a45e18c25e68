"""A client that leaves ends the provider's call, through the router too, and starts no other."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Any

import pytest
from provider_behaviours import Behaviour
from provider_server import ProviderServer

from llm_service.calls import Call, Delta, Provider
from llm_service.deadline import Deadline
from llm_service.http import HttpClient
from llm_service.routing.policy import Policy
from llm_service.routing.router import Router
from llm_service.routing.target import Target

NEXT = {"openai": "anthropic", "anthropic": "bedrock", "bedrock": "openai"}


@pytest.mark.parametrize("when", ["mid-stream", "before the first token", "not streaming"])
@pytest.mark.parametrize("kind", NEXT)
async def test_a_client_that_leaves_is_no_call_any_more(
    *,
    server: ProviderServer,
    client: HttpClient,
    provider_at: Callable[[str, str], Provider],
    call: Call,
    comes_true: Any,
    kind: str,
    when: str,
) -> None:
    """The provider's call ends, nobody else is asked, and no connection stays open."""
    silent = Behaviour(before_head=math.inf)
    endless = Behaviour(then="endless", after=3, gap=0.001)
    server.script(endless if when == "mid-stream" else silent)
    providers = {name: provider_at(name, server.url) for name in NEXT}
    targets = [Target(kind, "primary"), Target(NEXT[kind], "fallback")]
    outcomes: list[str] = []
    policy = Policy(first_token_seconds=30.0)
    router = Router(
        providers, policy=policy, observe=lambda attempt: outcomes.append(attempt.outcome)
    )
    if when == "mid-stream":
        found = await router.stream(targets, call, Deadline.after(30.0))
        assert isinstance(await anext(found.events), Delta)
        await found.events.aclose()
    else:
        streaming = when == "before the first token"
        begin: Any = router.stream if streaming else router.complete
        task = asyncio.create_task(begin(targets, call, Deadline.after(30.0)))
        await comes_true(lambda: bool(server.requests))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    await comes_true(lambda: server.last.hung_up)
    await comes_true(lambda: client.connections == 0)
    assert outcomes == ["cancelled"]
    assert [seen.model for seen in server.requests] == ["primary"]
