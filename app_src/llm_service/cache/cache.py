"""The response cache as a request meets it.

In front is this process's memory, looked into without waiting (`peek`). Behind it may be a store
that all tasks share, and vectors by which a question that means the same is found (`get`). What is
kept goes to memory at once and to the rest in the background, over a bounded queue.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import struct
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from llm_service.cache.key import CacheKey
from llm_service.cache.likeness import Embedder, Like, ProcessLike, marks, unit
from llm_service.cache.memory import Memory
from llm_service.cache.remote import Patience, Store
from llm_service.cache.values import Cached, read

if TYPE_CHECKING:
    from llm_service.cache.likeness import Vector

logger = logging.getLogger("llm_service")

BYTES = 64 * 1024 * 1024
QUEUE = 1_000
"""Answers on their way to the store; what does not fit is dropped and counted."""
WRITING = 2.0
"""Seconds that the store has for a write, which no request waits for."""
STAMP = struct.Struct(">d")
"""When an answer ends, epoch seconds, in front of its bytes."""


class Entry(NamedTuple):
    """An answer to keep."""

    key: CacheKey
    cached: Cached
    until: float


class Question(NamedTuple):
    """A question by what it means: whose vectors it is compared with, and its own."""

    partition: bytes
    vector: Vector


class Cache:
    """Answers by key; `store` and `like` are shared by the tasks or None, `embedder` None: only
    the same request counts. `clock` is epoch seconds."""

    def __init__(
        self,
        capacity: int = BYTES,
        *,
        store: Store | None = None,
        embedder: Embedder | None = None,
        like: Like | None = None,
        clock: Callable[[], float] = time.time,
        seconds: float = 0.05,
    ) -> None:
        self._memory = Memory(capacity, clock)
        self._store, self._embedder, self._clock = store, embedder, clock
        self._like: Like = like or ProcessLike(clock=clock)
        self._patience = Patience(seconds)
        self._embedding = Patience(seconds)
        self._queue: asyncio.Queue[Entry] = asyncio.Queue(QUEUE)
        self._task: asyncio.Task[None] | None = None
        self.counts = dict.fromkeys(("hits", "semantic_hits", "misses", "stores", "dropped"), 0)

    def peek(self, key: CacheKey) -> Cached | None:
        """The answer to the same request, if this process has it."""
        found = self._memory.get(key.digest)
        if found is not None:
            self.counts["hits"] += 1
        return found

    async def get(self, key: CacheKey) -> Cached | None:
        """The answer to the same request or to one that means the same, where `peek` found none."""
        found = await self._fetched(key.digest, keep=True) if self._store else None
        if found is not None:
            self.counts["hits"] += 1
            return found
        if key.text and self._embedder:
            found = await self._alike(key, self._embedder)
        self.counts["misses" if found is None else "semantic_hits"] += 1
        return found

    def put(self, key: CacheKey, cached: Cached) -> None:
        """Keeps an answer for as long as its feature says."""
        self.counts["stores"] += 1
        self._memory.put(key.digest, cached, key.ttl_seconds)
        if self._store is None and not (key.text and self._embedder):
            return
        try:
            self._queue.put_nowait(Entry(key, cached, self._clock() + key.ttl_seconds))
        except asyncio.QueueFull:
            self.counts["dropped"] += 1

    def start(self) -> None:
        """Begins to write to the store, in the background."""
        self._task = asyncio.create_task(self._run(), name="cache")

    async def stop(self) -> None:
        """Ends; what is queued is not waited for: it is a cache."""
        if self._task:
            self._task.cancel()

    async def idle(self) -> None:
        """Returns once everything kept is written."""
        await self._queue.join()

    def state(self) -> dict[str, Any]:
        """How it stands, for a person and for the metrics: counters since the start."""
        return {
            **self.counts,
            "errors": self._patience.errors + self._embedding.errors,
            "evicted": self._memory.evicted,
            "expired": self._memory.expired,
            "entries": len(self._memory),
            "bytes": self._memory.bytes,
            "store": self._store.name if self._store else "process",
            "paused": self._patience.paused,
            "semantic": self._embedder is not None,
        }

    async def _fetched(self, digest: bytes, keep: bool) -> Cached | None:
        """The store's answer at `digest`; with `keep` it stays in memory for the rest of its
        time."""
        store = self._store
        if store is None:
            return self._memory.get(digest)
        data = await self._patience.wait(lambda: store.get(digest))
        if data is None or len(data) < STAMP.size:
            return None
        left = STAMP.unpack_from(data)[0] - self._clock()
        found = read(data[STAMP.size :]) if left > 0 else None
        if found is not None and keep:
            self._memory.put(digest, found, left)
        return found

    async def _alike(self, key: CacheKey, embedder: Embedder) -> Cached | None:
        asked = await self._embedding.wait(lambda: self._question(key, embedder))
        if asked is None:
            return None
        near = await self._patience.wait(lambda: self._like.nearest(*asked))
        if near is None or near[1] < key.threshold:
            return None
        found = self._memory.get(near[0]) or await self._fetched(near[0], keep=False)
        return msgspec.structs.replace(found, similarity=near[1]) if found else None

    async def _question(self, key: CacheKey, embedder: Embedder) -> Question:
        """The key's text as likeness sees it."""
        scope = f"{embedder.digest} {marks(key.text)}"
        partition = hashlib.sha256(key.partition + scope.encode()).digest()
        return Question(partition, unit((await embedder.embed([key.text]))[0]))

    async def _run(self) -> None:
        while True:
            entry = await self._queue.get()
            try:
                async with asyncio.timeout(WRITING):
                    await self._write(entry)
            except Exception as error:  # noqa: BLE001 - a cache may be away
                self._patience.failed()
                logger.debug("an answer was not kept: %s", type(error).__name__)
            finally:
                self._queue.task_done()

    async def _write(self, entry: Entry) -> None:
        key, seconds = entry.key, entry.until - self._clock()
        if seconds <= 0 or self._patience.paused:
            return
        if self._store:
            data = STAMP.pack(entry.until) + entry.cached.bytes()
            await self._store.put(key.digest, data, seconds)
        if key.text and self._embedder:
            partition, vector = await self._question(key, self._embedder)
            await self._like.add(partition, key.digest, vector, seconds)
