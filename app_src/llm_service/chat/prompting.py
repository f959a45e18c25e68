"""What the models are asked: the feature's prompt, the passages, the conversation, the tools."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from llm_service import safety
from llm_service.bundle import Bundle, Feature
from llm_service.calls import Message, Tool, ToolCall
from llm_service.chat import asked
from llm_service.chat.admitting import EMBEDDED
from llm_service.chat.state import Chat, FeatureCall
from llm_service.chat.tools import SEARCH_CORPUS, Search, told
from llm_service.embedded import EmbeddedProvider
from llm_service.provider import Turn
from llm_service.question import retrieval_query

Answerer = Callable[[Feature], EmbeddedProvider]


@dataclass(frozen=True)
class Prompting:
    """Makes the calls of chats. `search` looks into the corpus, `answerer` is a feature's
    embedded one."""

    bundle: Bundle
    search: Search
    answerer: Answerer

    def asked(self, chat: Chat) -> FeatureCall:
        """What the client asks of the chat's feature; the model's name is still missing.

        Raises ApiError 400.
        """
        request, feature = chat.request, chat.feature
        assert request is not None
        assert feature is not None
        if feature.retrieval == "context" or _embedded(chat):
            asked.need_question(chat.messages)
        return FeatureCall(
            model="",
            messages=self._conversation(chat, feature),
            feature=feature,
            tools=asked.tools(request),
            tool_choice=asked.tool_choice(request),
            temperature=feature.temperature if request.temperature is None else request.temperature,
            top_p=request.top_p,
            max_tokens=_least(request.limit, feature.max_tokens),
            stop=asked.stop(request),
            seed=request.seed,
            response_format=asked.response_format(request),
            prediction=self._drafted(chat, feature),
            parallel_tool_calls=request.parallel_tool_calls,
            more=asked.more(request),
        )

    async def prompted(self, chat: Chat, call: FeatureCall) -> FeatureCall:
        """The call with the feature's prompt, and what it takes to answer from the corpus.

        Fills in the passages that were looked up. The embedded answerer is asked as it is: it
        knows its prompt and finds its own passages. Raises ApiError 503 while the corpus that is
        needed is loading.
        """
        embedded = _embedded(chat)
        if embedded or call.feature.retrieval != "none":
            self.answerer(call.feature)
        if embedded == len(chat.targets):
            return call
        return await self._prompted(chat, call.feature, call)

    async def _prompted(self, chat: Chat, feature: Feature, call: FeatureCall) -> FeatureCall:
        system, draft = self.bundle.prompt(feature).system, None
        if feature.retrieval == "context":
            draft = await self._look_up(chat, feature)
            system = f"{system}\n\n{told(chat.hits or ())}"
        tools, choice = call.tools, call.tool_choice
        if feature.retrieval == "tool":
            tools, choice = _with_search(tools, choice)
        return msgspec.structs.replace(
            call,
            messages=(Message("system", system), *call.messages),
            tools=tools,
            tool_choice=choice,
            prediction=call.prediction if draft is None else draft,
        )

    async def _look_up(self, chat: Chat, feature: Feature) -> str | None:
        """Finds the passages of the question; the embedded answer to it, where it is a draft."""
        turns = [Turn(each.role, each.content) for each in chat.messages]
        if feature.prediction:
            drafted = await self.answerer(feature).found(turns)
            chat.hits = list(drafted.sources)
            return drafted.text
        chat.hits = list(await self.search(retrieval_query(turns), feature.passages))
        return None

    def _conversation(self, chat: Chat, feature: Feature) -> tuple[Message, ...]:
        """The client's messages, masked where the feature keeps personal data from providers."""
        if not feature.redact_for_provider:
            return chat.messages
        return tuple([_masked(each, chat) for each in chat.messages])

    def _drafted(self, chat: Chat, feature: Feature) -> str | None:
        """The client's draft of the answer, masked likewise."""
        assert chat.request is not None
        drafted = asked.prediction(chat.request)
        return _clean(drafted, chat) if drafted and feature.redact_for_provider else drafted


def _embedded(chat: Chat) -> int:
    """How many of the chat's targets are the embedded answerer."""
    return sum([target.provider == EMBEDDED for target in chat.targets])


def _masked(message: Message, chat: Chat) -> Message:
    content = _clean(message.content, chat)
    calls = message.tool_calls and tuple(
        [ToolCall(each.id, each.name, _clean(each.arguments, chat)) for each in message.tool_calls]
    )
    return Message(message.role, content, calls, message.tool_call_id)


def _clean(text: str, chat: Chat) -> str:
    redacted = safety.redact(text)
    chat.redacted(redacted.found)
    return redacted.text


def _with_search(
    tools: tuple[Tool, ...], choice: str | None
) -> tuple[tuple[Tool, ...], str | None]:
    """The client's functions and the service's own; a client that wants none of its own called
    does not mean the service's."""
    if choice == "none":
        return (SEARCH_CORPUS,), None
    return (SEARCH_CORPUS, *tools), choice


def _least(*limits: int | None) -> int | None:
    given = [limit for limit in limits if limit is not None]
    return min(given) if given else None
