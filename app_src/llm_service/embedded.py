"""The embedded provider: an extractive answerer that needs no network and no model weights.

It retrieves passages for the query, takes the sentence that covers most of the query's weight
from the best of them, and says so in that sentence's own words. It declines where no passage
covers the query. Same messages, same corpus, same answer. It has passages of its own, so it calls
no tool that it is offered.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from llm_service.bundle.prompt import Prompt
from llm_service.calls import Call, Delta, End, Event, ProviderError, Reply, Usage
from llm_service.library import Hit, Library, Sentence
from llm_service.provider import Answer, Turn
from llm_service.question import retrieval_query
from llm_service.retrieval.doubt import DOUBTED, doubt
from llm_service.retrieval.kinds import Kind, expected, has
from llm_service.text import TOKEN, count_tokens, terms

if TYPE_CHECKING:
    from llm_service.retrieval.retrieval import Retrieval

MODEL = "handbook-extractive-1"

FINGERPRINT = "extractive-1"
"""The version of this answerer, the same in every release that does not replace it."""

RANK_WEIGHT = 0.5
"""What a passage's BM25 score, relative to the best one's, adds to its sentences' coverage."""

KIND_WEIGHT = 0.1
"""What a thing of the kind asked for adds to a sentence's coverage, for a strict answerer."""

DECLINE_BELOW = 0.34
"""Share of the query's weight that the best passage has to cover, unknown words included."""

PIECE = re.compile(r"\s*\S+\s*")
"""What a stream sends at a time: a word and the space about it."""

ReadQuestion = Callable[[Sequence[Turn]], str]


@dataclass(frozen=True, slots=True)
class _Asked:
    """A query, its terms, and the kind of thing it asks for; no kind: whatever."""

    query: str
    terms: frozenset[str]
    kind: Kind

    def bonus(self, sentence: Sentence) -> float:
        """What having a thing of the kind asked for adds to a sentence's coverage."""
        return KIND_WEIGHT * (self.kind != "" and has(self.kind, sentence.text, self.query))


