"""The embedded answerer as one provider among others: which prompt it answers under, and how much
it reads and quotes, is the feature's that asks."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping

from llm_service.bundle import Bundle, Feature
from llm_service.calls import Call, Event, Reply
from llm_service.chat.state import FeatureCall
from llm_service.embedded import EmbeddedProvider
from llm_service.library import Library
from llm_service.retrieval import Retrieval


class Embedded:
    """Implements `calls.Provider` over the corpus of now."""

    def __init__(self, bundle: Bundle, retrieval: Retrieval, strict: bool) -> None:
        self._bundle, self._retrieval, self._strict = bundle, retrieval, strict
        self._of: Mapping[tuple[str, int, int], EmbeddedProvider] = {}
        self._made_of: Library | None = None

    def answerer(self, feature: Feature) -> EmbeddedProvider:
        """The one that answers for `feature`. Raises ApiError 503 while the corpus is loading."""
        library = self._retrieval.library
        if library is not self._made_of:
            self._of, self._made_of = {}, library
        key = (feature.prompt, feature.passages, feature.sentences)
        found = self._of.get(key)
        if found is None:
            found = EmbeddedProvider(
                library,
                self._bundle.prompt(feature),
                passages=feature.passages,
                sentences=feature.sentences,
                retrieval=self._retrieval,
                strict=self._strict,
            )
            self._of = {**self._of, key: found}
        return found

    async def complete(self, call: Call, seconds: float) -> Reply:
        """See `calls.Provider`."""
        return await self._answerer(call).complete(call, seconds)

    def stream(self, call: Call, seconds: float) -> AsyncGenerator[Event, None]:
        """See `calls.Provider`."""
        return self._answerer(call).stream(call, seconds)

    async def close(self) -> None:
        """Nothing to close."""

    def _answerer(self, call: Call) -> EmbeddedProvider:
        feature = call.feature if isinstance(call, FeatureCall) else self._bundle.feature()
        return self.answerer(feature)
