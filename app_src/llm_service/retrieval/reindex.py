"""The corpus is read, indexed and embedded aside; then one reference is swapped.

    read -> BM25 -> [vectors from the store?] -> swap -> [compute them -> store them -> swap]

A search therefore sees the corpus of before or that of after, never a mixture; and none waits. The
first corpus serves by BM25 while its vectors are computed, which for some thousand pages takes
minutes; a later one waits for its vectors, so that the method does not change with a page. What
cannot be read or parsed leaves everything as it was, and `state` says so.

It happens at the start, or, where only searches need the corpus, when the first one does; after
that when `request` is called (on SIGHUP), and, with CORPUS_REFRESH_SECONDS, when the corpus has
another version than the one that was read.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from llm_service import corpus
from llm_service.corpus import CorpusError, Document
from llm_service.library import Library
from llm_service.retrieval.embedder import Embedder, EmbedderError
from llm_service.retrieval.index import Index
from llm_service.retrieval.retrieval import Retrieval
from llm_service.retrieval.similar import Shelf

logger = logging.getLogger("llm_service")

RETRY = 2.0
"""Seconds between two attempts to read the first corpus: the role's credentials may come later."""
RETRY_VECTORS = 30.0
"""The same where only its vectors are missing."""

Sleep = Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Source:
    """Where documents come from: `version` changes when they do. Both may block, and raise
    CorpusError."""

    version: Callable[[], str]
    read: Callable[[], Sequence[Document]]

    @classmethod
    def at(cls, uri: str) -> Source:
        """The corpus at `uri`, see `corpus.load`."""
        return cls(lambda: corpus.version(uri), lambda: corpus.load(uri))


class Reindexer:
    """Keeps `retrieval` at what `source` holds; `shelf` has or computes the vectors."""

    def __init__(
        self,
        retrieval: Retrieval,
        source: Source,
        *,
        embedder: Embedder | None = None,
        shelf: Shelf | None = None,
        refresh_seconds: float = 0.0,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._retrieval, self._source = retrieval, source
        self._embedder, self._shelf = embedder, shelf
        self._refresh, self._sleep = refresh_seconds, sleep
        self._asked, self._tried = asyncio.Event(), asyncio.Event()
        self._late = self._put_off = False
        self._version, self._error, self._embedded = "", "", 0
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def standing(self) -> Literal["loaded", "loading", "not needed yet"]:
        """How the corpus stands."""
        if self._retrieval.ready:
            return "loaded"
        return "not needed yet" if self._put_off else "loading"

    def start(self, *, at_once: bool = True) -> None:
        """Reads the first corpus in the background, `at_once` or when it is first `wanted`, and
        renews it as asked."""
        self._late = self._put_off = not at_once
        if at_once:
            self._asked.set()
        self._tasks.append(asyncio.create_task(self._run(), name="reindex"))
        if self._refresh:
            self._tasks.append(asyncio.create_task(self._watch(), name="corpus-watch"))

    async def stop(self) -> None:
        """Leaves what is under way, and disconnects."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._shelf:
            await self._shelf.close()

    def request(self) -> None:
        """Reads the corpus anew, soon; several requests at once are one."""
        self._put_off = False
        self._asked.set()

    async def wanted(self) -> None:
        """Has a corpus read that was put off; returns once it is there, or could not be read."""
        if self._put_off:
            self.request()
        if self._late:
            await self._tried.wait()

    def state(self) -> dict[str, Any]:
        """For /readyz: `error` is why the last attempt left the old corpus, empty if it came
        through; `embedded` counts the pages embedded since the last corpus was read."""
        return {**self._retrieval.state(), "error": self._error, "embedded": self._embedded}

    async def renew(self) -> bool:
        """Reads, indexes and swaps; whether the corpus of now is the one at the source."""
        try:
            version = await asyncio.to_thread(self._source.version)
            library = await asyncio.to_thread(lambda: Library(self._source.read()))
            await self._serve(library)
        except (CorpusError, EmbedderError) as error:
            self._error = str(error)
            self._tried.set()
            logger.error("the corpus was not renewed: %s", error)
            return False
        self._version, self._error = version, ""
        return True

    async def _serve(self, library: Library) -> None:
        if self._embedder is None or self._shelf is None:
            self._swap(Index(library, ""))
            return
        from llm_service.retrieval.vectors import address

        documents = [passage.document for passage in library.passages]
        where = address(documents, self._embedder)
        self._embedded = 0
        similar = await self._shelf.find(where)
        if similar is None:
            if not self._retrieval.ready:
                self._swap(Index(library, where))
            similar = await self._shelf.fill(where, library, self._embedder, self._count)
        self._swap(Index(library, where, self._embedder, similar))

    def _swap(self, index: Index) -> None:
        self._retrieval.swap(index)
        self._tried.set()

    def _count(self, done: int) -> None:
        self._embedded = done

    async def _run(self) -> None:
        await self._request()
        while not await self.renew():
            await self._sleep(RETRY_VECTORS if self._retrieval.ready else RETRY)
        while True:
            await self._request()
            await self.renew()

    async def _request(self) -> None:
        """Returns with the next request."""
        await self._asked.wait()
        self._asked.clear()

    async def _watch(self) -> None:
        while True:
            await self._sleep(self._refresh)
            try:
                changed = await asyncio.to_thread(self._source.version) != self._version
            except CorpusError as error:
                self._error = str(error)
                continue
            if changed and self._retrieval.ready:
                self.request()
