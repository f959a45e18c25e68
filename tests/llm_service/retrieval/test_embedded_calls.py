"""The embedded answerer as a provider like any other."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from llm_service.calls import Call, Delta, End, Message, ProviderError, Tool
from llm_service.corpus import Document
from llm_service.embedded import EmbeddedProvider
from llm_service.library import Library
from llm_service.retrieval import Index, Retrieval
from llm_service.retrieval.vectors import compute

QUESTION = "At what temperature does the undercounter dishwasher rinse?"


def call(text: str = QUESTION, **parameters: Any) -> Call:
    return Call(model="embedded", messages=(Message("user", text),), **parameters)


async def test_a_reply_tells_its_sources_and_what_it_cost(provider: EmbeddedProvider) -> None:
    reply = await provider.complete(call(), 1.0)
    assert "82" in reply.text
    assert reply.sources[0].passage.document.id == "dishwasher-care"
    assert (reply.finish_reason, reply.tool_calls) == ("stop", ())
    assert reply.usage.prompt > reply.usage.completion > 0


async def test_a_stream_is_the_reply_word_by_word(provider: EmbeddedProvider) -> None:
    reply = await provider.complete(call(), 1.0)
    *pieces, end = [event async for event in provider.stream(call(), 1.0)]
    texts = [piece.text for piece in pieces if isinstance(piece, Delta)]
    assert "".join(texts) == reply.text
    assert len(texts) == len(pieces) == len(reply.text.split())
    assert isinstance(end, End)
    assert (end.usage, end.sources, end.finish_reason) == (reply.usage, reply.sources, "stop")


@pytest.mark.parametrize("limit", [0, 1, 5])
async def test_max_tokens_cuts_the_answer(provider: EmbeddedProvider, limit: int) -> None:
    reply = await provider.complete(call(max_tokens=limit), 1.0)
    assert (reply.finish_reason, reply.usage.completion) == ("length", limit)


async def test_it_stops_before_the_first_stop_sequence(provider: EmbeddedProvider) -> None:
    whole = (await provider.complete(call(), 1.0)).text
    reply = await provider.complete(call(stop=("nowhere", "82", "degrees")), 1.0)
    assert whole.startswith(reply.text)
    assert "82" not in reply.text
    assert reply.finish_reason == "stop"


async def test_tools_are_not_called(provider: EmbeddedProvider) -> None:
    offered = call(tools=(Tool("search_corpus"),), tool_choice="required")
    assert await provider.complete(offered, 1.0) == await provider.complete(call(), 1.0)


async def test_what_the_messages_hold_already_is_not_counted_twice(
    provider: EmbeddedProvider,
) -> None:
    plain = await provider.complete(call(), 1.0)
    pages = "\n\n".join(hit.passage.document.text for hit in plain.sources)
    system = Message("system", f"{provider.prompt.system}\n\n{pages}")
    told = Call(model="embedded", messages=(system, Message("user", QUESTION)))
    assert (await provider.complete(told, 1.0)).usage == plain.usage


async def test_calls_are_answered_from_the_corpus_of_the_moment(
    provider: EmbeddedProvider, documents: list[Document], bag: Any
) -> None:
    library = Library(documents)
    retrieval = Retrieval(Index(library, ""))
    current = replace(provider, retrieval=retrieval)
    asked = call("How many days of annual leave does everyone have?")
    assert (await current.complete(asked, 1.0)).sources[0].passage is library.passages[1]
    hybrid = Library(documents[::-1])
    retrieval.swap(Index(hybrid, "", bag, await compute(hybrid, bag)))
    assert (await current.complete(asked, 1.0)).sources[0].passage is hybrid.passages[1]


async def test_a_search_that_takes_too_long_is_given_up(
    provider: EmbeddedProvider, documents: list[Document], bag: Any
) -> None:
    library = Library(documents)
    vectors = await compute(library, bag)

    async def never(texts: object) -> Any:
        await asyncio.Event().wait()

    bag.embed = never
    slow = replace(provider, retrieval=Retrieval(Index(library, "", bag, vectors)))
    with pytest.raises(ProviderError) as failed:
        await slow.complete(call(), 0.01)
    assert failed.value.kind == "timed_out"
