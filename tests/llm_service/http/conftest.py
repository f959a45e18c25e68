"""A client that must have no socket left at its end, on both event loops."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
import uvloop

from llm_service.http import HttpClient


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Every asynchronous test here runs on the standard loop and on the one the service uses."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture
async def make() -> AsyncIterator[Callable[..., HttpClient]]:
    """Makes clients and closes them."""
    made: list[HttpClient] = []

    def client(**settings: object) -> HttpClient:
        made.append(HttpClient(**settings))  # type: ignore[arg-type]
        return made[-1]

    yield client
    for one in made:
        await one.close()
        assert one.connections == 0


@pytest.fixture
async def client(make: Callable[..., HttpClient]) -> HttpClient:
    """A client with its default settings."""
    return make()
