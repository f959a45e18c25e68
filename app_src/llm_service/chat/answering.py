"""From a call to an answer: the providers, the tool loop, the guard, and whether the corpus
supports what is said.

A model that calls `search_corpus` is answered and asked again, ROUNDS calls in all, the last of
them without tools. Calls of the client's own functions end the answer: they are the client's to
make. A model that calls both at once hears of the search first, and calls the others again if it
still wants to; nobody could answer half of its calls.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass

import msgspec

from llm_service.bundle import Bundle, Feature
from llm_service.calls import End, Message, ProviderError, Reply, ToolCall
from llm_service.chat import failing
from llm_service.chat.admitting import EMBEDDED
from llm_service.chat.asked import OWN_TOOL
from llm_service.chat.prompting import Prompting
from llm_service.chat.state import ATTEMPTS, Chat, FeatureCall
from llm_service.chat.tools import ROUNDS, execute, merged
from llm_service.guardrail import Guardrail, StreamGuard
from llm_service.library import Hit
from llm_service.quality import declines
from llm_service.routing import Attempt, Router
from llm_service.routing.attempts import Events
from llm_service.telemetry import ToolUse

UNSUPPORTED = "No passage of the corpus supports this answer."
LOOKED_AT = 120
"""Characters beyond the prompt's own words in which a refusal shows: it begins the answer."""

Grounded = Callable[[str, Sequence[Hit]], bool]


@dataclass
class Answering:
    """Answers chats; `grounded` says whether passages support a text."""

    bundle: Bundle
    router: Router
    prompting: Prompting
    grounded: Grounded

    def __post_init__(self) -> None:
        self._guardrails = {name: Guardrail(prompt) for name, prompt in self.bundle.prompts.items()}

    async def whole(self, chat: Chat, call: FeatureCall) -> None:
        """Fills in the answer. Raises ApiError."""
        call = await self.prompting.prompted(chat, call)
        try:
            text = await self._rounds(chat, call)
        except ProviderError as error:
            raise failing.told(error) from error
        if not chat.tool_calls or text:
            text, reason = self._guardrail(chat).text(text)
            chat.guarded = reason is not None
            chat.hits = [] if reason == "prompt_leak" else chat.hits
        chat.text = text
        chat.text += self._verdict(chat)
        chat.first = time.perf_counter()
        chat.answered = True

    async def pieces(self, chat: Chat, call: FeatureCall) -> AsyncGenerator[str, None]:
        """The text of the answer piece by piece, as it may go out; fills in the rest at the end.

        Raises ApiError. Closed or cancelled, it ends the provider's call.
        """
        call = await self.prompting.prompted(chat, call)
        guard, said = self._guardrail(chat).stream(), list[str]()
        try:
            for left in reversed(range(ROUNDS)):
                heard, calls = list[str](), list[ToolCall]()
                async with aclosing(await self._begun(chat, call)) as events:
                    async for event in events:
                        if isinstance(event, End):
                            _note(chat, event)
                            continue
                        if text := event.text:
                            heard.append(text)
                            if out := guard.push(text):
                                said.append(out)
                                yield out
                        if event.tool_call is not None:
                            calls.append(event.tool_call)
                if not (ours := _ours(calls, left)):
                    _hand_over(chat, calls)
                    break
                call = await self._searched(chat, call, "".join(heard), ours, left)
        except ProviderError as error:
            raise failing.told(error) from error
        finally:
            chat.text = "".join(said)
        for text in self._ending(chat, guard):
            yield text
        chat.answered = True

    def _ending(self, chat: Chat, guard: StreamGuard) -> list[str]:
        """What is still to be said once the models are done: what the guard held back, and that no
        passage supports the answer."""
        texts = []
        if not chat.tool_calls or chat.text:
            rest, reason = guard.end()
            chat.guarded = reason is not None
            chat.hits = [] if reason == "prompt_leak" else chat.hits
            chat.text += rest
            texts.append(rest)
        note = self._verdict(chat)
        chat.text += note
        return [text for text in (*texts, note) if text]

    async def _rounds(self, chat: Chat, call: FeatureCall) -> str:
        """Asks until there is an answer; its text."""
        assert chat.deadline is not None
        for left in reversed(range(ROUNDS)):
            routed = await self.router.complete(
                chat.targets, call, chat.deadline, hedge_after=_hedge(call.feature)
            )
            chat.target = routed.target
            reply = routed.reply
            _note(chat, reply)
            if not (ours := _ours(reply.tool_calls, left)):
                _hand_over(chat, reply.tool_calls)
                return reply.text
            call = await self._searched(chat, call, reply.text, ours, left)
        raise AssertionError("the last round has no calls of ours")

    async def _begun(self, chat: Chat, call: FeatureCall) -> Events:
        """The events of one call of a model, of which the first is there. Raises ProviderError."""
        assert chat.deadline is not None
        routed = await self.router.stream(
            chat.targets, call, chat.deadline, hedge_after=_hedge(call.feature)
        )
        chat.target = routed.target
        return routed.events

    async def _searched(
        self, chat: Chat, call: FeatureCall, text: str, ours: Sequence[ToolCall], left: int
    ) -> FeatureCall:
        """The next call: with what the model asked for, and without tools if it is the last."""
        messages = [*call.messages, Message("assistant", text, tuple(ours))]
        for each in ours:
            began = time.perf_counter()
            answer, hits = await execute(each, self.prompting.search)
            messages.append(answer)
            chat.hits = merged(chat.hits or [], hits)
            failed = answer.content.startswith('{"error"')
            ended = time.perf_counter()
            used = ToolUse(name=OWN_TOOL, call_id=each.id, began=began, ended=ended, failed=failed)
            chat.tools_used.append(used)
        choice = "none" if left == 1 else None if call.tool_choice == OWN_TOOL else call.tool_choice
        return msgspec.structs.replace(call, messages=tuple(messages), tool_choice=choice)

    def _guardrail(self, chat: Chat) -> Guardrail:
        assert chat.feature is not None
        return self._guardrails[chat.feature.prompt]

    def _verdict(self, chat: Chat) -> str:
        """Decides whether passages support the answer; what it has to say beside it if none do."""
        assert chat.feature is not None
        if chat.tool_calls:
            return ""
        decline = self.bundle.prompt(chat.feature).decline
        chat.refused = declines(chat.text[: LOOKED_AT + len(decline)], decline)
        if not _looks_up(chat.feature, chat):
            return ""
        if chat.refused or chat.guarded:
            chat.supported = False
            return ""
        chat.supported = bool(chat.hits) and self.grounded(chat.text, chat.hits or ())
        if chat.supported or not _may_be_added_to(chat):
            return ""
        return f"\n\n{UNSUPPORTED}"


