"""What the service searches: one reference to the index of now, which can be swapped."""

from __future__ import annotations

from typing import Any

from llm_service.errors import unavailable
from llm_service.library import Hit, Library
from llm_service.retrieval.index import Index, Method


class Retrieval:
    """Searches the corpus of now. Whoever needs several steps on one corpus takes `index` once."""

    def __init__(self, index: Index | None = None) -> None:
        self._index = index

    @property
    def ready(self) -> bool:
        """Whether there is a corpus."""
        return self._index is not None

    @property
    def index(self) -> Index:
        """The corpus of now; raises ApiError 503 while the first is loading."""
        if self._index is None:
            raise unavailable("The corpus is still loading")
        return self._index

    @property
    def library(self) -> Library:
        """The documents of now; raises ApiError 503 while the first are loading."""
        return self.index.library

    @property
    def method(self) -> Method:
        """How it is searched now; raises ApiError 503 while the first corpus is loading."""
        return self.index.method

    async def search(self, query: str, limit: int) -> list[Hit]:
        """Up to `limit` passages for `query`, best first; scores compare within one query only."""
        return await self.index.search(query, limit)

    def swap(self, index: Index) -> None:
        """From now on searches are answered by `index`; those under way end on what they have."""
        self._index = index

    def state(self) -> dict[str, Any]:
        """For /readyz: how many documents are searched, and how."""
        if self._index is None:
            return {"documents": 0, "method": None}
        return {"documents": len(self._index.library), "method": self._index.method}
