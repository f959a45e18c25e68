"""The state behind the API: what has been loaded, what is ready, what to do with an answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any

from llm_service import prompts
from llm_service.completion import Completion
from llm_service.corpus import CorpusError, Document
from llm_service.embedded import EmbeddedProvider
from llm_service.errors import unavailable
from llm_service.ledger import Ledger, entry
from llm_service.library import Library
from llm_service.provider import Provider, Turn
from llm_service.question import last_user_message
from llm_service.settings import Settings

logger = logging.getLogger("llm_service")

CORPUS_RETRY = 2.0
"""Seconds between two attempts to read the corpus: the role's credentials may come later."""

LoadCorpus = Callable[[], Sequence[Document]]


class Service:
    """One process of the service, from `start` to `stop`."""

    def __init__(self, settings: Settings, load_corpus: LoadCorpus) -> None:
        self.settings = settings
        self.prompt = prompts.load("answer", settings.prompt)
        self.ledger = Ledger(settings.database) if settings.database else None
        self._load_corpus = load_corpus
        self._library: Library | None = None
        self._provider: Provider | None = None
        self._loading: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Loads the corpus and connects to the database, both in the background."""
        self._loading = asyncio.create_task(self._load(), name="corpus")
        if self.ledger:
            self.ledger.start()

    async def stop(self) -> None:
        """Writes what is to be recorded. Requests have ended before."""
        if self._loading:
            self._loading.cancel()
        if self.ledger:
            await self.ledger.close()

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
        """Answers and records the answer."""
        provider = self.provider
        answer = await provider.answer(turns, limit)
        completion = Completion(answer, provider.model, self.settings.release)
        if self.ledger:
            documents = [hit.passage.document.id for hit in answer.sources]
            question = last_user_message(turns)
            self.ledger.record(entry(completion.id, completion.release, question, documents))
        return completion

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
        }

    async def _database(self) -> dict[str, Any]:
        if not self.ledger:
            return {"state": "none"}
        await self.ledger.reachable()
        return {
            "state": self.ledger.state,
            "queued": self.ledger.queued,
            "dropped": self.ledger.dropped,
        }

    async def _load(self) -> None:
        while self._library is None:
            try:
                self._library = await asyncio.to_thread(lambda: Library(self._load_corpus()))
            except CorpusError as error:
                logger.error("%s", error)
                await asyncio.sleep(CORPUS_RETRY)
        self._provider = EmbeddedProvider(
            self._library,
            self.prompt,
            passages=self.settings.passages,
            sentences=self.settings.sentences,
        )
        logger.info("ready with %d documents", len(self._library))
