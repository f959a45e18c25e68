"""From an address to vectors that can be compared: read where they are, computed where they are
not."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from llm_service.library import Library
from llm_service.retrieval.embedder import Embedder
from llm_service.retrieval.stores import Store

if TYPE_CHECKING:
    from llm_service.retrieval.vectors import Similar

logger = logging.getLogger("llm_service")

Progress = Callable[[int], None]


class Shelf(Protocol):
    """Has the vectors of corpora, or gets them."""

    async def find(self, address: str) -> Similar | None:
        """The vectors of `address` if they were computed before."""
        ...

    async def fill(
        self, address: str, library: Library, embedder: Embedder, progress: Progress
    ) -> Similar:
        """Computes and keeps the vectors of `library`. Raises EmbedderError."""
        ...

    async def close(self) -> None:
        """Lets go of connections."""
        ...


class InMemory:
    """Vectors in this process's memory; `store` keeps them for the next one."""

    def __init__(self, store: Store | None = None) -> None:
        self._store = store

    async def find(self, address: str) -> Similar | None:
        """See `Shelf`; what the store holds is checked."""
        from llm_service.retrieval.vectors import Vectors, VectorsError

        content = await self._store.get(address) if self._store else None
        if content is None:
            return None
        try:
            return Vectors.parse(content, address)
        except VectorsError as error:
            logger.warning("%s They are computed again.", error)
            return None

    async def fill(
        self, address: str, library: Library, embedder: Embedder, progress: Progress
    ) -> Similar:
        """See `Shelf`."""
        from llm_service.retrieval.vectors import compute

        vectors = await compute(library, embedder, progress)
        if self._store:
            await self._store.put(address, vectors.dump(address))
        return vectors

    async def close(self) -> None:
        """Nothing to close."""
