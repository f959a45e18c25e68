"""The state behind the API: what has been loaded, what is ready, what to do with an answer."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from llm_service import budget, feedback, ledger, metrics, prompts
from llm_service.completion import Completion
from llm_service.corpus import CorpusError, Document
from llm_service.database import Postgres
from llm_service.embedded import EmbeddedProvider
from llm_service.errors import unavailable
from llm_service.feedback import Feedback, Thumb
from llm_service.generation import GeneratingProvider, Model
from llm_service.guardrail import Guardrail
from llm_service.judging import Judging
from llm_service.ledger import Ledger, entry
from llm_service.library import Library
from llm_service.metrics import Answered, Dimensions
from llm_service.names import Names
from llm_service.prices import Price, price
from llm_service.provider import Answer, Provider, Turn, last_user_message
from llm_service.quality import declines, supported
from llm_service.scoring import Scorable, Scoring
from llm_service.settings import Settings

logger = logging.getLogger("llm_service")

CORPUS_RETRY = 2.0
"""Seconds between two attempts to read the corpus: the role's credentials may come later."""
TABLES = (ledger.CREATE, feedback.CREATE, budget.CREATE)

LoadCorpus = Callable[[], Sequence[Document]]


class Service:
    """One process of the service, from `start` to `stop`."""

    def __init__(self, settings: Settings, load_corpus: LoadCorpus) -> None:
        self.settings = settings
        self.prompt = prompts.load("answer", settings.prompt)
        self.dimensions = Dimensions(
            settings.namespace, settings.service, settings.environment, settings.release
        )
        self.guardrail = Guardrail(self.prompt)
        self.postgres = Postgres(settings.database, TABLES) if settings.database else None
        self.ledger = Ledger(self.postgres) if self.postgres else None
        self.feedback = Feedback(settings.release, self.ledger, self.postgres)
        self.scoring: Scoring | None = None
        self._fingerprints = Names()
        self._load_corpus = load_corpus
        self._library: Library | None = None
        self._provider: Provider | None = None
        self._price: Price | None = None
        self._loading: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Loads the corpus and connects to the database, both in the background."""
        self._loading = asyncio.create_task(self._load(), name="corpus")
        if self.ledger:
            self.ledger.start()

    async def stop(self) -> None:
        """Scores and writes what is queued. Requests have ended before."""
        if self._loading:
            self._loading.cancel()
        if self.scoring:
            await self.scoring.close()
        if self.ledger:
            await self.ledger.close()
        if self.postgres:
            await self.postgres.close()
        if isinstance(self._provider, GeneratingProvider):
            await self._provider.close()

    @property
    def library(self) -> Library:
        """The corpus; raises ApiError 503 while it is loading."""
        if self._library is None:
            raise unavailable("The corpus is still loading")
        return self._library

    @property
    def provider(self) -> Provider:
        """What answers; raises ApiError 503 while the corpus is loading."""
        if self._provider is None:
            raise unavailable("The corpus is still loading")
        return self._provider

    async def complete(self, turns: Sequence[Turn], limit: int | None) -> Completion:
        """Answers, records the answer and has it scored."""
        provider = self.provider
        answer, guarded = self.guardrail.check(await provider.answer(turns, limit))
        ready = time.perf_counter()
        question = last_user_message(turns)
        measured = self._measured(answer, question, ready)
        completion = Completion(
            answer, provider.model, self.settings.release, measured, guarded is not None
        )
        self._remember(completion, question)
        return completion

    async def give_feedback(self, response_id: str, thumb: Thumb, comment: str | None) -> str:
        """Records and, if it is the first on that answer, publishes a thumb; the release that gave
        the answer. Raises ApiError."""
        given = await self.feedback.give(response_id, thumb, comment)
        if given.first:
            theirs = replace(self.dimensions, release=given.release)
            up = thumb == "up"
            metrics.emit(metrics.of_feedback(theirs, up, response_id, metrics.clock()))
        return given.release

    async def readiness(self) -> tuple[bool, dict[str, Any]]:
        """Whether requests may come, and what a person needs to see why not."""
        database = await self._database()
        loaded = self._library is not None
        ready = loaded and database["state"] in ("none", "ready")
        return ready, {
            "status": "ready" if ready else "not ready",
            "release": self.settings.release,
            "documents": len(self._library) if self._library else 0,
            "corpus": "loaded" if loaded else "loading",
            "database": database,
            "scoring": self.scoring.state() if self.scoring else None,
        }

    async def _database(self) -> dict[str, Any]:
        if not self.ledger or not self.postgres:
            return {"state": "none"}
        await self.postgres.reachable()
        return {
            "state": self.postgres.state,
            "queued": self.ledger.queued,
            "dropped": self.ledger.dropped,
        }

    def _measured(self, answer: Answer, question: str, ready: float) -> Answered:
        """What the metrics say of the answer; whether a passage supports the question is seen by
        the user's own words."""
        read, written = answer.prompt_tokens, answer.completion_tokens
        passages = [hit.passage for hit in answer.sources]
        return Answered(
            ready=ready,
            cost=self._price.of(read, written) if self._price else None,
            prompt_tokens=read,
            completion_tokens=written,
            refused=declines(answer.text, self.prompt.decline),
            retrieved=supported(self.library, question, passages),
            fingerprint=self._fingerprints.of(answer.fingerprint) if answer.fingerprint else "",
        )

    def _remember(self, completion: Completion, question: str) -> None:
        answer = completion.answer
        self.feedback.recent.add(completion.id)
        if self.ledger:
            documents = [hit.passage.document.id for hit in answer.sources]
            self.ledger.record(entry(completion.id, completion.release, question, documents))
        if self.scoring:
            source = answer.sources[0].passage if answer.sources else None
            self.scoring.offer(
                Scorable(completion.id, question, answer.text, source, completion.guarded)
            )

    async def _load(self) -> None:
        while self._library is None:
            try:
                self._library = await asyncio.to_thread(lambda: Library(self._load_corpus()))
            except CorpusError as error:
                logger.error("%s", error)
                await asyncio.sleep(CORPUS_RETRY)
        self._provider = self._answering(self._library)
        self._price = self.settings.price or price(self._provider.model)
        self.scoring = self._scoring(self._library)
        self.scoring.start()
        logger.info("ready with %d documents", len(self._library))

    def _answering(self, library: Library) -> Provider:
        """What finds the answers and, if the release names a model, what words them."""
        settings = self.settings
        finder = EmbeddedProvider(
            library, self.prompt, passages=settings.passages, sentences=settings.sentences
        )
        if settings.provider_url is None:
            return finder
        return GeneratingProvider(finder, Model(settings.provider_url, settings.provider_model))

    def _scoring(self, library: Library) -> Scoring:
        asked = self.settings.scorer
        judging = None
        if asked:
            cap = budget.budget(self.postgres, self.settings.release, asked.budget)
            judging = Judging(asked, cap)
        return Scoring(
            library,
            self.prompt.decline,
            self._publish,
            share=self.settings.quality_sample,
            judging=judging,
        )

    def _publish(self, values: dict[str, float], fields: dict[str, Any]) -> None:
        metrics.emit(metrics.of_score(self.dimensions, values, fields, metrics.clock()))
