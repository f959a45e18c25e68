"""What is told to whom once a chat has ended: limits, budgets, the cache, the ledger, feedback,
scoring and telemetry.

All of it is synchronous and bounded: sums in memory and appends to queues. It happens for every
chat, however it ended, and nothing in it can fail the request.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from llm_service import safety, telemetry
from llm_service.cache import Cache, Cached
from llm_service.calls import Message, Usage
from llm_service.chat import charging
from llm_service.chat.asked import question
from llm_service.chat.state import PATH, Chat
from llm_service.feedback import REMEMBERED, Feedback
from llm_service.ledger import Ledger, entry
from llm_service.library import Library
from llm_service.limits import Budgets, Limits, estimated
from llm_service.limits.estimate import CHARACTERS
from llm_service.names import Names
from llm_service.prices import Price
from llm_service.quality import supported
from llm_service.routing import Attempt
from llm_service.scoring import Scorable, Scoring
from llm_service.telemetry import Exchange, Telemetry, pseudonym

logger = logging.getLogger("llm_service")


class Drawn(NamedTuple):
    """An experiment, the variant that was drawn, and the hash of whom it was drawn for."""

    experiment: str = ""
    variant: str = ""
    subject: str = ""


NOT_DRAWN = Drawn()


@dataclass
class Recording:
    """Records chats of `release`. `own_price` goes before the table; `texts` says whether some
    sink of telemetry wants what was said."""

    release: str
    telemetry: Telemetry
    limits: Limits
    budgets: Budgets
    cache: Cache
    feedback: Feedback
    ledger: Ledger | None
    library: Callable[[], Library]
    own_price: Price | None = None
    texts: bool = False
    salt: str = ""
    scoring: Scoring | None = None
    fingerprints: Names = field(default_factory=Names)
    _variants: OrderedDict[str, Drawn] = field(default_factory=OrderedDict)

    def record(self, chat: Chat) -> None:
        """Records a chat that ended now."""
        ended = time.perf_counter()
        try:
            told = chat.usage
            if not told.prompt if chat.answered else chat.text:
                chat.usage = _estimate(chat)
            cost = charging.cost(chat, self.own_price)
            self._settle(chat, cost)
            if chat.answered or chat.text:
                self._remember(chat)
            if chat.answered:
                self._keep(chat, told)
            self.telemetry.record(self._exchange(chat, cost, ended))
        except Exception:
            logger.exception("request %s could not be recorded", chat.request_id)

    def drawn(self, response_id: str) -> Drawn:
        """The variant that gave a recent answer, and to whom; empty for none."""
        return self._variants.get(response_id, NOT_DRAWN)

    def _settle(self, chat: Chat, cost: float | None) -> None:
        if chat.admission is None:
            return
        read_again = chat.cached in ("exact", "semantic")
        used = 0 if read_again else chat.usage.prompt + chat.usage.completion
        self.limits.settle(chat.admission, used)
        if cost and chat.feature is not None:
            self.budgets.charge(chat.principal, chat.feature, cost)

    def _remember(self, chat: Chat) -> None:
        """What thumbs, the ledger and scoring need of an answer; the first two also of what came
        of one whose reader left, or that was cut: it may get a thumb too."""
        self.feedback.recent.add(chat.id)
        if chat.experiment:
            self._variants[chat.id] = Drawn(chat.experiment, chat.variant, chat.subject)
            if len(self._variants) > REMEMBERED:
                self._variants.popitem(last=False)
        asked = question(chat.messages)
        if self.ledger:
            documents = [each.id for each in chat.sources]
            self.ledger.record(entry(chat.id, self.release, asked, documents))
        if self.scoring and chat.answered and chat.hits is not None and not chat.tool_calls:
            source = chat.hits[0].passage if chat.hits else None
            self.scoring.offer(Scorable(chat.id, asked, chat.text, source, chat.guarded))

    def _keep(self, chat: Chat, told: Usage) -> None:
        """Puts the answer where it may be given again, with the usage that was `told`: one that
        came whole, unguarded, and either supported or a refusal."""
        if chat.cached != "miss" or chat.cache_key is None or chat.target is None:
            return
        if chat.guarded or chat.tool_calls or chat.finish_reason != "stop":
            return
        if chat.supported is False and not chat.refused:
            return
        kept = Cached(
            text=chat.text,
            usage=told,
            model=str(chat.target),
            fingerprint=chat.fingerprint,
            sources=tuple(chat.sources),
            refused=chat.refused,
            response_id=chat.id,
        )
        self.cache.put(chat.cache_key, kept)

    def _exchange(self, chat: Chat, cost: float | None, ended: float) -> Exchange:
        request, target, said = chat.request, chat.target, self._said(chat)
        return Exchange(
            request_id=chat.request_id,
            path=PATH,
            status=chat.status,
            began=chat.began,
            ended=ended,
            at=time.time(),
            feature=chat.label,
            stream=chat.stream,
            guarded=chat.guarded,
            injection=chat.injection,
            redactions=chat.redactions,
            traceparent=chat.headers.get("traceparent", ""),
            amzn_trace=chat.headers.get("x-amzn-trace-id", ""),
            experiment=chat.experiment,
            variant=chat.variant,
            subject=chat.subject,
            answered=chat.answered,
            response_id=chat.id if chat.answered else "",
            first=chat.first,
            provider=target.provider if target else "",
            model=target.model if target else "",
            fingerprint=self.fingerprints.of(chat.fingerprint) if chat.fingerprint else "",
            finish_reason=chat.finish_reason if chat.answered else "",
            usage=chat.usage,
            cost=cost,
            refused=chat.refused,
            retrieved=self._retrieved(chat),
            cached=chat.cached,
            attempts=tuple(map(_attempt, chat.attempts)),
            tools=tuple(chat.tools_used),
            temperature=request.temperature if request else None,
            max_tokens=request.limit if request else None,
            **said,
        )

    def _retrieved(self, chat: Chat) -> bool:
        """Whether a passage that was read supports the question, by the user's own words."""
        if not chat.hits:
            return bool(chat.sources)
        passages = [hit.passage for hit in chat.hits]
        return supported(self.library(), question(chat.messages), passages)

    def _said(self, chat: Chat) -> dict[str, Any]:
        """Who said what, masked, where some sink of telemetry wants it."""
        if not self.texts or chat.request is None:
            return {}
        conversation = chat.request.note("conversation_id")
        return {
            "user": pseudonym(chat.request.caller, self.salt),
            "session": pseudonym(str(conversation or ""), self.salt),
            "messages": tuple(_masked(each, chat) for each in chat.messages),
            "answer": safety.redact(chat.text).text,
            "sources": tuple(each.id for each in chat.sources),
            "log": chat.feature is not None and chat.feature.log_conversations,
        }


def _estimate(chat: Chat) -> Usage:
    """What an answer cost whose provider told no usage: some never do, and none does in a stream
    that nobody heard to its end."""
    read = estimated((each.content for each in chat.messages), None)
    written = len(chat.text) // CHARACTERS
    if chat.answered:
        return Usage(read, chat.usage.completion or written)
    return Usage(chat.usage.prompt + read, chat.usage.completion + written)


def _attempt(made: Attempt) -> telemetry.Attempt:
    return telemetry.Attempt(
        provider=made.target.provider,
        model=made.target.model,
        began=made.started,
        ended=made.started + made.seconds,
        error="" if made.outcome == "ok" else made.outcome,
    )


def _masked(message: Message, chat: Chat) -> Message:
    """The message without personal data, which is counted unless the provider's copy was."""
    redacted = safety.redact(message.content)
    if chat.feature is not None and not chat.feature.redact_for_provider:
        chat.redacted(redacted.found)
    return msgspec.structs.replace(message, content=redacted.text)
