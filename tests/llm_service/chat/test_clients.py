"""The official `openai` client and LiteLLM's, as their users point them at the service."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import openai
import pytest
from provider_server import Behaviour, ProviderServer

Ask = Callable[..., Any]
QUESTION: Any = [{"role": "user", "content": "At what temperature does the dishwasher rinse?"}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "How it is outside.",
        "parameters": {"type": "object", "properties": {"place": {"type": "string"}}},
    },
}


def test_a_tool_call_is_parsed_by_the_official_client(ask: Ask, provider: ProviderServer) -> None:
    provider.script(Behaviour(tool=("weather", '{"place": "Oslo"}')))
    reply = ask("plain", tools=[WEATHER], tool_choice="auto", parallel_tool_calls=False)
    (call,) = reply.choices[0].message.tool_calls
    assert (call.type, call.function.name) == ("function", "weather")
    assert call.function.arguments == '{"place": "Oslo"}'


async def test_the_async_client_streams(gateway: Any, provider: ProviderServer) -> None:
    async with openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key="none") as client:
        whole = await client.chat.completions.create(model="plain", messages=QUESTION)
        stream = await client.chat.completions.create(
            model="plain",
            messages=QUESTION,
            stream=True,
            stream_options={"include_usage": True},
        )
        chunks = [chunk async for chunk in stream]
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == whole.choices[0].message.content
    assert chunks[-1].usage == whole.usage


async def test_the_stream_helper_of_the_official_client_accumulates(
    gateway: Any, provider: ProviderServer
) -> None:
    async with (
        openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key="none") as client,
        client.chat.completions.stream(model="plain", messages=QUESTION) as stream,
    ):
        final = await stream.get_final_completion()
    assert str(final.choices[0].message.content).startswith("word0")


@pytest.mark.parametrize(
    ("behaviour", "raised"),
    [
        (Behaviour(status=429), openai.RateLimitError),
        (Behaviour(status=500), openai.InternalServerError),
        (Behaviour(status=400), openai.BadRequestError),
    ],
)
def test_failures_are_the_official_clients_exceptions(
    ask: Ask, provider: ProviderServer, behaviour: Behaviour, raised: type[openai.APIStatusError]
) -> None:
    provider.script(behaviour)
    with pytest.raises(raised):
        ask("plain")


def test_an_image_is_refused_in_words(chats: openai.OpenAI) -> None:
    part: Any = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
    with pytest.raises(openai.BadRequestError) as caught:
        chats.chat.completions.create(
            model="plain",
            messages=[{"role": "user", "content": [part]}],
        )
    assert caught.value.param == "messages.0.content.0"
    assert "images" in str(caught.value)


def test_the_former_functions_are_refused_with_what_to_send(chats: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="send tools") as caught:
        chats.chat.completions.create(
            model="plain", messages=QUESTION, functions=[{"name": "weather", "parameters": {}}]
        )
    assert caught.value.param == "functions"


def test_a_timeout_of_the_official_client_ends_the_providers_call(
    chats: openai.OpenAI, gateway: Any, provider: ProviderServer
) -> None:
    provider.script(Behaviour(before_head=math.inf))
    with pytest.raises((openai.APITimeoutError, openai.InternalServerError)):
        chats.with_options(timeout=0.5).chat.completions.create(model="plain", messages=QUESTION)
    gateway.eventually(lambda: provider.last.hung_up, "the provider's call went on")


@pytest.fixture(scope="module")
def litellm(gateway: Any) -> Callable[..., Any]:
    """LiteLLM, without its look at the internet for prices."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")
        import litellm

    def complete(model: str, **more: Any) -> Any:
        return litellm.completion(
            model=f"openai/{model}",
            api_base=f"{gateway.url}/v1",
            api_key="none",
            messages=QUESTION,
            num_retries=0,
            **more,
        )

    return complete


def test_litellm_answers(litellm: Callable[..., Any], provider: ProviderServer) -> None:
    reply = litellm("default")
    assert "82 degrees" in reply.choices[0].message.content
    assert reply.usage.total_tokens > 0


def test_litellm_streams(litellm: Callable[..., Any], provider: ProviderServer) -> None:
    whole = litellm("plain").choices[0].message.content
    pieces = [chunk.choices[0].delta.content or "" for chunk in litellm("plain", stream=True)]
    assert "".join(pieces) == whole
    assert len(pieces) > 3