@dataclass(frozen=True, slots=True)
class EmbeddedProvider:
    """Answers from `library` with `sentences` sentences out of the best of `passages` passages.

    With `retrieval` a call is answered from what that finds, in the corpus of that moment. A
    `strict` one prefers sentences with the kind of thing that is asked for, and declines where the
    doubt that its sentences answer the question is `doubted` or more (see `retrieval.doubt`).
    """

    library: Library
    prompt: Prompt
    passages: int = 4
    sentences: int = 1
    read: ReadQuestion = retrieval_query
    retrieval: Retrieval | None = None
    strict: bool = False
    doubted: float = DOUBTED

    @property
    def model(self) -> str:
        return MODEL

    async def answer(self, turns: Sequence[Turn], max_tokens: int | None = None) -> Answer:
        """See `Provider`; takes well under a millisecond on a handbook of some hundred pages."""
        return _cut(await self.found(turns), (), max_tokens)

    def reply(self, turns: Sequence[Turn], max_tokens: int | None = None) -> Answer:
        """`answer` for callers without an event loop."""
        query = self.read(turns)
        return self._worded(turns, query, self.library.search(query, self.passages), max_tokens)

    async def found(self, turns: Sequence[Turn]) -> Answer:
        """The whole answer from what `retrieval` finds, or `library` where there is none."""
        if self.retrieval is None:
            return self.reply(turns)
        query, index = self.read(turns), self.retrieval.index
        current = self if index.library is self.library else replace(self, library=index.library)
        return current._worded(turns, query, await index.search(query, self.passages), None)

    def _worded(
        self, turns: Sequence[Turn], query: str, found: Sequence[Hit], max_tokens: int | None
    ) -> Answer:
        """The answer to `query` from the passages `found` for it."""
        asked = _Asked(query, frozenset(terms(query)), expected(query) if self.strict else "")
        hits = self._ranked(asked, found)
        said = self._say(asked, hits[0]) if hits else ""
        if hits and self.strict and self._doubts(query, said, hits[0]):
            hits = []
        text = self._formed(said, hits[0]) if hits else self.prompt.decline
        text, reason = _truncated(text, max_tokens)
        return Answer(
            text=text,
            sources=tuple(hits),
            prompt_tokens=self._prompt_tokens(turns, hits),
            completion_tokens=count_tokens(text),
            finish_reason=reason,
            fingerprint=FINGERPRINT,
        )

    async def complete(self, call: Call, seconds: float) -> Reply:
        """See `calls.Provider`; of the call's parameters `max_tokens` and `stop` mean something."""
        turns = [Turn(message.role, message.content) for message in call.messages]
        try:
            async with asyncio.timeout(seconds):
                answer = _cut(await self.found(turns), call.stop, call.max_tokens)
        except TimeoutError as error:
            raise ProviderError("timed_out", "The search took too long.") from error
        return Reply(
            text=answer.text,
            finish_reason=answer.finish_reason,
            usage=Usage(prompt=answer.prompt_tokens, completion=answer.completion_tokens),
            fingerprint=answer.fingerprint,
            sources=answer.sources,
        )

    async def stream(self, call: Call, seconds: float) -> AsyncGenerator[Event, None]:
        """See `calls.Provider`; the answer word by word."""
        reply = await self.complete(call, seconds)
        for piece in PIECE.findall(reply.text):
            yield Delta(text=piece)
        yield End(
            finish_reason=reply.finish_reason,
            usage=reply.usage,
            fingerprint=reply.fingerprint,
            sources=reply.sources,
        )

    async def close(self) -> None:
        """Nothing to close."""

    def _ranked(self, asked: _Asked, hits: Sequence[Hit]) -> list[Hit]:
        """`hits` with the one to answer from first; empty if none covers enough of the query."""
        if not hits or max(self._coverage(asked.terms, hit.passage.terms) for hit in hits) < (
            DECLINE_BELOW
        ):
            return []
        best = max(hits, key=lambda hit: self._promise(asked, hit, hits[0].score))
        return [best, *(hit for hit in hits if hit is not best)]

    def _promise(self, asked: _Asked, hit: Hit, top_score: float) -> float:
        """How well the best sentence of `hit` would answer: coverage plus retrieval's opinion."""
        subject = hit.passage.subject
        coverage = (
            self.library.share(asked.terms, sentence.terms | subject) + asked.bonus(sentence)
            for sentence in hit.passage.sentences
        )
        return max(coverage, default=0.0) + RANK_WEIGHT * hit.score / top_score

    def _coverage(self, wanted: Collection[str], held: Collection[str]) -> float:
        """The share of `wanted` in `held` where a word no document knows weighs like a rare one."""
        unknown = sum(1 for term in wanted if not self.library.knows(term))
        known = self.library.weight(wanted)
        total = known + unknown * self.library.rarest
        return self.library.weight(term for term in wanted if term in held) / total if total else 0

    def _say(self, asked: _Asked, hit: Hit) -> str:
        """The best sentences of `hit`, in the order of the page."""
        parts = hit.passage.sentences
        order = sorted(
            range(len(parts)), key=lambda i: self._rank(asked, hit.passage.subject, parts[i])
        )
        return " ".join(parts[i].text for i in sorted(order[: self.sentences]))

    def _doubts(self, query: str, said: str, hit: Hit) -> bool:
        """Whether `said` of `hit` may well not answer the query."""
        return doubt(self.library, query, said, hit.passage) >= self.doubted

    def _formed(self, said: str, hit: Hit) -> str:
        """`said` in the prompt's form."""
        return self.prompt.answer.format(sentences=said, title=hit.passage.document.title)

    def _rank(
        self, asked: _Asked, subject: Collection[str], sentence: Sentence
    ) -> tuple[float, float]:
        """Sorts the best sentence first: by what it says beyond the page's subject, then by all."""
        news = [term for term in asked.terms if term not in subject]
        return -self.library.share(news, sentence.terms) - asked.bonus(
            sentence
        ), -self.library.share(asked.terms, sentence.terms)

    def _prompt_tokens(self, turns: Sequence[Turn], hits: Sequence[Hit]) -> int:
        """What a language model would have been sent: instructions, passages and messages; what
        the messages already hold counts once."""
        told = "\n".join(turn.content for turn in turns if turn.role == "system")
        passages = (hit.passage for hit in hits if hit.passage.document.text not in told)
        return (
            (count_tokens(self.prompt.system) if self.prompt.system not in told else 0)
            + sum(passage.tokens for passage in passages)
            + sum(count_tokens(turn.content) for turn in turns)
        )


def _cut(answer: Answer, stop: Sequence[str], limit: int | None) -> Answer:
    """`answer` up to the first of `stop`, and of at most `limit` tokens."""
    text, reason = _truncated(_stopped(answer.text, stop), limit)
    return replace(answer, text=text, finish_reason=reason, completion_tokens=count_tokens(text))


def _stopped(text: str, stop: Sequence[str]) -> str:
    """`text` up to the first of the `stop` sequences it holds."""
    places = [text.find(each) for each in stop if each]
    return text[: min((place for place in places if place >= 0), default=len(text))]


def _truncated(text: str, limit: int | None) -> tuple[str, Literal["stop", "length"]]:
    """At most `limit` tokens of `text`, and why it ends there."""
    found = list(TOKEN.finditer(text))
    if limit is None or len(found) <= limit:
        return text, "stop"
    return text[: found[limit - 1].end()] if limit else "", "length"