def observe(attempt: Attempt) -> None:
    """Writes an attempt down with the chat it was made for."""
    ATTEMPTS.get().append(attempt)


def _hedge(feature: Feature) -> float | None:
    """Seconds after which the next model is asked as well."""
    return None if feature.hedge_after_ms is None else feature.hedge_after_ms / 1000


def _note(chat: Chat, answer: Reply | End) -> None:
    """Takes down what is said of one answer of a provider."""
    chat.used(answer.usage)
    chat.finish_reason, chat.fingerprint = answer.finish_reason, answer.fingerprint
    if answer.sources or (chat.hits is None and chat.target and chat.target.provider == EMBEDDED):
        chat.hits = list(answer.sources)


def _ours(calls: Sequence[ToolCall], left: int) -> list[ToolCall]:
    """The calls that the service makes itself; none in the last round."""
    return [call for call in calls if call.name == OWN_TOOL] if left else []


def _hand_over(chat: Chat, calls: Sequence[ToolCall]) -> None:
    """Leaves the calls of the client's own functions to the client."""
    chat.tool_calls = tuple(call for call in calls if call.name != OWN_TOOL)
    if chat.finish_reason == "tool_calls" and not chat.tool_calls:
        chat.finish_reason = "stop"


def _looks_up(feature: Feature, chat: Chat) -> bool:
    """Whether the answer was to come from the corpus."""
    return feature.retrieval != "none" or chat.hits is not None


def _may_be_added_to(chat: Chat) -> bool:
    """Whether a sentence fits behind the answer: not in JSON, and not where no more was wanted."""
    assert chat.request is not None
    form = chat.request.response_format
    return chat.finish_reason != "length" and (form is None or form.type == "text")
