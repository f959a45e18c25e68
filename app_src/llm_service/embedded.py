"""The embedded provider: an extractive answerer that needs no network and no model weights.

It retrieves passages for the query, takes the sentence that covers most of the query's weight
from the best of them, and says so in that sentence's own words. It declines where no passage
covers the query. Same messages, same corpus, same answer.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from llm_service.library import Hit, Library, Sentence
from llm_service.prompts import Prompt
from llm_service.provider import Answer, Turn
from llm_service.question import retrieval_query
from llm_service.text import TOKEN, count_tokens, terms

MODEL = "handbook-extractive-1"

FINGERPRINT = "extractive-1"
"""The version of this answerer, the same in every release that does not replace it."""

RANK_WEIGHT = 0.5
"""What a passage's BM25 score, relative to the best one's, adds to its sentences' coverage."""

DECLINE_BELOW = 0.34
"""Share of the query's weight that the best passage has to cover, unknown words included."""

ReadQuestion = Callable[[Sequence[Turn]], str]


@dataclass(frozen=True, slots=True)
class EmbeddedProvider:
    """Answers from `library` with `sentences` sentences out of the best of `passages` passages."""

    library: Library
    prompt: Prompt
    passages: int = 4
    sentences: int = 1
    read: ReadQuestion = retrieval_query

    @property
    def model(self) -> str:
        return MODEL

    async def answer(self, turns: Sequence[Turn], max_tokens: int | None = None) -> Answer:
        """See `Provider`; takes well under a millisecond on a handbook of some hundred pages."""
        return self.reply(turns, max_tokens)

    def reply(self, turns: Sequence[Turn], max_tokens: int | None = None) -> Answer:
        """`answer` for callers without an event loop."""
        query = self.read(turns)
        wanted = set(terms(query))
        hits = self._ranked(wanted, self.library.search(query, self.passages))
        text = self._say(wanted, hits[0]) if hits else self.prompt.decline
        text, reason = _truncated(text, max_tokens)
        return Answer(
            text=text,
            sources=tuple(hits),
            prompt_tokens=self._prompt_tokens(turns, hits),
            completion_tokens=count_tokens(text),
            finish_reason=reason,
            fingerprint=FINGERPRINT,
        )

    def _ranked(self, wanted: Collection[str], hits: Sequence[Hit]) -> list[Hit]:
        """`hits` with the one to answer from first; empty if none covers enough of `wanted`."""
        if not hits or max(self._coverage(wanted, hit.passage.terms) for hit in hits) < (
            DECLINE_BELOW
        ):
            return []
        best = max(hits, key=lambda hit: self._promise(wanted, hit, hits[0].score))
        return [best, *(hit for hit in hits if hit is not best)]

    def _promise(self, wanted: Collection[str], hit: Hit, top_score: float) -> float:
        """How well the best sentence of `hit` would answer: coverage plus retrieval's opinion."""
        subject = hit.passage.subject
        coverage = (
            self.library.share(wanted, sentence.terms | subject)
            for sentence in hit.passage.sentences
        )
        return max(coverage, default=0.0) + RANK_WEIGHT * hit.score / top_score

    def _coverage(self, wanted: Collection[str], held: Collection[str]) -> float:
        """The share of `wanted` in `held` where a word no document knows weighs like a rare one."""
        unknown = sum(1 for term in wanted if not self.library.knows(term))
        known = self.library.weight(wanted)
        total = known + unknown * self.library.rarest
        return self.library.weight(term for term in wanted if term in held) / total if total else 0

    def _say(self, wanted: Collection[str], hit: Hit) -> str:
        """The best sentences of `hit`, in the order of the page, in the prompt's form."""
        parts = hit.passage.sentences
        order = sorted(
            range(len(parts)), key=lambda i: self._rank(wanted, hit.passage.subject, parts[i])
        )
        chosen = " ".join(parts[i].text for i in sorted(order[: self.sentences]))
        return self.prompt.answer.format(sentences=chosen, title=hit.passage.document.title)

    def _rank(
        self, wanted: Collection[str], subject: Collection[str], sentence: Sentence
    ) -> tuple[float, float]:
        """Sorts the best sentence first: by what it says beyond the page's subject, then by all."""
        news = [term for term in wanted if term not in subject]
        return -self.library.share(news, sentence.terms), -self.library.share(
            wanted, sentence.terms
        )

    def _prompt_tokens(self, turns: Sequence[Turn], hits: Sequence[Hit]) -> int:
        """What a language model would have been sent: instructions, passages and messages."""
        return (
            count_tokens(self.prompt.system)
            + sum(hit.passage.tokens for hit in hits)
            + sum(count_tokens(turn.content) for turn in turns)
        )


def _truncated(text: str, limit: int | None) -> tuple[str, Literal["stop", "length"]]:
    """At most `limit` tokens of `text`, and why it ends there."""
    found = list(TOKEN.finditer(text))
    if limit is None or len(found) <= limit:
        return text, "stop"
    return text[: found[limit - 1].end()] if limit else "", "length"
