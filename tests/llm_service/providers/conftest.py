"""A stand-in for providers, and our providers pointed at it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest
from botocore.credentials import Credentials
from provider_behaviours import OK
from provider_server import ProviderServer

from llm_service.calls import Call, Message, Provider
from llm_service.http import HttpClient
from llm_service.providers.anthropic_messages import AnthropicProvider
from llm_service.providers.bedrock_converse import BedrockProvider
from llm_service.providers.openai_compatible import OpenAiProvider

KINDS = ("openai", "anthropic", "bedrock")
KEY = "sk-canary-of-the-key"
PROMPT = "canary of the prompt"


@pytest.fixture(scope="session")
def shared_server() -> Iterator[ProviderServer]:
    with ProviderServer() as server:
        yield server


@pytest.fixture
def server(shared_server: ProviderServer) -> ProviderServer:
    """A stand-in that answers everything, with no requests noted."""
    shared_server.script(OK)
    return shared_server


@pytest.fixture
async def client() -> AsyncIterator[HttpClient]:
    client = HttpClient(connect_timeout=2.0)
    yield client
    await client.close()


@pytest.fixture
def provider_at(client: HttpClient) -> Callable[[str, str], Provider]:
    """A provider of a kind, at a root address."""

    def make(kind: str, url: str) -> Provider:
        if kind == "openai":
            return OpenAiProvider(kind, client, f"{url}/v1", KEY)
        if kind == "anthropic":
            return AnthropicProvider(kind, client, url, KEY)
        credentials = Credentials("AKIDEXAMPLE", KEY, "token")
        return BedrockProvider(kind, client, "eu-central-1", url, credentials=lambda: credentials)

    return make


@pytest.fixture(params=KINDS)
def provider(
    request: pytest.FixtureRequest,
    server: ProviderServer,
    provider_at: Callable[[str, str], Provider],
) -> Provider:
    """Each of our providers in turn, pointed at the stand-in."""
    return provider_at(request.param, server.url)


@pytest.fixture
def call() -> Call:
    return Call(
        model="some.model-v1:0",
        messages=(Message("system", "Be brief."), Message("user", PROMPT)),
        max_tokens=50,
    )


@pytest.fixture
def comes_true() -> Callable[[Callable[[], bool]], Awaitable[None]]:
    """Returns once a condition holds; fails after five seconds."""

    async def wait(condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while not condition():
                await asyncio.sleep(0.002)

    return wait
